"""Frozen dataclasses to JSON and back, by their type hints: what the journal and the replay rest on.

Only what the records of gopub need: dataclasses, str, int, float, bool, None, ``tuple[X, ...]``, ``Mapping[str, X]``,
``X | None``. Infinite and NaN floats are refused: JSON cannot carry them, and a record must survive a round trip.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Hashable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union

from gopub.canon import Json
from gopub.errors import UsageError

T = TypeVar("T")


def to_json(value: object) -> Json:
    """The value as plain JSON types.

    Raises:
        TypeError: a type that records do not use.
        ValueError: a float that JSON cannot carry.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no JSON form")
        return value
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, StrEnum) else value
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def from_json(kind: type[T], data: Json, at: str = "") -> T:
    """Build a ``kind`` from what ``to_json`` gave; unknown and missing keys are errors.

    Raises:
        UsageError: GP601 with the path of the value that does not fit.
    """
    return typing.cast("T", _read(kind, data, at or kind.__name__))


def _read(kind: Any, data: Json, at: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _dataclass(typing.cast("type[Any]", kind), data, at)
    origin = typing.get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(typing.get_args(kind), data, at)
    if origin is tuple:
        return _tuple(typing.get_args(kind), data, at)
    if origin is not None:
        return _mapping(typing.get_args(kind), data, at)
    return _scalar(kind, data, at)


def _dataclass(kind: type[Any], data: Json, at: str) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong(at, "an object", data)
    hints = _hints(typing.cast("Hashable", kind))
    if unknown := sorted(set(data) - set(hints)):
        raise UsageError("GP601", f"{at}: unknown key {unknown[0]!r}")
    values = {name: _read(hint, data[name], f"{at}.{name}") for name, hint in hints.items() if name in data}
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError("GP601", f"{at}: {error}") from error


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    record = typing.cast("Any", kind)
    known = typing.get_type_hints(record)
    return {field.name: known[field.name] for field in dataclasses.fields(record)}


def _union(options: tuple[Any, ...], data: Json, at: str) -> Any:
    if data is None:
        if type(None) in options:
            return None
        raise _wrong(at, "a value", data)
    return _read(next(option for option in options if option is not type(None)), data, at)


def _tuple(arguments: tuple[Any, ...], data: Json, at: str) -> Any:
    if not isinstance(data, list | tuple):
        raise _wrong(at, "a list", data)
    return tuple(_read(arguments[0], item, f"{at}[{index}]") for index, item in enumerate(data))


def _mapping(arguments: tuple[Any, ...], data: Json, at: str) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong(at, "an object", data)
    return {key: _read(arguments[1], item, f"{at}.{key}") for key, item in data.items()}


def _scalar(kind: Any, data: Json, at: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        try:
            return kind(str(data))
        except ValueError as error:
            raise _wrong(at, f"one of {', '.join(kind)}", data) from error
    if type(data) is not kind:
        raise _wrong(at, getattr(kind, "__name__", str(kind)), data)
    return data


def _wrong(at: str, wanted: str, data: Json) -> UsageError:
    shown = repr(data)
    return UsageError(
        "GP601",
        f"{at}: {shown[:60]} is not {wanted}",
        hint="the file is no record of gopub, or of another version",
    )
