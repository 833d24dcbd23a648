"""Which requests a rule means: a tree over what of a request decides (shapes.lua and conditions.lua on the edge).

leaves   header, cookie, query   the first one of that name has exactly this value
path                    the normalised path lies at or below it
method, client          one of these methods, an address of one of these networks
tag                     the request carries this tag in ``x-gray-tag``
within                  one of these spans of seconds since the epoch holds the moment: from, but not until
share                   the subject's bucket lies below it, of 10 000: the same users as ``weight`` draws
knots    all, any, not
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gopub.canon import Json
from gopub.traffic.spans import said_spans

Span = tuple[int, int]
"""From, and until: seconds since the epoch; the end is outside."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of that name is this, blanks around it aside."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """The first cookie of that name has this value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Query:
    """The first parameter of that name has this value, both decoded once."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Path:
    """The path is this one or lies below it: ``/api`` holds of ``/api`` and ``/api/x``, not of ``/apix``."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Method:
    """The method is one of these."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """The client's address, behind trusted proxies, lies in one of these networks."""

    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tag:
    """The request carries this tag."""

    name: str


@dataclass(frozen=True, slots=True)
class Within:
    """The moment lies in one of these spans."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """The subject's bucket lies below this, of 10 000; a request without a subject is in no share."""

    below: int


@dataclass(frozen=True, slots=True)
class All:
    """Each of them holds."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one of them holds."""

    of: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    of: Condition


Named = Header | Cookie | Query
Condition = Named | Path | Method | Client | Tag | Within | Share | All | Any | Not

KINDS: dict[type[Condition], str] = {
    one: one.__name__.lower()
    for one in (Header, Cookie, Query, Path, Method, Client, Tag, Within, Share, All, Any, Not)
}
"""The key of each in a route table."""


def walk(condition: Condition) -> Iterator[Condition]:
    """The condition and all that stands below it, from the top."""
    yield condition
    match condition:
        case All() | Any():
            for one in condition.of:
                yield from walk(one)
        case Not():
            yield from walk(condition.of)
        case _:
            return


def to_json(condition: Condition) -> dict[str, Json]:
    """As it stands in a route table: an object of one key, the kind."""
    return {KINDS[type(condition)]: _inner(condition)}


def _inner(condition: Condition) -> Json:
    match condition:
        case Header() | Cookie() | Query():
            return {"name": condition.name, "value": condition.value}
        case All() | Any():
            return [to_json(one) for one in condition.of]
        case Not():
            return to_json(condition.of)
        case Within():
            return [list(span) for span in condition.spans]
        case _:
            return _plain(condition)


def _plain(condition: Path | Method | Client | Tag | Share) -> Json:
    match condition:
        case Path():
            return condition.prefix
        case Method():
            return list(condition.names)
        case Client():
            return list(condition.networks)
        case Tag():
            return condition.name
        case Share():
            return condition.below


def said(condition: Condition, at: float) -> str:
    """In one line, for people: ``tag user-v2 and not (tag beta or path /admin)``; of spans the one that counts then."""
    match condition:
        case All():
            return " and ".join(_in_brackets(one, at) for one in condition.of)
        case Any():
            return " or ".join(_in_brackets(one, at) for one in condition.of)
        case Not():
            return f"not {_in_brackets(condition.of, at)}"
        case Header() | Cookie() | Query():
            name = condition.name.lower() if isinstance(condition, Header) else condition.name
            return f"{KINDS[type(condition)]} {name} is {condition.value!r}"
        case Within():
            return f"within {said_spans(condition.spans, at)}"
        case _:
            return _said_plainly(condition)


def _said_plainly(condition: Path | Method | Client | Tag | Share) -> str:
    match condition:
        case Method():
            return f"method {' or '.join(condition.names)}"
        case Client():
            return f"client in {', '.join(condition.networks)}"
        case Share():
            return f"of the first {condition.below / 100:g} %"
        case Path() | Tag():
            return f"{KINDS[type(condition)]} {_plain(condition)}"


def _in_brackets(condition: Condition, at: float) -> str:
    return f"({said(condition, at)})" if isinstance(condition, All | Any) else said(condition, at)
