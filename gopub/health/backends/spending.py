"""What was spent of the error budget, in PromQL over the edges' counters: all edges, hosts and releases together."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

from gopub.health.backends.promql import quoted, selector
from gopub.health.backends.targets import Row
from gopub.health.burn import ARTICLE, DAY, HOUR, LASTS, Moment, Spending, Spent, percentile
from gopub.health.config import BudgetTarget
from gopub.health.samples import APART_CLASSES, ERROR_CLASSES

ATTEMPTS = "gopub_edge_attempts_total"
STEP = 15.0
"""Seconds between two moments of the article's rule."""
MOST = 1e15
"""More requests than any service has; what claims more is no count, and sums of it would be no numbers."""
_DUST = 1e-6
"""What all of the budget may exceed 1 by, for the way in which computers divide."""
Ask = Callable[[str], Awaitable[list[Row]]]


async def read_spending(
    ask: Ask, app: str, env: str, stable: str | None, wanted: BudgetTarget, due: Sequence[float], at: float
) -> Spending:  # fmt: skip
    """Ask for what ``wanted`` needs, each window that is ``due`` by a question of its own.

    Raises:
        ValueError: an answer is no number, or the team's query gave none or several or no share.
    """
    of_all = {"app": app, "env": env}
    windows = [_spent(span, await ask(_increase(of_all, span))) for span in due]
    told = None
    if wanted.freeze_below is not None and wanted.query is not None:
        told = _one(await ask(filled(wanted.query, app, env)))
    course: tuple[Moment, ...] = ()
    usual = None
    if wanted.burn == ARTICLE:
        course = _moments(await ask(f"{_increase(of_all, LASTS)}[{2 * LASTS:.0f}s:{STEP:.0f}s]"))
        if stable is not None:
            past = f"{_increase({**of_all, 'release': stable}, LASTS)}[{DAY:.0f}s:{LASTS:.0f}s] offset {HOUR:.0f}s"
            usual = percentile([one.errors / one.attempts for one in _moments(await ask(past)) if one.attempts > 0])
    return Spending(at, tuple(windows), told, course, usual)


def filled(query: str, app: str, env: str) -> str:
    """The team's query with the names of app and env, each safe within quotes."""
    return query.replace("{app}", quoted(app)[1:-1]).replace("{env}", quoted(env)[1:-1])


def _increase(labels: dict[str, str], span: float) -> str:
    return f"sum by (class) (increase({selector((ATTEMPTS,), equal=labels)}[{span:.0f}s]))"


def _spent(span: float, rows: Sequence[Row]) -> Spent:
    """No series at all is no request, and says so: 0 of 0."""
    return Spent(span, *_sums([(labels.get("class", ""), float(samples[-1][1])) for labels, samples in rows]))


def _moments(rows: Sequence[Row]) -> tuple[Moment, ...]:
    found: dict[float, list[tuple[str, float]]] = {}
    for labels, samples in rows:
        for at, value in samples:
            found.setdefault(float(at), []).append((labels.get("class", ""), float(value)))
    return tuple(Moment(at, *_sums(found[at])) for at in sorted(found))


def _sums(counts: Sequence[tuple[str, float]]) -> tuple[float, float]:
    """Attempts and errors; an answer that the client left is neither."""
    for _, value in counts:
        if not 0 <= value <= MOST:  # NaN is neither; `increase` over counters is never below 0
            raise ValueError(f"a count that is no number of requests: {value:g}")
    attempts = sum(value for name, value in counts if name not in APART_CLASSES)
    return attempts, sum(value for name, value in counts if name in ERROR_CLASSES)


def _one(rows: Sequence[Row]) -> float:
    if len(rows) != 1:
        raise ValueError(f"the query of the budget gives {len(rows)} series, not one")
    value = float(rows[0][1][-1][1])
    if not math.isfinite(value):
        raise ValueError(f"the query of the budget gives {value}, no share")
    if value > 1 + _DUST:  # a percentage would be above every mark, until nothing is left
        raise ValueError(f"the query of the budget gives {value:g}, and a share is 1 at most: 0.2 is 20 %")
    return value
