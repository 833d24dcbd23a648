"""JSON Schemas (draft 2020-12) of every format that is kept or sent; each belongs to the package of its type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import cast

from gopub.canon import Json


def names() -> tuple[str, ...]:
    """The names of all schemas, such as ``release``."""
    entries = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".v1.json") for name in entries if name.endswith(".v1.json")))


@cache
def schema(name: str) -> Mapping[str, Json]:
    """The schema ``<name>.v1.json``; treat it as read-only.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    return cast("Mapping[str, Json]", json.loads(files(__name__).joinpath(f"{name}.v1.json").read_text("utf-8")))
