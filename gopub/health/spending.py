"""Reads what was spent of the error budget, now and then."""

from __future__ import annotations

from dataclasses import replace

from gopub.health.burn import Spending
from gopub.health.config import JudgeConfig
from gopub.health.samples import NoData
from gopub.health.sources import MetricSource, SpendSource

EVERY = 30.0
"""Seconds between two readings: a window of 30 days is much to read, and the shortest is of 5 minutes."""


class SpendWatch:
    """One per observer."""

    def __init__(self, metrics: MetricSource, config: JudgeConfig) -> None:
        """Take the source; where it cannot look back, each reading says so."""
        self._source = metrics if isinstance(metrics, SpendSource) else None
        self._config = config
        self._last: Spending | None = None

    async def read(self, at: float) -> Spending | None:
        """The newest reading; None where nobody asks for the budget."""
        config = self._config
        if config.budget is None:
            return None
        if self._last is None or not 0 <= at - self._last.at < EVERY:
            self._last = await self._ask(at)
        return self._last

    async def _ask(self, at: float) -> Spending:
        config = self._config
        if self._source is None or config.budget is None:
            return Spending(at, unread="these metrics cannot tell what was spent before")
        found = await self._source.spending(config.app, config.env, config.stable, config.budget, at)
        if isinstance(found, NoData):
            return Spending(at, queries=found.queries, unread=found.reason)
        return replace(found, at=at)
