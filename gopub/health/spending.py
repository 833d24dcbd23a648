"""Reads what was spent of the error budget, now and then, and keeps no look waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from gopub.health.burn import Spending, Spent, spans
from gopub.health.config import JudgeConfig
from gopub.health.samples import NoData
from gopub.health.sources import SpendSource
from gopub.telemetry import log
from gopub.units import say_about

EVERY = 30.0
"""Seconds between two readings."""
PART = 1000.0
"""A window is read again after this part of it at the soonest: one of 30 days is much to read, and hardly moves."""
PATIENCE = 1.0
"""Seconds that the look which begins a reading waits for it; what takes longer is for a later look, and none waits."""
LONGEST = 60.0
"""Seconds after which a reading is given up: what was spent before that says nothing of now."""

_log = log("spending")


async def read_within(
    source: object, config: JudgeConfig, due: Sequence[float], at: float, longest: float = LONGEST
) -> Spending:
    """What a source says was spent, the windows that are ``due``; whatever goes wrong is said and never raised.

    A budget can only keep a rollout from growing, so no fault of its source may end a look, or a plan.
    """
    if not isinstance(source, SpendSource) or config.budget is None:
        return Spending(at, unread="these metrics cannot tell what was spent before")
    try:
        asked = source.spending(config.app, config.env, config.stable, config.budget, due, at)
        found = await asyncio.wait_for(asked, longest)
    except TimeoutError:
        return Spending(at, unread=f"no answer within {say_about(longest)}")
    except Exception as error:  # noqa: BLE001 - whatever a source raises, the way back goes on
        _log.exception("the error budget cannot be read")
        return Spending(at, unread=f"its source failed: {type(error).__name__}")
    if isinstance(found, NoData):
        return Spending(at, queries=found.queries, unread=found.reason)
    return found


class SpendWatch:
    """One per observer."""

    def __init__(self, metrics: object, config: JudgeConfig, patience: float = PATIENCE) -> None:
        """Take the source; where it cannot look back, each reading says so."""
        self._source, self._config, self._patience = metrics, config, patience
        self._last: Spending | None = None
        self._known: dict[float, tuple[float, Spent]] = {}
        self._asking: asyncio.Task[Spending] | None = None

    async def read(self, at: float) -> Spending | None:
        """The newest reading; None where nobody asks for the budget."""
        if self._config.budget is None:
            return None
        if self._asking is None and (self._last is None or not 0 <= at - self._last.at < EVERY):
            self._asking = asyncio.create_task(self._ask(at))
            await asyncio.wait({self._asking}, timeout=self._patience)
        if self._asking is not None and self._asking.done():
            self._last, self._asking = self._asking.result(), None
        return self._last or Spending(at, unread="its first reading is still under way")

    async def _ask(self, at: float) -> Spending:
        due = [span for span in spans(self._config.budget) if self._is_due(span, at)] if self._config.budget else []
        found = await read_within(self._source, self._config, due, at)
        if found.unread:
            return found
        self._known |= {one.seconds: (at, one) for one in found.windows}
        return replace(found, at=at, windows=tuple(self._known[span][1] for span in sorted(self._known)))

    def _is_due(self, span: float, at: float) -> bool:
        read, _ = self._known.get(span, (None, None))
        return read is None or not 0 <= at - read < max(EVERY, span / PART)
