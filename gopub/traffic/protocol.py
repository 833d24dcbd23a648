"""What the driver asks of any router; a backend is one class with these methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from gopub.errors import GopubError, PartialError
from gopub.traffic.signed import EdgeSigning
from gopub.traffic.table import RouteTable
from gopub.units import say_seconds

MOST_SKEW = 5.0
"""Seconds that an edge's clock may differ from the driver's: the canary's term, 30 s, is named by the one and ends by
the other."""


Purpose = Literal["grow", "renew", "back"]
"""What a table is put for: it gives the canary more, it prolongs its term alone, or it goes back."""


@dataclass(frozen=True, slots=True)
class EdgeAck:
    """One edge's answer to a table: kept on its disk and in force (``ok``), or why not.

    ``skew`` are the seconds that its clock is ahead of ours, at the least, below 0 behind; None where it did not say.
    ``identity`` is what its series bear as ``edge_id``, "" on an edge of an older version.
    """

    edge: str
    ok: bool
    revision: int
    error: str = ""
    skew: float | None = field(default=None, compare=False)
    identity: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class EdgeSource:
    """What an edge's watcher tells of the source of its tables.

    ``since`` it is or is not ``up``, ``last`` it answered: seconds since the epoch by the edge's clock, 0 never.
    ``refused`` of its values were not taken; ``what`` is wrong, in words.
    """

    kind: str
    up: bool
    since: float
    last: float
    refused: int
    what: str = ""


@dataclass(frozen=True, slots=True)
class EdgeStatus:
    """What one edge obeys for an upstream, and the requests that each host holds now.

    ``error`` says why the edge could not be asked; then nothing else is known.
    ``table`` is None on an edge that has none; epoch, token and n are then 0, "" and 0. ``skew`` and
    ``identity`` as in ``EdgeAck``. ``source`` is None where its tables come from nowhere but the driver. ``tables``
    is the version of ``route_table.json`` that it understands, 0 where edges of its kind have none.
    ``signing`` is None where the edge says nothing of signatures. ``is_source``: it is no edge but the source itself,
    which sends no request anywhere.
    ``addresses`` are the requests in flight by address; None where an edge does not tell them. ``trace`` is the id of
    the trace for which the table was put, empty where none came with it.
    """

    edge: str
    table: RouteTable | None = None
    inflight: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    skew: float | None = field(default=None, compare=False)
    identity: str = field(default="", compare=False)
    source: EdgeSource | None = field(default=None, compare=False)
    tables: int = field(default=0, compare=False)
    signing: EdgeSigning | None = field(default=None, compare=False)
    is_source: bool = False
    addresses: Mapping[str, int] | None = None
    trace: str = field(default="", compare=False)

    @property
    def revision(self) -> int:
        """Of the table in force, 0 without one."""
        return self.table.revision if self.table else 0

    @property
    def epoch(self) -> int:
        """Of the seat whose order is in force, 0 without one."""
        return self.table.epoch if self.table else 0

    @property
    def token(self) -> str:
        """Of the seat whose order is in force."""
        return self.table.token if self.table else ""

    @property
    def n(self) -> int:
        """Of the order in force, 0 without one."""
        return self.table.n if self.table else 0


@dataclass(frozen=True, slots=True)
class EdgeFiles:
    """Whether an edge takes its own files, and what it said of them."""

    edge: str
    fine: bool
    said: str = ""


@dataclass(frozen=True, slots=True)
class PeerCounts:
    """What one edge counted for one release (12 characters) on one host since its counters began.

    ``latency`` and ``warming``: upper bound in seconds (``inf`` for all) → answers not slower; ``warming`` those of a
    host that warmed up when it was asked, empty where the edge does not count them apart. ``endpoints``: declared
    endpoint and ``ok``, ``error``, ``fine`` or ``slow`` → how many.
    """

    release: str
    host: str
    classes: Mapping[str, float]
    latency: Mapping[float, float] = field(default_factory=dict)
    warming: Mapping[float, float] = field(default_factory=dict)
    endpoints: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EdgeCounts:
    """One edge's counters of one upstream at the moment of its answer, ``at`` by the driver's clock.

    ``identity`` as in ``EdgeAck``: it names one set of counters. ``age`` are the seconds since these began, by the
    edge's own clock; None where it does not say. ``error`` says why the edge could not be asked; then nothing else is
    known. ``older``: its program cannot be asked for counters.
    """

    edge: str
    at: float = 0.0
    identity: str = ""
    age: float | None = None
    peers: tuple[PeerCounts, ...] = ()
    error: str = ""
    older: bool = False


class Router(Protocol):
    """All edges of an environment."""

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Order every edge, in parallel; never raises for an edge that refuses or cannot be reached."""

    async def status(self, app: str, env: str, upstream: str) -> tuple[EdgeStatus, ...]:
        """Ask every edge, in parallel; never raises for an edge that cannot be reached."""

    async def close(self) -> None:
        """Let go of what was opened."""


@runtime_checkable
class PurposefulRouter(Protocol):
    """A ``Router`` to which it matters what a table is put for: its edges take tables from elsewhere."""

    async def put_for(self, table: RouteTable, purpose: Purpose) -> tuple[EdgeAck, ...]:
        """Order every edge; never raises for an edge, or a source, that refuses or cannot be reached."""


@runtime_checkable
class CountingRouter(Protocol):
    """A ``Router`` whose edges can be asked for what they count; not every one's can."""

    async def count(self, edge: str, app: str, env: str, upstream: str, releases: Sequence[str]) -> EdgeCounts:
        """Ask one edge for its counters of these releases; never raises for one that cannot be reached."""


async def put_for(router: Router, table: RouteTable, purpose: Purpose) -> tuple[EdgeAck, ...]:
    """Put a table, and say what for where that matters."""
    if isinstance(router, PurposefulRouter):
        return await router.put_for(table, purpose)
    return await router.put(table)


def in_flight(statuses: Sequence[EdgeStatus], hosts: Sequence[str]) -> int | None:
    """Requests that these hosts hold over all edges; None while an edge cannot be asked: it may still send some."""
    if any(status.error for status in statuses if not status.is_source):
        return None
    return sum(status.inflight.get(host, 0) for status in statuses for host in hosts)


def in_flight_at(statuses: Sequence[EdgeStatus], addresses: Sequence[str]) -> int | None:
    """Requests that are held at these addresses over all edges; None while an edge cannot be asked or does not tell."""
    asked = [status for status in statuses if not status.is_source]
    if any(status.error or (status.addresses is None and status.table is not None) for status in asked):
        return None
    return sum((status.addresses or {}).get(address, 0) for status in asked for address in addresses)


def confirm(table: RouteTable, acks: Sequence[EdgeAck]) -> None:
    """Insist that every edge took the table: a weight may grow only then.

    Raises:
        PartialError: GP503 names the edges that did not, and why.
    """
    missing = [f"{ack.edge}: {ack.error}" for ack in acks if not ack.ok]
    if missing:
        raise PartialError(
            "GP503",
            f"{len(missing)} of {len(acks)} edges did not take revision {table.revision}"
            f" of {table.app}/{table.env}: {'; '.join(missing)}",
            hint="see whether the edge is up and who holds its table: gopub route show",
        )


def say_skew(skew: float) -> str:
    """``45s ahead of`` or ``45s behind``."""
    return f"{say_seconds(round(abs(skew), 1))} {'ahead of' if skew > 0 else 'behind'}"


def agree_on_time(skews: Mapping[str, float]) -> None:
    """Insist that the edges' clocks agree with ours, for the canary's term is a moment on both.

    Raises:
        GopubError: GP509 names the edges that do not agree, and by how much.
    """
    off = [f"{edge}'s is {say_skew(skew)} ours" for edge, skew in sorted(skews.items()) if abs(skew) > MOST_SKEW]
    if off:
        raise GopubError(
            "GP509",
            f"the clocks of edges and driver differ by more than {MOST_SKEW:g}s ({'; '.join(off)}), so a canary's term"
            " would end too early or too late; set the clock that is wrong (chrony, NTP)",
            hint="`chronyc tracking` on both sides says which one; `gopub route show` shows the difference",
        )


def agree_on_tables(asked: int, understood: Mapping[str, int]) -> None:
    """Insist that every edge understands what the tables to come say; of a kind that has no versions (0) all are fine.

    Raises:
        GopubError: GP512 names the edges that would refuse them.
    """
    older = sorted(edge for edge, version in understood.items() if 0 < version < asked)
    if older:
        raise GopubError(
            "GP512",
            f"{', '.join(older)}: an edge of an older gopub, which does not know `route` or `traffic.tag`",
            hint="update the edges first (`gopub route install`), or leave `route` and `traffic.tag` out meanwhile",
        )


def agree_on_latency(latency: str, identities: Mapping[str, str | None]) -> None:
    """Insist that every edge knows the table's key ``latency`` where it is not the default.

    ``identities`` are those that the edges told: "" on an edge of an older version, None while it has not answered.

    Raises:
        GopubError: GP512 names the edges that would refuse the table.
    """
    older = sorted(edge for edge, identity in identities.items() if identity == "")
    if older and latency != "auto":
        raise GopubError(
            "GP512",
            f"{', '.join(older)}: an edge of an older gopub, which does not know `traffic.latency: {latency}`",
            hint="update the edges first (`gopub route install`), or leave `latency` out meanwhile",
        )
