"""Several servers that scrape the same edges, as one source: one may be down, begun anew or behind.

All are asked at once. Of each edge that says who it is the newest reading counts; an older one that follows, from a
server that is behind, gains nothing (``counters.increments``). An edge that cannot say it is another one by each
server: when the first of them does not answer, the counters of the next are a starting point. Whoever does not answer
is named in the notes, holds no look up for long, and is not asked again before its question has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from gopub.health.burn import Spending
from gopub.health.busiest import Busiest
from gopub.health.config import BudgetTarget
from gopub.health.ownread import OwnAnswer
from gopub.health.samples import CounterSnapshot, NoData, ResolvedQuery, RuntimeSnapshot
from gopub.health.sources import MetricSource, OwnSource, PastSource, RouteSource, SpendSource
from gopub.units import say_about

PATIENCE = 1.0
"""Seconds that a look waits for further answers once there is one."""
LONG = 5.0
"""The same where what is asked for may be long."""


class Several:
    """A ``MetricSource``, ``SpendSource`` and ``PastSource`` over several servers, the first one preferred."""

    def __init__(self, sources: Mapping[str, MetricSource], patience: float = PATIENCE, long: float = LONG) -> None:
        """Take the servers by their names, in order."""
        self.sources = tuple(sources.values())
        self._servers = sources
        self._patience, self._long = patience, long
        self._asking: dict[tuple[str, str], asyncio.Task[object]] = {}
        self._told_by: dict[str, str] = {}

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """The newest counters of each edge, whoever has them."""
        found = await self._all("counters", lambda source: source.counters(app, env, releases, at), self._patience)
        good = {name: one for name, one in found.items() if isinstance(one, CounterSnapshot)}
        lost = _reasons(found)
        if not good:
            return _nothing(found)
        whole = together(good)
        return replace(whole, notes=(*whole.notes, *lost), queries=_queries(found))

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        """The longest that one of them has."""
        found = await self._all("history", lambda source: source.history(app, env, releases, at), self._long)
        return _longest(found)

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        """Of each host what the first server says that knows it."""
        found = await self._all("runtime", lambda source: source.runtime(app, env, hosts, at), self._patience)
        good = [one for one in found.values() if isinstance(one, RuntimeSnapshot)]
        if not good:
            return _nothing(found)
        samples = {sample.host: sample for one in reversed(good) for sample in one.hosts}
        return RuntimeSnapshot(at, tuple(samples[host] for host in sorted(samples)), _queries(found))

    async def spending(
        self, app: str, env: str, stable: str | None, wanted: BudgetTarget, due: Sequence[float], at: float
    ) -> Spending | NoData:
        """What the server says that saw most requests: one that began anew knows a part of the past."""

        async def ask(source: MetricSource) -> object:
            if not isinstance(source, SpendSource):
                return NoData("it cannot look back")
            return await source.spending(app, env, stable, wanted, due, at)

        found = await self._all("spending", ask, self._long)
        good = [one for one in found.values() if isinstance(one, Spending)]
        return max(good, key=lambda one: sum(window.attempts for window in one.windows)) if good else _nothing(found)

    async def own(
        self, query: str, app: str, env: str, release: str, hosts: Sequence[str], at: float
    ) -> OwnAnswer | NoData:
        """What the server says that answered last, or the first one that has series; ``server`` tells which it is."""

        async def ask(source: MetricSource) -> object:
            if not isinstance(source, OwnSource):
                return NoData("it answers no queries")
            return await source.own(query, app, env, release, hosts, at)

        what = f"own {query} {release}"
        found = await self._all(what, ask, self._patience)
        good = {name: one for name, one in found.items() if isinstance(one, OwnAnswer)}
        if not good:
            return _nothing(found)
        order = sorted(good, key=lambda name: (not good[name].series, name != self._told_by.get(what)))
        self._told_by[what] = order[0]
        return replace(good[order[0]], server=order[0])

    async def busiest(self, app: str, env: str, hosts: Sequence[str], at: float) -> Busiest | NoData:
        """What the server says that saw most requests."""

        async def ask(source: MetricSource) -> object:
            if not isinstance(source, RouteSource):
                return NoData("it knows no routes")
            return await source.busiest(app, env, hosts, at)

        found = await self._all("busiest", ask, self._long)
        good = [one for one in found.values() if isinstance(one, Busiest)]
        return max(good, key=lambda one: one.requests) if good else _nothing(found)

    async def recorded(self, app: str, env: str, begin: float, end: float) -> tuple[CounterSnapshot, ...] | NoData:
        """The longest past that one of them has; all are waited for."""

        async def ask(source: MetricSource) -> object:
            if not isinstance(source, PastSource):
                return NoData("it keeps no past")
            return await source.recorded(app, env, begin, end)

        answers = await asyncio.gather(*(ask(source) for source in self.sources))
        return _longest(dict(zip(self._servers, answers, strict=True)))

    def close(self) -> None:
        """Close each that can be closed."""
        for source in self.sources:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    async def _all(
        self, what: str, ask: Callable[[MetricSource], Awaitable[object]], patience: float
    ) -> dict[str, object]:
        """Every server's answer, or NoData: all are waited for until one has an answer, and then ``patience`` more."""
        hung = {name for name in self._servers if (what, name) in self._asking and not self._asking[what, name].done()}
        tasks = {
            name: asyncio.ensure_future(_settled(ask(source)))
            for name, source in self._servers.items()
            if name not in hung
        }
        self._asking |= {(what, name): task for name, task in tasks.items()}
        await _until(set(tasks.values()), patience)
        late = f"no answer within {say_about(patience)} of another one"
        return {
            name: tasks[name].result()
            if name in tasks and tasks[name].done()
            else NoData(f"Prometheus at {name}: {'still no answer' if name in hung else late}")
            for name in self._servers
        }


async def _settled(asked: Awaitable[object]) -> object:
    return await asked


async def _until(pending: set[asyncio.Task[object]], patience: float) -> None:
    """Until all are done, or for ``patience`` seconds after one of them had an answer."""
    until: float | None = None
    now = asyncio.get_running_loop().time
    while pending and (until is None or now() < until):
        left = None if until is None else until - now()
        done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if until is None and any(not isinstance(task.result(), NoData) for task in done):
            until = now() + patience


def together(found: Mapping[str, CounterSnapshot]) -> CounterSnapshot:
    """Snapshots of several servers as one: of each edge the newest reading."""
    apart = [_apart(name, one, first=index == 0) for index, (name, one) in enumerate(found.items())]
    chosen: dict[str, CounterSnapshot] = {}
    for one in apart:
        for edge in {*one.edges, *(series.edge for series in one.series)}:
            known = chosen.get(edge)
            if known is None or one.edges.get(edge, 0.0) > known.edges.get(edge, 0.0):
                chosen[edge] = one
    intervals = [one.interval for one in apart if one.interval is not None]
    return CounterSnapshot(
        apart[0].at,
        tuple(series for one in apart for series in one.series if chosen[series.edge] is one),
        {edge: one.edges[edge] for edge, one in chosen.items() if edge in one.edges},
        max(intervals, default=None),
        tuple(dict.fromkeys(note for one in apart for note in one.notes)),
        names={edge: one.names[edge] for edge, one in chosen.items() if edge in one.names},
        follows={edge: before for one in reversed(apart) for edge, before in one.follows.items()},
        identified=frozenset().union(*(one.identified for one in apart)),
    )


def _apart(name: str, found: CounterSnapshot, *, first: bool) -> CounterSnapshot:
    """With edges that cannot say who they are told from those of the other servers, and only by the first one.

    Their names are those of targets, and each server may have others: nobody knows which of them are one edge.
    """
    unsaid = {*found.edges, *(series.edge for series in found.series)} - found.identified
    if not unsaid:
        return found
    new = {edge: f"{edge} by {name}" for edge in unsaid} if first else {}
    kept = {edge: new.get(edge, edge) for edge in (*found.identified, *new)}
    return replace(
        found,
        series=tuple(replace(one, edge=kept[one.edge]) for one in found.series if one.edge in kept),
        edges={kept[edge]: newest for edge, newest in found.edges.items() if edge in kept},
        names={kept[edge]: found.names.get(edge, edge) for edge in kept},
        follows={kept[edge]: before for edge, before in found.follows.items() if edge in kept},
    )


def _longest(found: Mapping[str, object]) -> tuple[CounterSnapshot, ...] | NoData:
    good = [one for one in found.values() if isinstance(one, tuple)]
    return max(good, key=len) if good else _nothing(found)


def _nothing(found: Mapping[str, object]) -> NoData:
    return NoData("; ".join(_reasons(found)), _queries(found))


def _reasons(found: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(one.reason for one in found.values() if isinstance(one, NoData))


def _queries(found: Mapping[str, object]) -> tuple[ResolvedQuery, ...]:
    answers = (one for one in found.values() if isinstance(one, CounterSnapshot | RuntimeSnapshot | NoData))
    return tuple(query for one in answers for query in one.queries)
