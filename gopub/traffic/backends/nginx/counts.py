"""What an edge says it has counted, read as if it lied: a number that is none, and nothing of it is believed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from gopub.canon import Json, bounded
from gopub.traffic.protocol import EdgeCounts, PeerCounts

MOST_VALUES = 2_000_000
"""Values in one answer: a table of 8000 hosts and the counters of two releases on each have fewer."""
_MOST = 2**53
"""No counter is larger: the edge counts in floats, and none above this can grow by 1."""
_MOST_NAMES = 64
"""Classes, and bounds of latency."""


_OUTCOMES = ("ok", "error", "fine", "slow")


@dataclass(frozen=True, slots=True)
class _Told:
    """What the numbers of an answer mean."""

    classes: Sequence[str]
    bounds: Sequence[float]
    endpoints: Sequence[str]


class _Wrong(Exception):  # noqa: N818 - carries a reason to the edge of this module, never further
    """Why an answer is not believed."""


def read_counts(edge: str, answer: Json, app: str, env: str, releases: Collection[str], at: float) -> EdgeCounts:
    """The counters of an upstream that must be of this app and env; an error where one number is wrong.

    ``releases`` are those that were asked for: what it says of another one is not ours.
    """
    try:
        return _read(edge, answer if isinstance(answer, Mapping) else {}, app, env, releases, at)
    except _Wrong as wrong:
        return EdgeCounts(edge, error=f"its counters cannot be read: {wrong}")


def _read(
    edge: str, answer: Mapping[str, Json], app: str, env: str, releases: Collection[str], at: float
) -> EdgeCounts:
    identity = answer.get("edge")
    if not isinstance(identity, str) or not identity or len(identity) > _MOST_NAMES:
        raise _Wrong("it does not say who it is")
    owner = answer.get("app"), answer.get("env")
    if owner == (None, None):
        return EdgeCounts(edge, at, identity, _age(answer))
    if owner != (app, env):
        raise _Wrong(bounded(f"the upstream belongs to {owner[0]}/{owner[1]}"))
    told = _Told(
        _names(answer.get("classes"), 1), _bounds(answer.get("bounds")), _names(answer.get("endpoints", []), 0)
    )
    found = [_peer(one, told) for one in _list(answer.get("series"))]
    peers = {(one.release, one.host): one for one in found if one.release in releases}
    if len(peers) != sum(one.release in releases for one in found):
        raise _Wrong("a host stands there twice")
    return EdgeCounts(edge, at, identity, _age(answer), tuple(peers[key] for key in sorted(peers)))


def _age(answer: Mapping[str, Json]) -> float | None:
    now, since = _number(answer.get("now")), _number(answer.get("since"))
    return None if now is None or since is None else max(0.0, now - since)


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not -_MOST < value < _MOST:
        return None
    return float(value)


def _list(value: Json | None) -> Sequence[Json]:
    if not isinstance(value, list):
        raise _Wrong("a list is missing")
    return value


def _names(value: Json | None, least: int) -> Sequence[str]:
    names = [name for name in _list(value) if isinstance(name, str)]
    if len(names) != len(_list(value)) or len(set(names)) != len(names) or not least <= len(names) <= _MOST_NAMES:
        raise _Wrong("its classes or endpoints are none")
    return names


def _bounds(value: Json | None) -> Sequence[float]:
    bounds = [bound for one in _list(value) if (bound := _number(one)) is not None]
    rising = all(a < b for a, b in pairwise([0.0, *bounds]))
    if len(bounds) != len(_list(value)) or not rising or not 0 < len(bounds) <= _MOST_NAMES:
        raise _Wrong("its bounds of latency are none")
    return [*bounds, math.inf]


def _peer(value: Json, told: _Told) -> PeerCounts:
    if not isinstance(value, Mapping):
        raise _Wrong("a series is none")
    release, host = value.get("release"), value.get("host")
    if not isinstance(release, str) or not isinstance(host, str) or not release or not host:
        raise _Wrong("a series without release or host")
    counted = dict(zip(told.classes, _counts(value.get("classes"), len(told.classes), host), strict=True))
    latency = _cumulative(value.get("latency"), told.bounds, host)
    warming = _cumulative(value["warming"], told.bounds, host) if "warming" in value else {}
    endpoints = _endpoints(value["endpoints"], told.endpoints, host) if "endpoints" in value else {}
    return PeerCounts(release, host, counted, latency, warming, endpoints)


def _endpoints(value: Json, names: Sequence[str], host: str) -> Mapping[tuple[str, str], float]:
    """Where nothing says what is slow, two counters of an endpoint; null of one that is not counted here."""
    each = _list(value)
    if len(each) != len(names):
        raise _Wrong(bounded(f"{len(each)} endpoints of {host} where {len(names)} belong"))
    found: dict[tuple[str, str], float] = {}
    for name, one in zip(names, each, strict=True):
        if one is None:
            continue
        known = _OUTCOMES[: 2 if len(_list(one)) == 2 else 4]
        found |= zip(((name, how) for how in known), _counts(one, len(known), host), strict=True)
    return found


def _cumulative(value: Json | None, bounds: Sequence[float], host: str) -> Mapping[float, float]:
    return dict(zip(bounds, accumulate(_counts(value, len(bounds), host)), strict=True))


def _counts(value: Json | None, length: int, host: str) -> Sequence[float]:
    """Counters as the edge has them: whole numbers from 0 on."""
    numbers = _list(value)
    if len(numbers) != length:
        raise _Wrong(bounded(f"{len(numbers)} counters of {host} where {length} belong"))
    for number in numbers:
        if type(number) is not int or not 0 <= number < _MOST:
            raise _Wrong(bounded(f"{number!r} of {host} is no counter"))
    return [float(number) for number in numbers]  # type: ignore[arg-type]
