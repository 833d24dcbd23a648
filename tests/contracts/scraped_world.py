"""One service that is known to the second, and the ways in which a Prometheus may have come to know it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from gopub.health.config import JudgeConfig, ScoreWeights, SloTarget
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.samples import ProcessHealth
from gopub.health.sources import MetricSource
from gopub.judge.replay import judge
from gopub.judge.verdict import History, Kind, Policy, Verdict
from tests.contracts.prometheus_server import Metrics, histogram_lines

STABLE, CANARY = "5" * 12, "c" * 12
BOUNDS = (0.1, 0.25, 0.5, 1.0)
LOOK = 5
BEFORE = 600
"""Seconds of stable traffic before the canary gets any."""
LASTS = 900
SLO = SloTarget(0.25, 0.05)


@dataclass(frozen=True)
class Service:
    """Whole counters of each second: good and bad answers of (release, host)."""

    seed: int = 11
    bad: float = 0.08
    """The canary's share of errors; stable has 0.5 %."""

    def course(self) -> Mapping[tuple[str, str], Sequence[tuple[int, int]]]:
        rng, found = random.Random(self.seed), {}
        hosts = {(CANARY, "h1"): (BEFORE, self.bad), (STABLE, "h2"): (0, 0.005), (STABLE, "h3"): (0, 0.005)}
        for host, (since, share) in hosts.items():
            per_second = []
            for second in range(LASTS + 1):
                asked = rng.randrange(6, 15) if second >= since else 0
                failed = sum(rng.random() < share for _ in range(asked))
                per_second.append((asked - failed, failed))
            good, wrong = ([*accumulate(one[i] for one in per_second)] for i in (0, 1))
            found[host] = list(zip(good, wrong, strict=True))
        return found


@dataclass(frozen=True)
class Scrape:
    """How one target of one edge is scraped: ``at`` are true seconds, ``skew`` is what the scraper's clock is ahead."""

    target: Mapping[str, str]
    at: Sequence[int]
    skew: float = 0.0
    edge: str = "e1"
    identity: bool = True
    restarted: int | None = None
    """The second in which the edge began anew."""
    part: Callable[[int], bool] = field(default=lambda _second: True)

    def fill(
        self, metrics: Metrics, app: str, begin: float, course: Mapping[tuple[str, str], Sequence[tuple[int, int]]]
    ) -> None:
        for second in filter(self.part, self.at):
            at, base = begin + second + self.skew, {"app": app, "env": "prod", **self.target}
            anew = self.restarted is not None and second >= self.restarted
            who = {"edge_id": f"{self.edge}{'-anew' if anew else ''}"} if self.identity else {}
            metrics.add("gopub_edge_table_revision", base | who, at, 1)
            for (release, host), counted in course.items():
                if release == CANARY and second < BEFORE - 60:
                    continue  # its table came then
                gone = counted[self.restarted or 0] if anew else (0, 0)
                good, bad = (now - then for now, then in zip(counted[second], gone, strict=True))
                labels = base | {"release": release, "host": host}
                metrics.add("gopub_edge_attempts_total", labels | {"class": "2xx"}, at, good)
                metrics.add("gopub_edge_attempts_total", labels | {"class": "5xx"}, at, bad)
                metrics.add("gopub_edge_attempts_total", labels | {"class": "cut"}, at, 0)
                for le, value in histogram_lines(
                    BOUNDS, [good, good + bad, good + bad, good + bad, good + bad]
                ).items():
                    metrics.add("gopub_edge_request_seconds_bucket", labels | {"le": le}, at, value)


@dataclass(frozen=True)
class Judged:
    """What the judge made of it: the verdict that ended the step, after how many seconds of canary traffic."""

    verdict: Verdict
    after: float
    seen: Observation
    notes: frozenset[str]
    silent: Sequence[float]
    """Seconds at which a look had no data."""

    @property
    def counted(self) -> tuple[int, int]:
        totals = self.seen.rollout_totals
        return totals.canary_requests, totals.stable_requests


async def judged(source: MetricSource, app: str, begin: float, bake: float = 240.0, **of_config: object) -> Judged:
    """The looks of a step that begins when the canary gets traffic, until one ends it."""
    config = replace(JudgeConfig(app, "prod", f"r-{app}", CANARY, STABLE, SLO, ScoreWeights(40, 30, 0, 0)), **of_config)
    observer, start = Observer(source, None, config), begin + BEFORE
    await observer.start(start)
    past, policy = History(start, start, bake, start + bake), Policy.of(config)
    notes: set[str] = set()
    silent: list[float] = []
    while True:
        past = replace(past, now=past.now + LOOK)
        seen = await observer.look(past.now, (ProcessHealth("h1"),), 0)
        verdict = judge(seen, policy, past).verdict
        notes |= set(seen.notes)
        silent += [past.now - start] if seen.no_data else []
        if verdict.kind not in (Kind.HOLD, Kind.WATCH) or past.now >= start + bake + 30:
            return Judged(verdict, past.now - start, seen, frozenset(notes), silent)
        past = past.after(verdict)


def true(course: Mapping[tuple[str, str], Sequence[tuple[int, int]]], release: str, begin: int, end: int) -> int:
    """How many requests a release was asked in these seconds."""
    return sum(sum(one[end]) - sum(one[begin]) for (name, _), one in course.items() if name == release)
