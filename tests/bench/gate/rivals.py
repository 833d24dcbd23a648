"""What others would have done: rules of their documents, on the answers that clients got.

They read a perfect Prometheus: no scrape is missing for them, no counter begins anew. Each gives the second at which it
rolls back, None if it does not. They see an answer under a good status as good, and a failure that a retry hid not at
all: their usual queries count answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gopub.health.quantile import quantile
from gopub.health.samples import Histogram
from tests.bench.gate import kayenta
from tests.bench.gate.traffic import BOUNDS, Tick

MINUTE = 60.0


@dataclass(frozen=True)
class Span:
    """One track's answers in the seconds up to ``at``."""

    at: float
    answers: int
    failed: int
    p95: float
    """NaN without answers."""

    @property
    def failing(self) -> float:
        """Share of answers that failed; NaN without any."""
        return self.failed / self.answers if self.answers else math.nan


def spans(ticks: Sequence[Tick], length: float, *, canary: bool) -> list[Span]:
    """Whole spans one after the other."""
    out: list[Span] = []
    waiting: list[Tick] = []
    for tick in ticks:
        waiting.append(tick)
        if tick.at >= (len(out) + 1) * length:
            hosts = [host for one in waiting for host in one.of(canary=canary)]
            counts = [sum(column) for column in zip(*(host.buckets for host in hosts), strict=True)]
            found = quantile(0.95, Histogram(BOUNDS, tuple(counts)))
            failed = sum(host.errors - host.hidden for host in hosts)
            answers = sum(host.attempts for host in hosts)
            out.append(Span(tick.at, answers, failed, found.value if found else math.nan))
            waiting = []
    return out


def flagger(minutes: Sequence[Span]) -> float | None:
    """``interval: 1m``, ``threshold: 5``: five failed checks in all; a success rate below 99 %, or a p95 above 500 ms.

    A query without values is a failed check.
    """
    failed = 0
    for one in minutes:
        failed += not (one.failing <= 0.01 and one.p95 <= 0.5)
        if failed >= 5:
            return one.at
    return None


def argo(minutes: Sequence[Span]) -> float | None:
    """``successCondition: result[0] >= 0.95``, ``failureLimit: 3``: the fourth failed measurement ends it.

    NaN meets no condition.
    """
    failed = 0
    for one in minutes:
        failed += not (1 - one.failing >= 0.95)
        if failed > 3:
            return one.at
    return None


def netflix(canary: Sequence[Span], stable: Sequence[Span], every: int = 5) -> float | None:
    """Kayenta's judge over all minutes so far, each five minutes: errors and latency in groups of 50; 75 fails."""
    for end in range(every, len(canary) + 1, every):
        labels = {
            "errors": [kayenta.classify([s.failing for s in canary[:end]], [s.failing for s in stable[:end]])],
            "latency": [kayenta.classify([s.p95 for s in canary[:end]], [s.p95 for s in stable[:end]])],
        }
        if kayenta.verdict(kayenta.score(labels, {"errors": 50, "latency": 50})) == "Fail":
            return canary[end - 1].at
    return None


def article(tens: Sequence[Span], usual: float) -> float | None:
    """The SLO broken in the last minute (errors above 1 %, p95 above 200 ms) and three times as many errors in 10 s.

    ``usual`` is the share of answers that fail usually; each failed answer is a line in the log. Broken without such
    lines is watched for two minutes, and rolled back if it is still broken then.
    """
    since: float | None = None
    for index, one in enumerate(tens):
        minute = tens[max(0, index - 5) : index + 1]
        answers, failed = sum(s.answers for s in minute), sum(s.failed for s in minute)
        slow = [s for s in minute if s.p95 > 0.2]
        broken = len(minute) == 6 and answers > 0 and (failed / answers > 0.01 or 2 * len(slow) > len(minute))
        if broken and one.failed > 0 and one.failed >= 3 * usual * one.answers:
            return one.at
        since = (one.at if since is None else since) if broken else None
        if since is not None and one.at - since >= 2 * MINUTE:
            return one.at
    return None


def fired(ticks: Sequence[Tick], usual: float) -> dict[str, float | None]:
    """Each rival's second."""
    canary, stable = (spans(ticks, MINUTE, canary=track) for track in (True, False))
    return {
        "kayenta": netflix(canary, stable),
        "flagger": flagger(canary),
        "argo": argo(canary),
        "article": article(spans(ticks, 10.0, canary=True), usual),
    }
