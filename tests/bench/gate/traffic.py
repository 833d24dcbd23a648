"""What a service's edges count while a canary stands beside stable: drawn from a seed, tick by tick. Standard library.

A tick is what lies between two scrapes. Binomials with few events are drawn exactly, others from a normal distribution.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)
SIGMA = 0.5
"""Of the logarithm of an answer's time."""
SLOW = BOUNDS.index(0.2)
"""Answers in later buckets are slow, where endpoints are counted by themselves."""
FEW = 12.0
"""So many expected events are drawn one by one."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the canary from ``begins`` seconds on."""

    errors: float = 1.0
    extra: float = 0.0
    cut: float = 0.0
    """Share of its answers that end early, under a good status."""
    latency: float = 1.0
    share: float = 1.0
    """The share of its requests (an endpoint, a segment of users) that the fault meets."""
    begins: float = 0.0
    leak: float = 0.0
    """MiB a minute."""
    burst: int = 1
    """Its errors come so many at a time."""


@dataclass(frozen=True)
class Cell:
    """A world, and what is true of it: ``rps`` is requests per second of the service, both tracks together."""

    name: str
    rps: float = 100.0
    shares: tuple[float, ...] = (0.1,)
    """The canary's share of the requests, step by step."""
    step: float = 300.0
    """Seconds of each."""
    errors: float = 0.001
    fault: Fault | None = None
    hosts: int = 10
    canaries: int = 1
    scrape: float = 5.0
    history: int = 30
    """Minutes of it."""
    cluster: int = 1
    """Errors come so many at a time, on one host."""
    swing: float = 0.0
    """Deviation of the shared log rate of errors, which has forgotten a fifth of it a minute later."""
    spread: float = 0.0
    """Deviation of each host's own log rate of errors, and a third of it of its latency, for good."""
    worst: bool = False
    """The canary is the host that was always the worst."""
    drift: float = 0.0
    """The log of how much worse the canary's host is from the start on, whatever runs there."""
    diurnal: float = 0.0
    """Amplitude of the load, with a period of ten minutes."""
    incident: float = 0.0
    """Extra error rate on all hosts in the middle third."""
    cold: float = 0.0
    """Seconds for which the canary's process answers twice as slowly;"""
    warmup: float = 10.0
    """and so many are declared, or known from stable's own starts."""
    missing: float = 0.0
    """The share of scrapes that fail."""
    resets: int = 0
    """So many times the edge's counters begin anew."""
    segment: int = 0
    """Users of whom every third request fails wherever it goes, a twentieth of the requests of a second each."""
    retried: float = 0.0
    """The share of failed attempts after which another host answers well: clients see none of them."""
    endpoints: tuple[float, ...] = ()
    """The shares of the requests of endpoints that are counted by themselves; a fault meets the first."""
    slo: tuple[float | None, float | None] = (0.2, 0.01)
    """Latency (p95) and error rate."""
    median: float = 0.05
    one_metric: bool = False
    """The bound holds here: errors alone, independent, in one step."""
    note: str = ""

    @property
    def innocent(self) -> bool:
        """Whether the release is as good as the one before."""
        return self.fault is None

    @property
    def length(self) -> float:
        """Seconds."""
        return self.step * len(self.shares)

    def says(self) -> str:
        """Base rate, requests per second of what, r and the step's length."""
        parts = [f"{share / (1 - share):.2g}" if share < 1 else "all" for share in self.shares]
        scale = f"{self.rps:g} requests/s of the service" if any(self.shares) else "no request on the canary"
        return f"base {self.errors:.2%}, {scale}, r {'>'.join(parts)}, step {self.step:g} s, scrape {self.scrape:g} s"


@dataclass
class HostTick:
    """What one host's edge counted in one tick; ``hidden`` are failed attempts of which clients saw nothing."""

    host: str
    canary: bool
    attempts: int = 0
    errors: int = 0
    cut: int = 0
    hidden: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    endpoints: list[tuple[int, int, int]] = field(default_factory=list)
    """Of each one: attempts, errors, and answers above ``SLOW``."""


@dataclass
class Tick:
    """The counts up to ``at``; ``scraped`` False: nobody read them then. ``reset``: the edge's counters began anew."""

    at: float
    step: int
    hosts: list[HostTick]
    scraped: bool = True
    reset: bool = False

    def of(self, *, canary: bool) -> list[HostTick]:
        """One track's."""
        return [one for one in self.hosts if one.canary == canary]


def binomial(rng: random.Random, n: int, p: float) -> int:
    """How many of ``n`` happen."""
    if n <= 0 or p <= 0:
        return 0
    if p > 0.5:
        return n - binomial(rng, n, 1 - p)
    if n * p >= FEW:
        return min(n, max(0, round(rng.gauss(n * p, math.sqrt(n * p * (1 - p))))))
    found, at, scale = 0, 0, math.log1p(-p)
    while True:
        at += 1 + int(math.log(1 - rng.random()) / scale)
        if at > n:
            return found
        found += 1


def poisson(rng: random.Random, mean: float) -> int:
    """How many come."""
    if mean >= 4 * FEW:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    found, left = 0, mean
    while (left := left - rng.expovariate(1.0)) > 0:
        found += 1
    return found


@lru_cache(4096)
def _below(median: float) -> tuple[float, ...]:
    """The share of answers that are not slower than each bound."""
    return tuple(0.5 * (1 + math.erf(math.log(bound / median) / SIGMA / math.sqrt(2))) for bound in BOUNDS)


def latencies(rng: random.Random, n: int, median: float) -> list[int]:
    """Answers by bucket."""
    below = _below(median)
    if n < 10 * len(below):
        drawn = Counter(rng.choices(range(len(below) + 1), cum_weights=(*below, 1.0), k=n))
        return [drawn[index] for index in range(len(below) + 1)]
    out, left, passed = [], n, 0.0
    for share in below:
        found = binomial(rng, left, min(1.0, (share - passed) / (1 - passed)) if passed < 1 else 0.0)
        out.append(found)
        left, passed = left - found, share
    return [*out, left]


class World:
    """One drawn rollout of a cell."""

    def __init__(self, cell: Cell, seed: int) -> None:
        self.cell, self.rng = cell, random.Random(seed)
        self.offsets = [math.exp(self.rng.gauss(0, cell.spread)) for _ in range(cell.hosts)]
        self.slowness = [round(math.exp(self.rng.gauss(0, cell.spread / 3)), 2) for _ in range(cell.hosts)]
        if cell.worst:
            self.offsets.sort(reverse=True)
            self.slowness.sort(reverse=True)
        share = cell.shares[0]
        self.bad_users = binomial(self.rng, cell.segment, share)
        looks = round(cell.length / cell.scrape)
        self.resets = {self.rng.randrange(1, looks) for _ in range(cell.resets)}
        self.shared = 0.0

    def past(self) -> Iterator[Tick]:
        """Minutes before the rollout, every host on stable."""
        for minute in range(self.cell.history):
            at = 60.0 * (minute - self.cell.history + 1)
            yield self._tick(at, 60.0, -1, [1 / self.cell.hosts] * self.cell.hosts)

    def ticks(self) -> Iterator[Tick]:
        """The rollout."""
        cell = self.cell
        for look in range(round(cell.length / cell.scrape)):
            begins = look * cell.scrape
            step = min(len(cell.shares) - 1, int(begins / cell.step))
            share, others = cell.shares[step], cell.hosts - cell.canaries
            weights = [share / cell.canaries] * cell.canaries + [(1 - share) / others] * others
            tick = self._tick(begins + cell.scrape, cell.scrape, step, weights)
            tick.scraped = self.rng.random() >= cell.missing
            tick.reset = look in self.resets
            yield tick

    def _tick(self, at: float, length: float, step: int, weights: Sequence[float]) -> Tick:
        cell = self.cell
        keep = 0.8 ** (length / 60)
        self.shared = keep * self.shared + self.rng.gauss(0, 1) * cell.swing * math.sqrt(1 - keep**2)
        load = cell.rps * (1 + cell.diurnal * math.sin(2 * math.pi * at / 600))
        hosts = [
            self._host(index, load * length * weight, at, canary=step >= 0 and index < cell.canaries)
            for index, weight in enumerate(weights)
        ]
        self._segment(hosts, length)
        return Tick(at, step, hosts)

    def _host(self, index: int, mean: float, at: float, *, canary: bool) -> HostTick:
        cell, rng = self.cell, self.rng
        n = poisson(rng, mean)
        rate = cell.errors * math.exp(self.shared) * self.offsets[index]
        median = cell.median * self.slowness[index]
        if cell.length / 3 <= at < 2 * cell.length / 3:
            rate += cell.incident
        if canary:
            rate, median = rate * math.exp(cell.drift), median * math.exp(cell.drift / 3)
            median *= 2.0 if at <= cell.cold else 1.0
        one = HostTick(f"h{index}", canary, n)
        fault = cell.fault if canary and cell.fault and at > cell.fault.begins else None
        met = binomial(rng, n, fault.share) if fault else 0
        one.errors = self._errors(n - met, rate, cell.cluster)
        one.buckets = latencies(rng, n - met, median)
        if fault:
            burst = max(cell.cluster, fault.burst)
            bad = self._errors(met, rate * fault.errors + fault.extra, burst)
            one.cut = binomial(rng, met - bad, fault.cut)
            one.errors += bad
            slow = latencies(rng, met, median * fault.latency)
            one.buckets = [a + b for a, b in zip(one.buckets, slow, strict=True)]
            one.endpoints = [(met, bad, sum(slow[SLOW + 1 :]))] if cell.endpoints else []
        if cell.endpoints:
            self._endpoints(one)
        one.hidden = binomial(rng, one.errors, cell.retried)
        return one

    def _endpoints(self, one: HostTick) -> None:
        """Share out among the endpoints what none of them was given yet."""
        begin, share_left = len(one.endpoints), 1.0 - sum(self.cell.endpoints[: len(one.endpoints)])
        left = [one.attempts, one.errors, sum(one.buckets[SLOW + 1 :])]
        left = [all_ - sum(of[at] for of in one.endpoints) for at, all_ in enumerate(left)]
        for share in self.cell.endpoints[begin:]:
            part = min(1.0, share / share_left) if share_left > 0 else 0.0
            attempts = binomial(self.rng, left[0], part)
            errors, slow = (min(attempts, binomial(self.rng, count, part)) for count in left[1:])
            one.endpoints.append((attempts, errors, slow))
            left = [count - taken for count, taken in zip(left, (attempts, errors, slow), strict=True)]
            share_left -= share

    def _errors(self, n: int, rate: float, cluster: int) -> int:
        return min(n, cluster * binomial(self.rng, n, min(1.0, rate) / cluster)) if n else 0

    def _segment(self, hosts: list[HostTick], length: float) -> None:
        """Users whom every release fails stay with one track, and meet any host of it."""
        canaries = [one for one in hosts if one.canary]
        here = self.bad_users if canaries else 0
        for users, track in ((here, canaries), (self.cell.segment - here, [o for o in hosts if not o.canary])):
            for one in track if users else ():
                came = poisson(self.rng, users * 0.05 * length / len(track))
                failed = binomial(self.rng, came, 1 / 3)
                one.attempts, one.errors = one.attempts + came, one.errors + failed
                one.buckets[2] += came
