"""A condition out of a document: every kind known, every value of its kind (GP501); then what it says (GP502).

The same checks in the same order and words as shapes.lua on the edge; see tests/cases/traffic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from pydantic_core import PydanticCustomError

from gopub.canon import Json, bounded
from gopub.traffic.addresses import is_network
from gopub.traffic.conditions import (
    KINDS,
    All,
    Any,
    Client,
    Condition,
    Cookie,
    Header,
    Method,
    Not,
    Path,
    Query,
    Share,
    Span,
    Tag,
    Within,
)

DEEPEST = 8
"""Conditions within conditions, so that no table can make an edge recurse without end."""
FULL = 10_000
LATEST = 2**53
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
VALUE = re.compile(r"[ -~]{1,256}")
_QUERY_NAME = re.compile(r"[ -~]{1,64}")
_PATH = re.compile(r"/[ -~]{0,255}")
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

# Shape ------------------------------------------------------------------------------------------------------------


def condition(value: Json) -> Condition:
    """Read one, for a model of pydantic.

    Raises:
        PydanticCustomError: its ``reason`` begins with where in the condition it is wrong.
    """
    return _condition(value, "", 1)


def _condition(value: Json, path: str, depth: int) -> Condition:
    if depth > DEEPEST:
        _misshapen(f"{path} is deeper than {DEEPEST} conditions")
    if not isinstance(value, Mapping) and value != []:  # for Lua an empty list is an empty object
        _misshapen(f"{path} is not an object")
    if not isinstance(value, Mapping) or len(value) != 1:
        _misshapen(f"{path} is not one condition")
    ((kind, inner),) = value.items()
    if kind in _KNOTS:
        return _knot(kind, inner, f"{path}.{kind}", depth)
    if kind not in _LEAVES:
        _misshapen(f"{path}.{bounded(kind, 60)} is not known")
    return _LEAVES[kind](inner, f"{path}.{kind}")


_KNOTS = ("all", "any", "not")


def _knot(kind: str, value: Json, path: str, depth: int) -> Condition:
    if kind == "not":
        return Not(_condition(value, path, depth + 1))
    of = tuple(_condition(one, f"{path}[{at}]", depth + 1) for at, one in enumerate(_list(value, path)))
    return All(of) if kind == "all" else Any(of)


def _named(kind: type[Header | Cookie | Query]) -> Callable[[Json, str], Condition]:
    def read(value: Json, path: str) -> Condition:
        if not isinstance(value, Mapping):
            _misshapen(f"{path} is not an object")
        for key in ("name", "value"):
            if key not in value:
                _misshapen(f"{path}.{key} is missing")
        for key in sorted(value.keys() - {"name", "value"}):
            _misshapen(f"{path}.{bounded(key, 60)} is not known")
        return kind(*(_text(value[key], f"{path}.{key}") for key in ("name", "value")))

    return read


def _texts(value: Json, path: str) -> tuple[str, ...]:
    return tuple(_text(one, f"{path}[{at}]") for at, one in enumerate(_list(value, path)))


def _spans(value: Json, path: str) -> Condition:
    return Within(tuple(_span(one, f"{path}[{at}]") for at, one in enumerate(_list(value, path))))


def _span(value: Json, path: str) -> Span:
    pair = _list(value, path)
    if len(pair) != 2:
        _misshapen(f"{path} is not from and until")
    begin, end = (_whole(one, f"{path}[{at}]") for at, one in enumerate(pair))
    return begin, end


def _list(value: Json, path: str) -> list[Json]:
    if not isinstance(value, list):
        _misshapen(f"{path} is not a list")
    return value


def _text(value: Json, path: str) -> str:
    if not isinstance(value, str):
        _misshapen(f"{path} is not a string")
    return value


def _whole(value: Json, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        _misshapen(f"{path} is not a whole number")
    return value


_LEAVES: Mapping[str, Callable[[Json, str], Condition]] = {
    "header": _named(Header),
    "cookie": _named(Cookie),
    "query": _named(Query),
    "path": lambda value, path: Path(_text(value, path)),
    "method": lambda value, path: Method(_texts(value, path)),
    "client": lambda value, path: Client(_texts(value, path)),
    "tag": lambda value, path: Tag(_text(value, path)),
    "within": _spans,
    "share": lambda value, path: Share(_whole(value, path)),
}


def _misshapen(reason: str) -> NoReturn:
    raise PydanticCustomError("condition", "{reason}", {"reason": reason})


# Meaning ----------------------------------------------------------------------------------------------------------


def problems(found: Condition, path: str) -> Iterator[str]:
    """Everything that is wrong with what it says, in a fixed order; ``path`` is where it stands."""
    place = f"{path}.{KINDS[type(found)]}"
    match found:
        case All(of) | Any(of):
            if not of:
                yield f"{place} is empty"
            for at, one in enumerate(of):
                yield from problems(one, f"{place}[{at}]")
        case Not(of):
            yield from problems(of, place)
        case Header() | Cookie() | Query():
            yield from named_problems(found, place)
        case _:
            yield from _leaf_problems(found, place)


def _leaf_problems(found: Path | Method | Client | Tag | Within | Share, place: str) -> Iterator[str]:
    match found:
        case Path(prefix):
            yield from _unless(_PATH.fullmatch(prefix), f'{place} "{prefix}" is not a path')
        case Method(names):
            yield from _each(names, place, "method", lambda one: bool(_METHOD.fullmatch(one)))
        case Client(networks):
            yield from _each(networks, place, "network", is_network)
        case Tag(name):
            yield from _unless(TAG.fullmatch(name), f'{place} "{name}" is not a tag')
        case Within(spans):
            yield from _span_problems(spans, place)
        case Share(below):
            yield from _unless(0 <= below <= FULL, f"{place} {below} is not a whole number from 0 to {FULL}")


def _unless(fine: object, problem: str) -> Iterator[str]:
    if not fine:
        yield problem


def named_problems(found: Header | Cookie | Query, path: str) -> Iterator[str]:
    """What is wrong with a name and a value."""
    kind = KINDS[type(found)]
    if not (_QUERY_NAME if kind == "query" else TOKEN).fullmatch(found.name):
        yield f'{path}.name "{found.name}" is not a {"parameter" if kind == "query" else kind} name'
    if not VALUE.fullmatch(found.value):
        yield f"{path}.value is not printable ASCII of 1 to 256 characters"


def _each(values: tuple[str, ...], path: str, kind: str, fits: Callable[[str], bool]) -> Iterator[str]:
    if not values:
        yield f"{path} is empty"
    for at, one in enumerate(values):
        if not fits(one):
            yield f'{path}[{at}] "{one}" is not a {kind}'


def _span_problems(spans: tuple[Span, ...], path: str) -> Iterator[str]:
    if not spans:
        yield f"{path} is empty"
    before = 0
    for at, (begin, end) in enumerate(spans):
        if not before <= begin < end <= LATEST:
            yield f"{path}[{at}] does not follow what stands before it"
        before = end
