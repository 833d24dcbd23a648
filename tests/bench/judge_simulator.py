"""Traffic of a small fleet as windows of counts: what the judge would see, drawn from a seed.

Rates may swing together (an incident that both tracks share), differ from host to host, and come in clusters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gopub.health.config import SloTarget
from gopub.health.samples import HostCounts, TrackWindow, Window
from gopub.health.sequential import EvidenceState, evidence, fold, learn


@dataclass(frozen=True)
class World:
    """A service under load: per-host rates, and how far they are from independent."""

    rps: float = 20.0
    errors: float = 0.001
    slow: float = 0.04
    late: float = 0.05
    """Share of answers above stable's own 95th percentile; more of them on a slow host, as errors."""
    cluster: int = 1
    """Errors come this many at a time, on one host."""
    swing: float = 0.0
    """Standard deviation of the shared log rate (AR(1), phi 0.8 per minute)."""
    spread: float = 0.0
    """Standard deviation of each host's own log rate, for good."""
    incident: float = 0.0
    """Extra error rate on every host during the middle third."""
    hosts: int = 4
    canaries: int = 1
    look: float = 2.0
    looks: int = 60
    history: int = 60
    """Minutes of history before the rollout."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the canary from ``begins`` (a look) on."""

    errors: float = 1.0
    extra_errors: float = 0.0
    slow: float = 1.0
    late: float = 1.0
    begins: int = 0


def draw(rng: random.Random, n: int, p: float) -> int:
    """Binomial, by gaps: quick where p is small."""
    if p <= 0:
        return 0
    if p >= 1:
        return n
    found, at, scale = 0, 0, math.log1p(-p)
    while True:
        at += 1 + int(math.log(1 - rng.random()) / scale)
        if at > n:
            return found
        found += 1


class Fleet:
    """One simulated rollout."""

    def __init__(self, world: World, fault: Fault | None, seed: int) -> None:
        self.world, self.fault, self.rng = world, fault, random.Random(seed)
        self.offsets = [math.exp(self.rng.gauss(0, world.spread)) for _ in range(world.hosts)]
        self.shared = 0.0

    def past(self) -> Iterator[Window]:
        for minute in range(self.world.history):
            yield self._window(-60.0 * (self.world.history - minute), 60.0, canaries=0, look=None)

    def windows(self) -> Iterator[Window]:
        for look in range(self.world.looks):
            yield self._window(look * self.world.look, self.world.look, canaries=self.world.canaries, look=look)

    def _window(self, start: float, length: float, *, canaries: int, look: int | None) -> Window:
        keep = 0.8 ** (length / 60)
        self.shared = keep * self.shared + self.rng.gauss(0, self.world.swing * math.sqrt(1 - keep**2))
        counts = [self._host(i, length, canary=i < canaries, look=look) for i in range(self.world.hosts)]
        return Window(
            start,
            start + length,
            TrackWindow("canary", tuple(counts[:canaries])) if canaries else None,
            TrackWindow("stable", tuple(counts[canaries:])),
        )

    def _host(self, index: int, length: float, *, canary: bool, look: int | None) -> HostCounts:
        world = self.world
        factor = math.exp(self.shared) * self.offsets[index]
        errors, slow, late = world.errors * factor, world.slow * factor, world.late * factor
        if look is not None and world.looks / 3 <= look < 2 * world.looks / 3:
            errors += world.incident
        if canary and self.fault and look is not None and look >= self.fault.begins:
            errors = errors * self.fault.errors + self.fault.extra_errors
            slow *= self.fault.slow
            late *= self.fault.late
        mean = world.rps * length
        n = max(0, round(self.rng.gauss(mean, math.sqrt(mean))))
        bad = min(n, world.cluster * draw(self.rng, n, min(1.0, errors) / world.cluster))
        slow_ones, late_ones = (draw(self.rng, n, min(1.0, share)) for share in (slow, late))
        return HostCounts(f"h{index}", n, bad, n, slow_ones, n, late_ones)


def e_values(world: World, fault: Fault | None, seed: int, slo: SloTarget | None = None) -> Iterator[float]:
    """Log E after each look, late answers included."""
    fleet, state, target = Fleet(world, fault, seed), EvidenceState(slow_above=0.2), slo or SloTarget()
    state = learn(state, fleet.past())
    for window in fleet.windows():
        state = fold(state, (window,), target, compare=True, stable_broken=False)
        yield evidence(state, target, late=target.latency_p95 is not None).log_e_all


def first_look(world: World, fault: Fault | None, seed: int, level: float, slo: SloTarget | None = None) -> int | None:
    """The first look (from 1) at which E reaches ``level``; None if it never does."""
    mark = math.log(level)
    return next((i for i, log_e in enumerate(e_values(world, fault, seed, slo), 1) if log_e >= mark), None)


__all__ = ["Fault", "Fleet", "World", "draw", "e_values", "first_look", "replace"]
