"""Whether a table can be obeyed (GP502): what ``route_table.json`` says beyond shape, read as by validate.lua."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.spec.endpoints import pattern
from gopub.traffic.addresses import is_endpoint, is_network
from gopub.traffic.shapes import SCHEMA, TYPES, Kind, TableError, below, fits, shape, side_of, unfit
from gopub.traffic.table import RouteTable, to_json

_CHECKS: Mapping[str, Callable[[str], object]] = {"endpoint": is_endpoint, "network": is_network, "pattern": pattern}


def check(value: Json) -> None:
    """Take a document for a route table.

    Raises:
        UsageError: GP501 the shape is wrong; GP502 it contradicts itself: the first thing, the same as on every edge.
    """
    try:
        seen = shape(SCHEMA["root"], value)
        _meaning(SCHEMA["root"], value, "", _State(seen))
    except TableError as problem:
        raise UsageError(problem.code, problem.reason, hint="see docs/reference/route-table.md") from None


def validate(table: RouteTable) -> None:
    """Refuse a table that no edge would take.

    Raises:
        UsageError: GP502 with the first thing that is wrong.
    """
    check(to_json(table) | {"warmup": table.warmup, "weight_from": table.weight_from})


@dataclass(frozen=True, slots=True)
class _State:
    seen: Mapping[str, int]
    once: set[str] = field(default_factory=set)


def _meaning(name: str, value: Any, path: str, state: _State) -> None:
    kind = TYPES[name]
    match kind["is"]:
        case "string":
            if not _is_fine(name, kind, value):
                unfit(path, kind["says"], value)
        case "whole" | "number":
            if "says" in kind and not _within(kind, value):
                unfit(path, kind["says"], float(value))
        case "object":
            _object_meaning(kind, value, path, state)
        case "list":
            _list_meaning(kind, list(value), path, state)
        case "either":
            _meaning(side_of(kind, value), value, path, state)
        case "kind":
            ((key, inner),) = value.items()
            _meaning(kind["kinds"][key], inner, below(path, key), state)
        case _:  # its shape is all
            return


def _within(kind: Kind, number: float) -> bool:
    return bool(kind.get("from", 0) <= float(number) <= kind.get("to", math.inf))


def _is_fine(name: str, kind: Kind, text: str) -> bool:
    if text in kind.get("also", ()):
        return True
    if text in kind.get("never", ()):
        return False
    if "after" in kind:
        start = next((one for one in kind["after"] if text.startswith(one)), None)
        if start is None:
            return False
        text = text.removeprefix(start)
    return bool(_CHECKS[kind["check"]](text)) if "check" in kind else fits(name)(text)


def _list_meaning(kind: Kind, value: list[Any], path: str, state: _State) -> None:
    if "says" in kind and not _within(kind, len(value)):
        unfit(path, kind["says"], len(value))
    for at, one in enumerate(value):
        _meaning(kind["of"], one, f"{path}[{at}]", state)
    before = 0.0
    for at, (begin, end) in enumerate(value if "rising" in kind else ()):
        if not before <= float(begin) < float(end) <= kind["rising"]:
            unfit(f"{path}[{at}]", kind["falls"])
        before = float(end)


def _object_meaning(kind: Kind, value: Mapping[str, Any], path: str, state: _State) -> None:
    of_key = {key: name for key, name, *_ in kind["keys"]}
    for one in kind.get("checks", of_key):
        if isinstance(one, str):
            if value.get(one) is not None:
                _meaning(of_key[one], value[one], below(path, one), state)
        elif "once" in one:
            _once(one, value, state.once)
        elif _refused(one, value, state.seen):
            unfit("", one["says"], _how_many(one, state.seen) if "seen" in one else "")


def _once(one: Kind, value: Mapping[str, str], once: set[str]) -> None:
    what = one.get("as", one["once"])
    word = f"{what} {value[one['once']]}"
    if word in once:
        unfit(what, '"{}" stands in the table twice', value[one["once"]])
    once.add(word)


def _refused(one: Kind, value: Mapping[str, Any], seen: Mapping[str, int]) -> bool:
    if "without" in one and value[one["without"]] not in (None, ""):
        return False
    if "some" in one:
        return bool(value[one["some"]])
    return value[one["there"]] is not None if "there" in one else _how_many(one, seen) > one["most"]


def _how_many(one: Kind, seen: Mapping[str, int]) -> int:
    return sum(seen.get(name, 0) for name in one["seen"])
