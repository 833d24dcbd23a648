"""Reads what was spent of the error budget, now and then, and keeps no look waiting for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gopub.health.burn import Spending, Spent, spans
from gopub.health.config import JudgeConfig
from gopub.health.samples import NoData
from gopub.health.sources import MetricSource, SpendSource

EVERY = 30.0
"""Seconds between two readings."""
PART = 1000.0
"""A window is read again after this part of it at the soonest: one of 30 days is much to read, and hardly moves."""
PATIENCE = 1.0
"""Seconds that a look waits for a reading; one that takes longer is for a later look. Going back never waits for it."""


class SpendWatch:
    """One per observer."""

    def __init__(self, metrics: MetricSource, config: JudgeConfig, patience: float = PATIENCE) -> None:
        """Take the source; where it cannot look back, each reading says so."""
        self._source = metrics if isinstance(metrics, SpendSource) else None
        self._config, self._patience = config, patience
        self._last: Spending | None = None
        self._known: dict[float, tuple[float, Spent]] = {}
        self._asking: asyncio.Task[Spending] | None = None

    async def read(self, at: float) -> Spending | None:
        """The newest reading; None where nobody asks for the budget."""
        if self._config.budget is None:
            return None
        if self._asking is None and (self._last is None or not 0 <= at - self._last.at < EVERY):
            self._asking = asyncio.create_task(self._ask(at))
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=self._patience)
            if self._asking.done():
                self._last, self._asking = self._asking.result(), None
        return self._last or Spending(at, unread="its first reading is still under way")

    async def _ask(self, at: float) -> Spending:
        config = self._config
        if self._source is None or config.budget is None:
            return Spending(at, unread="these metrics cannot tell what was spent before")
        due = [span for span in spans(config.budget) if self._is_due(span, at)]
        found = await self._source.spending(config.app, config.env, config.stable, config.budget, due, at)
        if isinstance(found, NoData):
            return Spending(at, queries=found.queries, unread=found.reason)
        self._known |= {one.seconds: (at, one) for one in found.windows}
        return replace(found, at=at, windows=tuple(self._known[span][1] for span in sorted(self._known)))

    def _is_due(self, span: float, at: float) -> bool:
        read, _ = self._known.get(span, (None, None))
        return read is None or not 0 <= at - read < max(EVERY, span / PART)
