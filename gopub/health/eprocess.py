"""An e-process: how much better the counts are explained by "the canary is worse" than by "it is no worse".

How to read E: bet one coin on "the canary is worse", at fair odds if it is not; E is what one has after the bets so
far. If the canary is no worse, the chance ever to reach 1/α is at most α, however often one looks (Ville).

1.  Against stable (Lindon and Malek 2022): of ``x`` bad events on the canary and ``y`` on stable, exposed to ``n``
    and ``m`` requests, each bad event lies on the canary with probability g·r/(1 + g·r), where r = n/m and g is the
    ratio of the rates. The null is g ≤ 1 + δ, whatever the common rate does: a shared incident is no evidence.
    It holds while weights change.
2.  Against the SLO, where no stable traffic is comparable: each of ``n`` requests is bad with probability
    at most (1 + δ)·q, q what the SLO allows.
3.  Alternatives are a fixed grid of g; E averages over it.
4.  Each factor is raised to 1/φ, φ ≥ 1 (see ``dispersion``): still an e-value (Jensen).
5.  One window multiplies a bet by at most ``BURST``: what happened in one moment happened once. A smaller factor is
    still an e-value.
6.  A regression may begin late, after thousands of good requests that have made the bets poor. So half of the coin
    is bet from the start, and the other half is kept for a new start each minute: the k-th gets 1/(2k(k+1)). It is
    a mixture of e-processes with weights that sum to 1, so it is one itself. Nothing is ever reset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

GRID = (1.25, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Alternatives, as multiples of the largest ratio that the null allows."""
BLOCK = 60.0
"""Seconds between two new starts."""
BURST = 100.0
NOTHING = (0.0,) * len(GRID)
"""What a window without a bad event says against stable."""
FIRST = 0.5
_ALMOST_ALL = 0.999


@dataclass(frozen=True, slots=True)
class Process:
    """One e-process: per alternative the logarithm of what the started bets are worth."""

    started: tuple[float, ...] = (math.log(FIRST),) * len(GRID)
    blocks: int = 0
    block_began: float | None = None

    @property
    def log_e(self) -> float:
        """Log E, the coins not yet bet included."""
        kept = math.log((1 - FIRST) / (self.blocks + 1))
        return log_sum((log_sum(self.started) - math.log(len(self.started)), kept))

    def step(self, ratios: Sequence[float], phi: float, start: float) -> Process:
        """Take in the log likelihood ratios of one window that began at ``start``, one for each alternative."""
        process = self._new_block(start)
        if ratios is NOTHING:
            return process
        gains = (min(math.log(BURST), ratio / max(1.0, phi)) for ratio in ratios)
        return replace(process, started=tuple(a + b for a, b in zip(process.started, gains, strict=True)))

    def _new_block(self, start: float) -> Process:
        if self.block_began is None:
            return replace(self, block_began=start)
        if start - self.block_began < BLOCK:
            return self
        blocks = self.blocks + 1
        stake = math.log((1 - FIRST) / (blocks * (blocks + 1)))
        return Process(tuple(log_sum((old, stake)) for old in self.started), blocks, start)


def against_stable(x: int, n: int, y: int, m: int, delta: float) -> tuple[float, ...]:
    """Log likelihood ratios of (1), one for each alternative; ``n`` and ``m`` must be positive."""
    null = math.log(1 + delta) + math.log(n) - math.log(m)
    return tuple(
        x * (_log_share(null + math.log(g)) - _log_share(null))
        + y * (_log_share(-null - math.log(g)) - _log_share(-null))
        for g in GRID
    )


def against_rate(x: int, n: int, allowed: float, delta: float) -> tuple[float, ...]:
    """Log likelihood ratios of (2), one for each alternative; an ``allowed`` of 0 is taken as one in a million."""
    null = min(_ALMOST_ALL / 2, (1 + delta) * max(allowed, 1e-6))
    return tuple(_binomial(x, n, null, min(_ALMOST_ALL, null * g)) for g in GRID)


def _binomial(x: int, n: int, null: float, other: float) -> float:
    return x * math.log(other / null) + (n - x) * (math.log1p(-other) - math.log1p(-null))


def _log_share(log_odds: float) -> float:
    """Log of odds/(1 + odds), for odds of any size."""
    if log_odds < 0:
        return log_odds - math.log1p(math.exp(log_odds))
    return -math.log1p(math.exp(-log_odds))


def log_sum(values: Sequence[float]) -> float:
    """Log of the sum of what ``values`` are the logarithms of."""
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
