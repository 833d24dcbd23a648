"""The route table: everything an edge needs to know about one app in one env, as one frozen value.

    RouteTable
    ├── who orders it     epoch, token, n (as on the hosts); revision, which only grows
    ├── stable, canary    Track: a release and the peers that serve it
    └── who gets canary   rules (header), then ``weight`` of 10 000 by sticky salted bucket, until ``canary_until``

The edge refuses a table whose revision does not grow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from gopub.canon import Json, canonical
from gopub.traffic.conditions import Condition, Header
from gopub.traffic.conditions import to_json as condition_json

SCHEMA = "gopub/route-table/v1"
FULL = 10_000
"""The weight that sends every subject to the canary."""

Side = Literal["stable", "canary"]
Lapse = Literal["stable", "keep"]
Latency = Literal["auto", "header", "total"]


LEAST_SHARE = 0.1
"""The least that a peer gets while it warms up, of what a warm one gets."""


def share(warmup: float, since: float, now: float) -> float:
    """The share of a warm peer's requests that one gets which was started at ``since``."""
    return min(1.0, max(LEAST_SHARE, (now - since) / warmup)) if warmup > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One process that can answer: the host's name and ``ip:port`` (``[v6]:port``).

    ``since`` is when it was started, seconds since the epoch; None: long ago, so that it does not warm up any more.
    """

    host: str
    address: str
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """A release (hex id) and the peers that serve it; without peers it takes no traffic.

    ``tag`` goes into ``x-gray-tag`` of what it serves, so that whoever is called next can choose by it.
    """

    release: str
    peers: tuple[Peer, ...] = ()
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests of which ``when`` holds go to a track, until a moment (seconds since the epoch) if there is one.

    The first rule that matches wins; one whose time is over matches nothing.
    """

    id: str
    when: Condition
    to: Side = "canary"
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Requests that are counted by themselves, by a pattern of ``spec.endpoints``; the first that fits wins.

    ``slow`` are the seconds above which an answer is counted as slow; None: none is.
    """

    match: str
    slow: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """What an edge does with the requests for ``upstream``, and by whose order.

    ``sticky`` is ``address``, ``header:NAME`` or ``cookie:NAME``; ``canary_until`` is seconds since the epoch;
    ``lapse`` says what its passing means; ``trust`` are the networks whose ``x-forwarded-for`` and gray headers count;
    ``fallback`` lets a request that the canary could not take go to stable; ``latency`` is the time of an answer
    that the edge counts as such: ``auto`` is its end, but of a stream its header. For ``warmup`` seconds from its
    ``since`` on a peer gets less than its turns, growing; 0: all at once. ``endpoints`` are counted by themselves.
    """

    app: str
    env: str
    upstream: str
    revision: int = 1
    epoch: int = 0
    token: str = ""
    n: int = 0
    rollout: str = ""
    salt: str = ""
    sticky: str = "address"
    weight: int = 0
    stable: Track | None = None
    canary: Track | None = None
    canary_until: float | None = None
    lapse: Lapse = "stable"
    rules: tuple[Rule, ...] = ()
    trust: tuple[str, ...] = ()
    fallback: bool = True
    latency: Latency = "auto"
    warmup: float = 0.0
    weight_from: int = 0
    endpoints: tuple[Endpoint, ...] = ()

    def weight_at(self, now: float) -> int:
        """The canary's weight now: it follows what its peers take while they warm up.

        It never falls below ``weight_from``, what it was before.
        """
        peers = self.canary.peers if self.canary else ()
        shares = [1.0 if peer.since is None else share(self.warmup, peer.since, now) for peer in peers]
        if all(one == 1.0 for one in shares):
            return self.weight
        total = 0.0
        for one in shares:  # as the edge adds them up: sum() rounds less
            total += one
        return max(min(self.weight, self.weight_from), math.floor(self.weight * (total / len(shares))))

    def ordered(self, epoch: int, token: str, n: int) -> RouteTable:
        """The same content, ordered by that seat; the revision stays."""
        return replace(self, epoch=epoch, token=token, n=n)

    def hosts(self) -> tuple[str, ...]:
        """The names of all peers, stable first."""
        return tuple(peer.host for track in (self.stable, self.canary) if track for peer in track.peers)


def to_json(table: RouteTable) -> dict[str, Json]:
    """The document that goes to the edges; absent things are null.

    ``latency``, ``warmup``, ``weight_from``, ``endpoints``, ``since`` and ``tag`` are there only where they
    are not the default: edges of older versions do not know them, and refuse the table.
    """
    doc: dict[str, Json] = {
        "schema": SCHEMA,
        "app": table.app,
        "env": table.env,
        "upstream": table.upstream,
        "revision": table.revision,
        "epoch": table.epoch,
        "token": table.token,
        "n": table.n,
        "rollout": table.rollout,
        "salt": table.salt,
        "sticky": table.sticky,
        "weight": table.weight,
        "stable": _track_json(table.stable),
        "canary": _track_json(table.canary),
        "canary_until": table.canary_until,
        "lapse": table.lapse,
        "rules": [_rule_json(rule) for rule in table.rules],
        "trust": list(table.trust),
        "fallback": table.fallback,
    }
    if table.latency != "auto":
        doc["latency"] = table.latency
    if table.endpoints:
        doc["endpoints"] = [_endpoint_json(one) for one in table.endpoints]
    return doc if not table.warmup else {**doc, "warmup": table.warmup, "weight_from": table.weight_from}


def _rule_json(rule: Rule) -> Json:
    """One header and no more is written as it ever was: edges of older versions know no other rule."""
    condition = condition_json(rule.when)
    if isinstance(rule.when, Header) and rule.to == "canary" and rule.until is None:
        return {"id": rule.id, **condition}
    doc: dict[str, Json] = {"id": rule.id, "when": condition, "to": rule.to}
    return doc if rule.until is None else {**doc, "until": rule.until}


def _endpoint_json(endpoint: Endpoint) -> Json:
    return {"match": endpoint.match} | ({} if endpoint.slow is None else {"slow": endpoint.slow})


def _track_json(track: Track | None) -> Json:
    if track is None:
        return None
    doc: dict[str, Json] = {"release": track.release, "peers": [_peer_json(peer) for peer in track.peers]}
    return doc if track.tag is None else {**doc, "tag": track.tag}


def _peer_json(peer: Peer) -> Json:
    doc: dict[str, Json] = {"host": peer.host, "address": peer.address}
    return doc if peer.since is None else {**doc, "since": peer.since}


def encode(table: RouteTable) -> bytes:
    """The canonical bytes of the document: the same table is always the same order to an edge."""
    return canonical(to_json(table))
