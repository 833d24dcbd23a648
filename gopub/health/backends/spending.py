"""What was spent of the error budget, in PromQL over the edges' counters: all edges, hosts and releases together.

An edge that is scraped twice is counted once: of its targets the one that was seen to be asked most. Where each is
scraped once, Prometheus adds them up.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gopub.health.backends.doubles import doubles
from gopub.health.backends.promql import quoted, selector
from gopub.health.backends.targets import Row, Target, target_of
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
Doubles = Mapping[Target, Target]
Count = tuple[Mapping[str, str], float]


async def read_spending(
    ask: Ask, app: str, env: str, stable: str | None, wanted: BudgetTarget, due: Sequence[float], at: float
) -> Spending:  # fmt: skip
    """Ask for what ``wanted`` needs, each window that is ``due`` by a question of its own.

    Raises:
        ValueError: an answer is no number, or the team's query gave none or several or no share.
    """
    of_all = {"app": app, "env": env}
    span = max((*due, DAY if wanted.burn == ARTICLE and stable is not None else 0.0))
    twice = await doubles(ask, app, env, span) if due or wanted.burn == ARTICLE else {}
    windows = [_spent(span, await ask(_increase(of_all, span, twice)), twice) for span in due]
    told = None
    if wanted.freeze_below is not None and wanted.query is not None:
        told = _one(await ask(filled(wanted.query, app, env)))
    course: tuple[Moment, ...] = ()
    usual = None
    if wanted.burn == ARTICLE:
        course = _moments(await ask(f"{_increase(of_all, LASTS, twice)}[{2 * LASTS:.0f}s:{STEP:.0f}s]"), twice)
        if stable is not None:
            of_stable = _increase({**of_all, "release": stable}, LASTS, twice)
            past = await ask(f"{of_stable}[{DAY:.0f}s:{LASTS:.0f}s] offset {HOUR:.0f}s")
            usual = percentile([one.errors / one.attempts for one in _moments(past, twice) if one.attempts > 0])
    return Spending(at, tuple(windows), told, course, usual)


def filled(query: str, app: str, env: str) -> str:
    """The team's query with the names of app and env, each safe within quotes."""
    return query.replace("{app}", quoted(app)[1:-1]).replace("{env}", quoted(env)[1:-1])


def _increase(labels: dict[str, str], span: float, twice: Doubles) -> str:
    """By target, where an edge has several."""
    kept = "without (release, host)" if twice else "by (class)"
    return f"sum {kept} (increase({selector((ATTEMPTS,), equal=labels)}[{span:.0f}s]))"


def _spent(span: float, rows: Sequence[Row], twice: Doubles) -> Spent:
    """No series at all is no request, and says so: 0 of 0."""
    return Spent(span, *_sums([(labels, float(samples[-1][1])) for labels, samples in rows], twice))


def _moments(rows: Sequence[Row], twice: Doubles) -> tuple[Moment, ...]:
    found: dict[float, list[Count]] = {}
    for labels, samples in rows:
        for at, value in samples:
            found.setdefault(float(at), []).append((labels, float(value)))
    return tuple(Moment(at, *_sums(found[at], twice)) for at in sorted(found))


def _sums(counts: Sequence[Count], twice: Doubles) -> tuple[float, float]:
    """Attempts and errors of all edges; an answer that the client left is neither."""
    targets: dict[Target, tuple[float, float]] = {}
    for labels, value in counts:
        if not 0 <= value <= MOST:  # NaN is neither; `increase` over counters is never below 0
            raise ValueError(f"a count that is no number of requests: {value:g}")
        target, name = target_of(labels), labels.get("class", "")
        attempts, errors = targets.get(target, (0.0, 0.0))
        attempts += value if name not in APART_CLASSES else 0.0
        targets[target] = attempts, errors + (value if name in ERROR_CLASSES else 0.0)
    edges: dict[Target, tuple[float, float]] = {}
    for target, seen in targets.items():
        edge = twice.get(target, target)
        edges[edge] = max(seen, edges.get(edge, seen))
    return sum(attempts for attempts, _ in edges.values()), sum(errors for _, errors in edges.values())


def _one(rows: Sequence[Row]) -> float:
    if len(rows) != 1:
        raise ValueError(f"the query of the budget gives {len(rows)} series, not one")
    value = float(rows[0][1][-1][1])
    if not math.isfinite(value):
        raise ValueError(f"the query of the budget gives {value}, no share")
    if value > 1 + _DUST:  # a percentage would be above every mark, until nothing is left
        raise ValueError(f"the query of the budget gives {value:g}, and a share is 1 at most: 0.2 is 20 %")
    return value
