"""What a traffic generator counted. Pure: answers and losses in, numbers out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gopub.canon import Json

_STEP = math.log(1.1)  # latencies are kept in buckets that grow by a tenth: quantiles are right to 10 %
NO_RELEASE = "-"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response: when it ended (seconds since the epoch), how long it took, what it said."""

    at: float
    seconds: float
    status: int
    release: str  # x-gopub-release, "-" without one

    @property
    def status_class(self) -> str:
        """Such as ``2xx``."""
        return f"{self.status // 100}xx"


@dataclass(slots=True)
class Latencies:
    """A histogram of seconds."""

    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Count one."""
        self.buckets[math.ceil(math.log(max(seconds, 1e-6)) / _STEP)] += 1

    def quantile(self, share: float) -> float | None:
        """The latency that ``share`` of all stay within; None of none."""
        rank, seen = share * self.buckets.total(), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return round(math.exp(bucket * _STEP), 6)
        return None


@dataclass(slots=True)
class ReleaseCounts:
    """What one release answered; times are seconds since the epoch."""

    classes: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    bad: int = 0
    first_answer: float | None = None
    last_answer: float | None = None
    first_bad: float | None = None

    @property
    def answered(self) -> int:
        """Answers of any kind."""
        return self.classes.total()

    def add(self, answer: Answer, *, bad: bool) -> None:
        """Count one answer."""
        self.classes[answer.status_class] += 1
        self.latencies.add(answer.seconds)
        self.bad += bad
        self.first_answer = answer.at if self.first_answer is None else self.first_answer
        self.last_answer = answer.at
        if bad and self.first_bad is None:
            self.first_bad = answer.at

    def to_json(self) -> Mapping[str, Json]:
        """For the log and the summary."""
        return {
            "answered": self.answered,
            "classes": dict(self.classes),
            "bad": self.bad,
            "first_answer": self.first_answer,
            "last_answer": self.last_answer,
            "first_bad": self.first_bad,
            "p50": self.latencies.quantile(0.5),
            "p95": self.latencies.quantile(0.95),
        }


@dataclass(slots=True)
class Counts:
    """Everything since the start: each request that was sent ends as one answer or one loss.

    An answer is bad when it is a 5xx, or slower than ``slow_after`` seconds where that is set.
    """

    slow_after: float | None = None
    sent: int = 0
    answered: int = 0
    late: int = 0  # times the schedule was moved because this machine could not keep the rate
    lost_by: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    releases: dict[str, ReleaseCounts] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Requests that got no whole answer."""
        return self.lost_by.total()

    @property
    def under_way(self) -> int:
        """Requests without an end yet."""
        return self.sent - self.answered - self.lost

    def answer(self, answer: Answer) -> None:
        """Count one answer."""
        self.answered += 1
        self.classes[answer.status_class] += 1
        slow = self.slow_after is not None and answer.seconds > self.slow_after
        self.release(answer.release).add(answer, bad=slow or answer.status >= 500)

    def lose(self, reason: str) -> None:
        """Count one loss."""
        self.lost_by[reason] += 1

    def release(self, name: str) -> ReleaseCounts:
        """The counts of a release; empty ones when it never answered."""
        return self.releases.setdefault(name, ReleaseCounts())

    def to_json(self) -> dict[str, Json]:
        """All numbers as one JSON object: a line of the log, and the summary."""
        return {
            "sent": self.sent,
            "answered": self.answered,
            "lost": self.lost,
            "lost_by": dict(self.lost_by),
            "classes": dict(self.classes),
            "late": self.late,
            "releases": {name: counts.to_json() for name, counts in self.releases.items()},
        }
