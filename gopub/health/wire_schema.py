"""The JSON Schema of a record type, from the same type hints that ``wire`` reads and writes it by."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Union

from gopub.canon import Json

_SCALARS = {str: "string", float: "number", int: "integer", bool: "boolean", type(None): "null"}


def schema_of(kind: type[Any], name: str) -> dict[str, Json]:
    """A draft 2020-12 schema ``urn:gopub:schema:NAME.v1``; nested types stand under ``$defs``."""
    defs: dict[str, Json] = {}
    root = _object(kind, defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:gopub:schema:{name}.v1",
        "title": kind.__name__,
        **root,
        "$defs": {key: defs[key] for key in sorted(defs)},
    }


def _object(kind: Any, defs: dict[str, Json]) -> dict[str, Json]:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return {
        "description": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
        "type": "object",
        "additionalProperties": False,
        "required": names,
        "properties": {name: _value(hints[name], defs) for name in names},
    }


def _value(kind: Any, defs: dict[str, Json]) -> dict[str, Json]:
    if dataclasses.is_dataclass(kind):
        return _reference(kind, defs)
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_value(option, defs) for option in typing.get_args(kind)]}
    if origin is tuple:
        return {"type": "array", "items": _value(typing.get_args(kind)[0], defs)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _value(typing.get_args(kind)[1], defs)}
    if issubclass(kind, StrEnum):
        return {"enum": [str(member) for member in kind]}
    return {"type": _SCALARS[kind]}


def _reference(kind: Any, defs: dict[str, Json]) -> dict[str, Json]:
    name = kind.__name__
    if name not in defs:
        defs[name] = {}  # first, so that a type within itself ends
        defs[name] = _object(kind, defs)
    return {"$ref": f"#/$defs/{name}"}
