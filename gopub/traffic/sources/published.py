"""Edges that take their tables from a source: published once, then each edge is asked until it holds that table.

Who puts a table says what for (``Purpose``), for a source that is away means another thing to each:

1. grow: nothing goes past the source. A canary gets more only where all edges have come to the same table by it.
2. renew: a table that changes nothing but the canary's term. By the source, and where that is away to the edges
   directly: a canary that is well is not taken back because etcd is.
3. back: to the source and to every edge directly, at the same time. Going back waits for no source.

The source is told of as one edge more: one that did not take the last table is owed it like any edge, and gets it from
``recover`` as soon as it answers. Until then no watcher can bring an older table: an edge refuses one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError
from gopub.telemetry import log
from gopub.traffic.protocol import CountingRouter, EdgeAck, EdgeCounts, EdgeStatus, Purpose, Router
from gopub.traffic.sources.envelope import enveloped, opened
from gopub.traffic.sources.fence import far_off, refusal
from gopub.traffic.sources.protocol import Held, Source
from gopub.traffic.table import RouteTable

_log = log("source")
IDENTITY = "source"
"""What stands where an edge says who it is."""
_TRIES = 5
"""Of a swap that somebody else was quicker at."""
_LOOK = 0.25
"""Seconds between two looks at the edges; later ones are further apart."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: for the source, for it where somebody goes back or asks, where a term is renewed, and for the edges."""

    publish: float = 8.0
    back: float = 3.0
    renew: float = 1.5
    converge: float = 10.0


Ordered = Callable[[RouteTable], Awaitable[tuple[bytes, str]]]
"""Gives a table's bytes, and the signature's header, empty where it goes unsigned."""


class PublishedRouter:
    """A ``Router`` whose edges watch a source; ``inner`` reaches them directly."""

    def __init__(
        self,
        inner: Router,
        edges: Sequence[str],
        kind: str,
        source: Callable[[], Source],
        ordered: Ordered,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Ask nobody yet; ``source`` opens it when it is asked first, for going back needs none of its files."""
        self._inner, self._edges, self._open_source, self._ordered = inner, tuple(edges), source, ordered
        self._opened: Source | None = None
        self._last: tuple[RouteTable, bytes] | None = None
        self._limits, self._clock = limits or Limits(), clock or SystemClock()
        self._away = False
        self.name = f"source {kind}"

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """By the source alone; see ``put_for``."""
        return await self.put_for(table, "grow")

    async def put_for(self, table: RouteTable, purpose: Purpose) -> tuple[EdgeAck, ...]:
        """Publish a table and wait for the edges, or go past the source, as the purpose asks (the numbers above)."""
        if purpose == "back" or (purpose == "renew" and self._away):
            limit = self._limits.renew if self._away else self._limits.back
            direct, its = await asyncio.gather(self._inner.put(table), self._publish(table, limit))
            return (*direct, its)
        its = await self._publish(table, self._limits.publish if purpose == "grow" else self._limits.renew)
        if its.ok:
            return (*await self._converged(table), its)
        if purpose == "renew" and self._away:
            return (*await self._inner.put(table), its)
        return (
            *(EdgeAck(edge, ok=False, revision=0, error=f"{self.name} has not taken it") for edge in self._edges),
            its,
        )

    async def status(self, app: str, env: str, upstream: str) -> tuple[EdgeStatus, ...]:
        """The edges, and the source as one more."""
        edges, its = await asyncio.gather(self._inner.status(app, env, upstream), self._holds(app, env, upstream))
        known = max((one.table for one in edges if one.table), key=lambda table: table.revision, default=None)
        if its.table and known and far_off(known, its.table):
            its = EdgeStatus(self.name, error="it holds a table with numbers that gopub never gave", is_source=True)
        return (*edges, its)

    async def count(self, edge: str, app: str, env: str, upstream: str, releases: Sequence[str]) -> EdgeCounts:
        """As the edge says it."""
        if not isinstance(self._inner, CountingRouter):
            return EdgeCounts(edge, error="it cannot be asked for its counters", older=True)
        return await self._inner.count(edge, app, env, upstream, releases)

    async def close(self) -> None:
        """Let go of the source and the edges."""
        if self._opened:
            await self._opened.close()
        await self._inner.close()

    def _source(self) -> Source:
        if self._opened is None:
            self._opened = self._open_source()
        return self._opened

    async def _publish(self, table: RouteTable, limit: float) -> EdgeAck:
        try:
            async with asyncio.timeout(limit):
                ack = await self._swapped(table)
        except TimeoutError:
            ack = self._refused(f"no answer within {limit:g}s")
        except GopubError as error:
            ack = self._refused(error.problem.removeprefix(f"{self.name}: "))
        away = not ack.ok and not ack.revision
        if away and not self._away:
            _log.warning("%s is away: %s; edges go on with the table that they have", self.name, ack.error)
        elif self._away and not away:
            _log.info("%s answers again", self.name)
        self._away = away
        return ack

    def _refused(self, why: str, revision: int = 0) -> EdgeAck:
        return EdgeAck(self.name, ok=False, revision=revision, error=why, identity=IDENTITY)

    async def _swapped(self, table: RouteTable) -> EdgeAck:
        """By compare and swap, so that an older controller, or one that is late, takes no newer table away."""
        source, value = self._source(), await self._value(table)
        for _ in range(_TRIES):
            before = await source.read(table.upstream)
            why, held = self._objection(table, before)
            if why:
                return self._refused(f"it holds revision {held}: {why}", held)
            if (before and before.value == value) or await source.swap(table.upstream, value, before):
                return EdgeAck(self.name, ok=True, revision=table.revision, identity=IDENTITY)
        return self._refused("others write there at the same time")

    async def _value(self, table: RouteTable) -> bytes:
        """The same for the same table: another signature of it would be another value."""
        if self._last is None or self._last[0] != table:
            self._last = table, enveloped(table.upstream, *await self._ordered(table))
        return self._last[1]

    def _objection(self, table: RouteTable, before: Held | None) -> tuple[str, int]:
        """Why it must not be written, and the revision that is held; the same table again, signed anew, may be."""
        found = opened(table.upstream, before.value) if before else None
        if found is None or far_off(table, found[1]):
            if before:
                _log.warning("%s: what it holds for %s no gopub wrote: it is overwritten", self.name, table.upstream)
            return "", 0
        return ("" if found[1] == table else refusal(table, found[1])), found[1].revision

    async def _converged(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Ask the edges until none that answers holds an older table, or the time is over."""
        end, pause = self._clock.now() + self._limits.converge, _LOOK
        while True:
            found = await self._inner.status(table.app, table.env, table.upstream)
            waits = [one for one in found if not one.error and one.revision < table.revision]
            if not waits or self._clock.now() >= end:
                return tuple(_ack(table, one) for one in found)
            await self._clock.sleep(pause)
            pause = min(1.0, pause * 1.5)

    async def _holds(self, app: str, env: str, upstream: str) -> EdgeStatus:
        """What the source holds, as if it were an edge; who goes back asks this first, so it waits for no dead one."""
        its = EdgeStatus(self.name, identity=IDENTITY, is_source=True)
        limit = self._limits.renew if self._away else self._limits.back
        try:
            async with asyncio.timeout(limit):
                held = await self._source().read(upstream)
        except TimeoutError:
            self._away = True
            return replace(its, error=f"no answer within {limit:g}s")
        except GopubError as error:
            self._away = True
            return replace(its, error=error.problem.removeprefix(f"{self.name}: "))
        found = opened(upstream, held.value) if held else None
        if held and not found:
            return replace(its, error="what it holds is no route table")
        if found and (found[1].app, found[1].env) != (app, env):
            return replace(its, error=f"upstream {upstream} belongs to {found[1].app}/{found[1].env}")
        return replace(its, table=found[1] if found else None)


def _ack(table: RouteTable, status: EdgeStatus) -> EdgeAck:
    """What an edge's status means for a table that was published."""
    edge, skew, identity = status.edge, status.skew, status.identity
    if status.error:
        return EdgeAck(edge, ok=False, revision=0, error=status.error)
    if status.table == table:
        return EdgeAck(edge, ok=True, revision=table.revision, skew=skew, identity=identity)
    why = f"it holds revision {status.revision}, not {table.revision}; {_of_watcher(status)}"
    return EdgeAck(edge, ok=False, revision=status.revision, error=why, skew=skew, identity=identity)


def _of_watcher(status: EdgeStatus) -> str:
    told = status.source
    if told is None:
        return "no watcher tells of a source there: gopub route install"
    return f"its watcher of {told.kind} says: {told.what or ('it answers' if told.up else 'it is away')}"
