"""A rollout's bake as the judge lives it: counters drawn from a seed, looks every two seconds, the decision at each.

Latencies lie in the edges' buckets; a canary with ``extra`` milliseconds answers that much later.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gopub.health.config import RULES, JudgeConfig, SloTarget
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.samples import (
    CounterSnapshot,
    NoData,
    ProcessHealth,
    RawSeries,
    RuntimeSample,
    RuntimeSnapshot,
)
from gopub.health.starts import Starts
from gopub.health.wire import from_json
from gopub.judge.replay import judge
from gopub.judge.verdict import History, Kind, Policy, Verdict
from tests.bench.judge_simulator import draw

CANARY, STABLE = "c" * 12, "5" * 12
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2.5, 5, 10)
T0 = 1_700_000_000.0
LOOK = 2.0
MIB = 1024 * 1024


def cumulative(counts: Sequence[int]) -> dict[float, float]:
    sums = itertools.accumulate(map(float, counts))
    return dict(zip((*BOUNDS, math.inf), sums, strict=True))


@dataclass
class Bake:
    """One canary host beside three stable ones; every rate is per request, every host gets ``rps``."""

    seed: int
    rps: float = 20.0
    errors: float = 0.002
    extra_errors: float = 0.0
    leave: float = 0.0
    """Share of answers that clients leave before the end, on both tracks,"""
    extra_leave: float = 0.0
    """and on the canary besides,"""
    crowd: int = 1
    """so many at a time, on one host;"""
    reloads: Callable[[float], int] = lambda _age: 0
    """and one user of the canary, who leaves so many more in the look that ends at an age."""
    median: float = 0.02
    extra: float = 0.0
    """Seconds that every answer of the canary takes longer,"""
    share: float = 1.0
    """or this share of them,"""
    slow_until: float = math.inf
    """or only in so many seconds of the process' life."""
    warmup: float = 0.0
    warmup_seen: bool = False
    apart: float | None = None
    """For so many seconds of its life the edge counts the canary's latency apart; None is an edge that never does."""
    starts: tuple[int, int] = (0, 0)
    """Quick and slow answers that the edge remembers of the stable hosts' starts."""
    rules: int = RULES
    slo: SloTarget = field(default_factory=lambda: SloTarget(None, 0.01))
    bake: float = 60.0
    deadline: float = 600.0
    heap: Callable[[str, float], float | None] = lambda _host, _age: None
    """Live heap of a host at an age in seconds, bytes; None is not exported."""
    health: Callable[[float], ProcessHealth] = lambda _age: ProcessHealth("h1")

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.age = 0.0
        self.told: list[Verdict] = []
        self.seen: list[Observation] = []
        self.hosts = ((CANARY, "h1"), *((STABLE, f"h{i}") for i in (2, 3, 4)))
        self.classes = {host: {"2xx": 0.0, "5xx": 0.0, "cut": 0.0, "left": 0.0} for host in self.hosts}
        self.cold = {host: [0] * (len(BOUNDS) + 1) for host in self.hosts}
        self.cold[self.hosts[1]][0], self.cold[self.hosts[1]][-1] = self.starts
        self.counts = {host: [0] * (len(BOUNDS) + 1) for host in self.hosts}

    def serve(self, seconds: float, hosts: Sequence[tuple[str, str]]) -> None:
        """Requests of the next ``seconds``."""
        for host in hosts:
            n = round(self.rng.gauss(self.rps * seconds, math.sqrt(self.rps * seconds)))
            n = max(0, n)
            share = self.leave + (self.extra_leave if host[0] == CANARY else 0.0)
            left = min(n, self.crowd * draw(self.rng, n, share / self.crowd))
            self.classes[host]["left"] += left + (self.reloads(self.age + seconds) if host[0] == CANARY else 0)
            n -= left
            bad = draw(self.rng, n, self.errors + (self.extra_errors if host[0] == CANARY else 0.0))
            self.classes[host]["5xx"] += bad
            self.classes[host]["2xx"] += n - bad
            for _ in range(n):
                sent = self.age + self.rng.random() * seconds
                young = sent < self.slow_until
                later = host[0] == CANARY and self.rng.random() < self.share and young
                took = self.rng.lognormvariate(math.log(self.median), 0.5) + (self.extra if later else 0)
                cold = self.apart is not None and host[0] == CANARY and sent < self.apart
                (self.cold if cold else self.counts)[host][bisect_left(BOUNDS, took)] += 1

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        rows = []
        for release, host in self.hosts:
            cold = {} if self.apart is None else cumulative(self.cold[release, host])
            timed = cumulative(self.counts[release, host])
            rows.append(RawSeries("e1", release, host, dict(self.classes[release, host]), timed, cold))
        return CounterSnapshot(at, tuple(rows), {"e1": at}, 1.0)

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        past = []
        for ago in (300, 240, 180, 120, 60, 0):
            found = await self.counters(app, env, releases, at - ago)
            past += [found] if isinstance(found, CounterSnapshot) else []
            self.serve(10, self.hosts[1:])
        return tuple(past)

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        found = (RuntimeSample(host, at, self.heap(host, at - T0)) for host in hosts)
        return RuntimeSnapshot(at, tuple(sample for sample in found if sample.heap is not None))

    def starts_seen(self) -> Starts:
        """What the journal keeps of the canary's start."""
        kept = self.observer.state()
        assert isinstance(kept, dict)
        return from_json(Starts, kept["starts"])

    async def verdict(self) -> tuple[Verdict, float]:
        """The verdict that ended the step, and how many seconds it took; the last one if none did."""
        config = JudgeConfig(
            "hello", "prod", f"r-{self.seed}", CANARY, STABLE, self.slo, warmup=self.warmup, rules=self.rules,
            warmup_seen=self.warmup_seen,
        )  # fmt: skip
        self.observer = observer = Observer(self, None, config)
        policy = Policy.of(config)
        await observer.start(T0)
        past = History(T0, T0, self.bake, T0 + self.deadline)
        while True:
            self.serve(LOOK, self.hosts)
            past = replace(past, now=past.now + LOOK)
            self.age = age = past.now - T0
            seen = await observer.look(past.now, (self.health(age),), 0, since={"h1": T0})
            verdict = judge(seen, policy, past).verdict
            self.told.append(verdict)
            self.seen.append(seen)
            if verdict.kind not in (Kind.HOLD, Kind.WATCH):
                return verdict, age
            past = past.after(verdict)
