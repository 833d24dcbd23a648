"""Values as Ansible reads them: Python literals where they are some, else text as it stands."""

from __future__ import annotations

import ast
import datetime as dt
import math
import warnings
from collections.abc import Mapping
from typing import Any

from gopub.canon import Json
from gopub.fleet.vaulted import ENCRYPTED, Vaulted

_TEMPLATE = ("{{", "{%", "{#")
# As Ansible's filter `bool`; in an INI inventory `true` and `yes` are text, so text is held against them as well.
_TRUTHS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


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
    """The value as a label, or None when it is none; numbers as Ansible shows them, with all their digits."""
    if unlabelled(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def unlabelled(value: Json) -> str:
    """Why the value is no label: no scalar, encrypted, a template whose value only Ansible knows; empty: it is one."""
    if isinstance(value, Vaulted):
        return ENCRYPTED
    if isinstance(value, str):
        return "is a template" if any(mark in value for mark in _TEMPLATE) else ""
    if value is None:
        return "is null"
    if isinstance(value, Mapping):
        return "is a mapping"
    return "is a list" if isinstance(value, list) else ""


def same(value: Json, word: str) -> bool:
    """Whether a word means the value though it may be spelled otherwise: ``yes`` for true, ``1.10`` for 1.1."""
    truth = _TRUTHS.get(str(value).lower())
    if truth is not None and truth is _TRUTHS.get(word.lower()):
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return word == value
    try:
        return value == int(word, 0)  # 0x10 as inventories spell numbers, too
    except ValueError:
        try:
            return value == float(word)
        except ValueError:
            return False
