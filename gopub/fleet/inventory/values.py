"""Values as Ansible reads them: Python literals where they are some, else text as it stands."""

from __future__ import annotations

import ast
import datetime as dt
import math
import warnings
from collections.abc import Mapping
from typing import Any

from gopub.canon import Json
from gopub.fleet.vaulted import Vaulted


def literal(text: str) -> Json:
    """The value of ``text`` in an INI inventory: ``1``, ``True``, ``[1, 2]``; ``true`` and ``yes`` are text.

    Raises:
        ValueError: it is a Python literal that JSON cannot carry (a set, bytes, infinity).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of odd escapes in text that is no Python
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return plain(value)


def plain(value: Any) -> Json:
    """The value as JSON types: tuples become lists, dates text, keys of mappings text.

    Raises:
        ValueError: JSON has no such type.
    """
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, dt.date):
        return value.isoformat()
    raise ValueError(f"a value of the type {type(value).__name__} cannot be kept")


def label(value: Json) -> str | None:
    """The value as a label, or None when it is no scalar, encrypted, or a template whose value only Ansible knows."""
    if isinstance(value, Vaulted):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str) and "{{" not in value and "{%" not in value:
        return value
    return None
