"""The records of the judge to JSON and back, by pydantic: what the journal and the replay rest on.

Reading is strict (unknown keys, numbers as text and floats that are not finite are refused): a verdict that is
replayed from a record that was half understood proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from gopub.canon import Json
from gopub.errors import UsageError

T = TypeVar("T")

_CONFIG = ConfigDict(
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    ser_json_inf_nan="constants",  # so that canonical JSON refuses them; None would be another value
    json_schema_serialization_defaults_required=True,
)


def _adapter(kind: type[Any]) -> TypeAdapter[tuple[Any]]:
    return _made(cast("Hashable", kind))


@cache
def _made(kind: Any) -> TypeAdapter[tuple[Any]]:
    """Plain dataclasses take their configuration from what they stand in, so the record stands in a tuple."""
    return TypeAdapter(tuple[kind], config=_CONFIG)


def to_json(value: object) -> Json:
    """A record (a dataclass) as plain JSON types; ``canonical`` refuses a float that JSON cannot carry."""
    return cast("Json", _adapter(type(value)).dump_python((value,), mode="json")[0])


def from_json(kind: type[T], data: Json, at: str = "") -> T:
    """Build a ``kind`` from what ``to_json`` gave; missing keys have their defaults.

    Raises:
        UsageError: GP601 with the path of the value that does not fit.
    """
    try:
        return cast("T", _adapter(kind).validate_json(json.dumps([data]))[0])
    except ValidationError as error:
        raise _wrong(error, at or kind.__name__) from error


def schema_of(kind: type[Any], name: str) -> dict[str, Json]:
    """A draft 2020-12 schema ``urn:gopub:schema:NAME.v1`` of what ``to_json`` writes."""
    defs = _adapter(kind).json_schema(mode="serialization")["$defs"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:gopub:schema:{name}.v1",
        **defs.pop(kind.__name__),
        "$defs": defs,
    }


def _wrong(error: ValidationError, at: str) -> UsageError:
    first = error.errors(include_url=False, include_context=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"][1:])
    shown = "" if first["type"] == "missing" else f", not {first['input']!r:.60}"
    return UsageError(
        "GP601",
        f"{at}{place}: {first['msg']}{shown}",
        hint="the file is no record of gopub, or of another version",
    )
