"""From the document back to the table, once it has been checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.traffic.check import check
from gopub.traffic.conditions import All as AllOf
from gopub.traffic.conditions import Any as AnyOf
from gopub.traffic.conditions import (
    Client,
    Condition,
    Cookie,
    Header,
    Method,
    Not,
    Path,
    Query,
    Share,
    Tag,
    Within,
)
from gopub.traffic.shapes import TableError, as_number, shape
from gopub.traffic.table import Endpoint, Peer, RouteTable, Rule, Track


def from_json(value: Json) -> RouteTable:
    """Read a document that ``to_json`` wrote, here or on an edge, and check it.

    Raises:
        UsageError: GP501 the shape is wrong; GP502 the table contradicts itself.
    """
    check(value)
    return _table(value)


def condition(value: Any) -> Condition:
    """Read one of the right shape, whatever it says.

    Raises:
        UsageError: GP501.
    """
    try:
        shape("condition", value)
    except TableError as problem:
        raise UsageError(problem.code, problem.reason, hint="see docs/reference/route-table.md") from None
    return _condition(value)


def _table(doc: Any) -> RouteTable:
    plain = {key: doc[key] for key in _TEXTS} | {key: _whole(doc[key]) for key in _WHOLES}
    optional: dict[str, Any] = {key: doc[key] for key in ("latency",) if key in doc}
    if "warmup" in doc:
        optional["warmup"] = float(doc["warmup"])
    if "weight_from" in doc:
        optional["weight_from"] = _whole(doc["weight_from"])
    return RouteTable(
        **plain,
        **optional,
        stable=_track(doc["stable"]),
        canary=_track(doc["canary"]),
        canary_until=as_number(doc["canary_until"]),
        rules=tuple(_rule(one) for one in doc["rules"]),
        trust=tuple(doc["trust"]),
        endpoints=tuple(Endpoint(one["match"], as_number(one.get("slow"))) for one in doc.get("endpoints", ())),
    )


_TEXTS = ("app", "env", "upstream", "token", "rollout", "salt", "sticky", "lapse", "fallback")
_WHOLES = ("revision", "epoch", "n", "weight")


def _whole(number: float) -> int:
    """As an edge holds it: 2.0 is 2."""
    return int(float(number))


def _track(doc: Mapping[str, Any] | None) -> Track | None:
    if doc is None:
        return None
    peers = (Peer(one["host"], one["address"], as_number(one.get("since"))) for one in doc["peers"])
    return Track(doc["release"], tuple(peers), doc.get("tag"))


def _rule(doc: Mapping[str, Any]) -> Rule:
    when = doc["when"] if "when" in doc else {"header": doc["header"]}
    return Rule(doc["id"], _condition(when), doc.get("to", "canary"), as_number(doc.get("until")))


_CONDITIONS: Mapping[str, Callable[[Any], Condition]] = {
    "header": lambda inner: Header(inner["name"], inner["value"]),
    "cookie": lambda inner: Cookie(inner["name"], inner["value"]),
    "query": lambda inner: Query(inner["name"], inner["value"]),
    "path": Path,
    "method": lambda inner: Method(tuple(inner)),
    "client": lambda inner: Client(tuple(inner)),
    "tag": Tag,
    "within": lambda inner: Within(tuple((_whole(begin), _whole(end)) for begin, end in inner)),
    "share": lambda inner: Share(_whole(inner)),
    "all": lambda inner: AllOf(tuple(_condition(one) for one in inner)),
    "any": lambda inner: AnyOf(tuple(_condition(one) for one in inner)),
    "not": lambda inner: Not(_condition(inner)),
}


def _condition(doc: Mapping[str, Any]) -> Condition:
    ((kind, inner),) = doc.items()
    return _CONDITIONS[kind](inner)
