"""Counters by two ways: the edges themselves, and what scrapes them. One is judged by, the other is held against it.

Nobody waits for the other one: it is asked in the background, now and then. Where edges that are judged by do not all
answer, the scraper's counts stand in for them, never below what an edge said before: a scrape is older than an answer,
and a counter that seems to fall would be taken for a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gopub.health.backends.edges import EdgeSource
from gopub.health.burn import Spending
from gopub.health.busiest import Busiest
from gopub.health.config import BudgetTarget
from gopub.health.crosscheck import EVERY, LATE, Comparing, Sayings, compared, grown, said
from gopub.health.ownread import OwnAnswer
from gopub.health.samples import CounterSnapshot, NoData, RuntimeSnapshot
from gopub.health.sources import MetricSource, OwnSource, PastSource, RouteSource, SpendSource
from gopub.telemetry import log

ASKED_AGAIN = 60.0
"""Seconds after which an edge of an older version is asked again: it may have been brought up to date."""

_log = log("checked")


class CheckedSource:
    """A ``MetricSource`` of two; what is asked of the past and of processes is the scraper's to answer."""

    def __init__(
        self, edges: EdgeSource, scraper: MetricSource, *, directly: bool, every: float = EVERY, late: float = LATE
    ) -> None:
        """``directly``: the edges' own answers are judged by; ``every`` and ``late`` seconds as in ``crosscheck``."""
        self._edges, self._scraper, self._directly = edges, scraper, directly
        self._every, self._late = every, late
        self._task: asyncio.Task[CounterSnapshot | NoData] | None = None
        self._asked: float | None = None
        self._scraped: CounterSnapshot | None = None
        self._last: CounterSnapshot | None = None
        self._releases: tuple[str, ...] = ()
        self._sayings, self._comparing = Sayings(), Comparing()
        self._too_old: float | None = None

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """The counts that are judged by, with a note where the other ones have differed for long."""
        if tuple(releases) != self._releases:  # sums of other series
            self._releases, self._sayings = tuple(releases), Sayings()
        ask = self._by_edges if self._directly else self._by_scraper
        found = await ask(app, env, releases, at)
        return found if isinstance(found, NoData) else replace(found, notes=(*found.notes, *self._comparing.notes))

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        """The scraper's past; where it has none, what the edges were heard to say."""
        found = await self._scraper.history(app, env, releases, at)
        if found and not isinstance(found, NoData):
            return found
        heard = await self._edges.history(app, env, releases, at)
        return found if isinstance(heard, NoData) else heard

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        """The scraper's."""
        return await self._scraper.runtime(app, env, hosts, at)

    async def spending(
        self, app: str, env: str, stable: str | None, wanted: BudgetTarget, due: Sequence[float], at: float
    ) -> Spending | NoData:
        """The scraper's."""
        if not isinstance(self._scraper, SpendSource):
            return NoData("these metrics cannot tell what was spent before")
        return await self._scraper.spending(app, env, stable, wanted, due, at)

    async def own(
        self, query: str, app: str, env: str, release: str, hosts: Sequence[str], at: float
    ) -> OwnAnswer | NoData:
        """The scraper's."""
        if not isinstance(self._scraper, OwnSource):
            return NoData("these metrics answer no queries")
        return await self._scraper.own(query, app, env, release, hosts, at)

    async def busiest(self, app: str, env: str, hosts: Sequence[str], at: float) -> Busiest | NoData:
        """The scraper's."""
        if not isinstance(self._scraper, RouteSource):
            return NoData("these metrics know no routes")
        return await self._scraper.busiest(app, env, hosts, at)

    async def recorded(self, app: str, env: str, begin: float, end: float) -> tuple[CounterSnapshot, ...] | NoData:
        """The scraper's."""
        if not isinstance(self._scraper, PastSource):
            return NoData("these metrics keep no past")
        return await self._scraper.recorded(app, env, begin, end)

    async def aclose(self) -> None:
        """Wait for nobody any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._edges.aclose()

    async def _by_edges(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        own = await self._own(app, env, releases, at)
        if isinstance(own, NoData):
            return await self._instead(own, app, env, releases, at)
        self._last = own
        self._sayings.add(said(own))
        other = self._heard()
        if other is not None:
            self._compare(other, own)
        self._due(self._scraper, app, env, releases, at)
        return own

    async def _by_scraper(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        found = await self._scraper.counters(app, env, releases, at)
        own = self._heard()
        if isinstance(own, CounterSnapshot):
            self._sayings.add(said(own))
            if self._scraped is not None:
                self._compare(self._scraped, own)
        if not isinstance(found, NoData) and self._due(self._edges, app, env, releases, at):
            self._scraped = found
        return found

    async def _own(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        if self._too_old is not None and 0 <= at - self._too_old < ASKED_AGAIN:
            return NoData(self._edges.say_older())
        own = await self._edges.counters(app, env, releases, at)
        self._too_old = at if self._edges.older else None
        return own

    async def _instead(
        self, own: NoData, app: str, env: str, releases: Sequence[str], at: float
    ) -> CounterSnapshot | NoData:
        found = await self._scraper.counters(app, env, releases, at)
        queries = (*own.queries, *found.queries)
        if isinstance(found, NoData):
            return NoData(f"{own.reason}; {found.reason}", queries)
        found = grown(self._last, found) if self._last else found
        note = f"{own.reason}: this look counts by what is scraped"
        return replace(found, queries=queries, notes=(*found.notes, note))

    def _due(self, other: MetricSource, app: str, env: str, releases: Sequence[str], at: float) -> bool:
        """Ask the other one, where that is due; whether it was."""
        if self._task is not None or (self._asked is not None and 0 <= at - self._asked < self._every):
            return False
        self._asked = at
        self._task = asyncio.create_task(_asked(other, app, env, releases, at))
        return True

    def _heard(self) -> CounterSnapshot | NoData | None:
        """What the other one answered meanwhile; None where it has not, or nobody asked."""
        if self._task is None or not self._task.done():
            return None
        task, self._task = self._task, None
        return task.result()

    def _compare(self, scraped: CounterSnapshot | NoData, own: CounterSnapshot) -> None:
        found = compared(self._sayings, scraped, said(own), self._late)
        if found is not None:
            self._comparing = self._comparing.found(found)


async def _asked(
    source: MetricSource, app: str, env: str, releases: Sequence[str], at: float
) -> CounterSnapshot | NoData:
    """Whatever goes wrong with the one that is only compared with, no look ends by it."""
    try:
        return await source.counters(app, env, releases, at)
    except Exception as error:  # noqa: BLE001
        _log.exception("what the edges count cannot be compared")
        return NoData(f"the other source failed: {type(error).__name__}")
