"""Whether a condition holds of a request: pure, the same as conditions.lua on the edge."""

from __future__ import annotations

from gopub.traffic.addresses import Networks
from gopub.traffic.asked import Asked
from gopub.traffic.buckets import bucket
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


def holds(condition: Condition, asked: Asked, salt: str) -> bool:
    """Whether it holds; of a request whose tags are malformed nobody asks."""
    match condition:
        case AllOf(of):
            return all(holds(one, asked, salt) for one in of)
        case AnyOf(of):
            return any(holds(one, asked, salt) for one in of)
        case Not(of):
            return not holds(of, asked, salt)
        case Share(below):
            return asked.subject != "" and bucket(salt, asked.subject) < below
        case Header() | Cookie() | Query():
            return _is_said(condition, asked)
        case _:
            return _lies_in(condition, asked)


def _is_said(condition: Header | Cookie | Query, asked: Asked) -> bool:
    match condition:
        case Header(name, value):
            return asked.header(name) == value
        case Cookie(name, value):
            return asked.cookie(name) == value
        case Query(name, value):
            return asked.query.get(name) == value.encode()


def _lies_in(condition: Path | Method | Client | Tag | Within, asked: Asked) -> bool:
    match condition:
        case Path(prefix):
            return asked.path == prefix or asked.path.startswith(prefix.rstrip("/") + "/")
        case Method(names):
            return asked.method in names
        case Client(networks):
            return Networks(networks).hold(asked.client)
        case Tag(name):
            return name in (asked.tags or ())
        case Within(spans):
            return any(begin <= asked.at < end for begin, end in spans)
