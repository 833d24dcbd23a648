"""How much of the error budget is left, and how fast it burns. Pure.

The budget is what the SLO allows to fail: ``error_rate`` of the requests in a window, such as 30 days. The burn rate is
the error rate ÷ what the SLO allows: at 1 the budget lasts exactly as long as its window.

1.  **Several windows** (the multi-window, multi-burn-rate rule): the budget burns too fast where both windows of a pair
    burn at its factor or more, the long one for weight and the short one because it is going on: 14.4 over an hour and
    5 minutes, 6 over 6 hours and 30 minutes, 1 over 3 days and 6 hours.
2.  **The article's own rule**: the error rate of 5 minutes is above the 99th percentile of what stable showed in a day,
    without a break for 5 minutes.
3.  Neither speaks of a handful: each window has ``LEAST`` errors and ``min_requests`` requests at least, and errors
    that chance does not explain of a service which just keeps its SLO (5 %). The article's rule has a floor besides,
    what the SLO allows: where stable never failed its percentile is 0, and one error would be above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gopub.health.config import BudgetTarget
from gopub.health.samples import ResolvedQuery
from gopub.health.slo import SURE, surprise

MULTIWINDOW, ARTICLE = "multiwindow", "article"
HOUR, DAY = 3600.0, 86400.0
PAIRS = ((14.4, HOUR, 300.0), (6.0, 6 * HOUR, 1800.0), (1.0, 3 * DAY, 6 * HOUR))
"""Factor, long window, short window: 2, 5 and 10 % of a budget of 30 days are gone when they fire."""
LEAST = 5
"""Errors in a window below which nobody speaks of its rate."""
LASTS = 300.0
"""Seconds: how long the article's rate must be above, and over how long it is taken."""
SHARE = 0.99
"""Of what stable showed."""


def spans(wanted: BudgetTarget) -> tuple[float, ...]:
    """The windows that must be read, in seconds, ascending."""
    pairs = [span for _, long, short in PAIRS for span in (long, short)] if wanted.burn == MULTIWINDOW else []
    whole = [wanted.window] if wanted.freeze_below is not None and wanted.query is None else []
    return tuple(sorted({*pairs, *whole}))


@dataclass(frozen=True, slots=True)
class Spent:
    """What all releases together were asked, and failed, in the ``seconds`` before a reading; estimates of a source."""

    seconds: float
    attempts: float
    errors: float


@dataclass(frozen=True, slots=True)
class Moment:
    """The same over ``LASTS`` seconds up to ``at``."""

    at: float
    attempts: float
    errors: float


@dataclass(frozen=True, slots=True)
class Spending:
    """One reading: what was spent. ``unread`` says why there is none; then all else is empty."""

    at: float
    windows: tuple[Spent, ...] = ()
    told: float | None = None
    """The share left as the team's own query gave it."""
    course: tuple[Moment, ...] = ()
    """The last minutes, ascending, for the article's rule."""
    usual: float | None = None
    """``SHARE`` of stable's error rates of a day were not above this; None where it showed none."""
    queries: tuple[ResolvedQuery, ...] = ()
    unread: str = ""

    def over(self, seconds: float) -> Spent | None:
        """The window of so many seconds; None where it was not read."""
        return next((one for one in self.windows if one.seconds == seconds), None)


def left(spent: Spent, allowed: float) -> float:
    """The share of the budget that is left: 1 of an untouched one, 0 and below of one that is gone; at least -9.99."""
    if spent.errors <= 0 or spent.attempts <= 0:
        return 1.0
    budget = allowed * spent.attempts
    return max(-9.99, 1 - spent.errors / budget) if budget > 0 else 0.0


def rate(spent: Spent, allowed: float) -> float:
    """How many times too fast the budget burns: the error rate ÷ what the SLO allows."""
    return spent.errors / spent.attempts / max(allowed, 1e-6) if spent.attempts > 0 else 0.0


def counts(spent: Spent | Moment, allowed: float, least: int) -> bool:
    """Whether it is more than a handful, and more than chance makes of a service that just keeps its SLO."""
    if spent.errors < LEAST or spent.attempts < max(1, least):
        return False
    return surprise(round(spent.errors), round(spent.attempts), allowed) >= SURE


def too_fast(spending: Spending, allowed: float, least: int) -> tuple[float, Spent, Spent] | None:
    """The first pair of windows of rule 1 that fires: its factor, the long and the short one; None where none does."""
    for factor, long, short in PAIRS:
        found = [spending.over(seconds) for seconds in (long, short)]
        if all(one and rate(one, allowed) >= factor and counts(one, allowed, least) for one in found):
            whole, now = found
            return (factor, whole, now) if whole and now else None
    return None


def lasting(spending: Spending, allowed: float, least: int) -> float | None:
    """Seconds for which rule 2 has been met without a break, where that is at least ``LASTS``; else None."""
    bar, began = max(spending.usual or 0.0, allowed), None
    for moment in reversed(spending.course):
        above = moment.attempts > 0 and moment.errors / moment.attempts > bar
        if not above or not counts(moment, allowed, least):
            break
        began = moment.at
    lasted = None if began is None else spending.course[-1].at - began
    return lasted if lasted is not None and lasted >= LASTS else None


def percentile(values: Sequence[float], share: float = SHARE) -> float | None:
    """The least of ``values`` that ``share`` of them do not exceed; None without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
