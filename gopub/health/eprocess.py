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
5.  One window multiplies a bet by at most ``BURST``: what happened in one moment happened once. A window of more than
    five seconds may hold more than one moment: ``MOMENT`` a second, ``BURSTS`` at most, so that two scrapes a minute
    apart say what three say that are five seconds apart, and one alone never has 100/α. A smaller factor is still an
    e-value.
6.  A regression may begin late, after thousands of good requests that have made the bets poor. So half of the coin is
    bet from the start, ``STEPS`` of it is kept for the starts of steps, the k-th of which gets 1/(k(k+1)) of that, and
    the rest for a new start each minute: ``HEAD``/(HEAD + k) of that is left after k. It is a mixture of e-processes
    with weights that sum to 1, so it is one itself. Nothing is ever reset. (By rules before 6, and of error lines,
    minutes have the whole other half, the k-th 1/(k(k+1)) of it.)
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
MOMENT = 20.0
BURSTS = 1000.0
FIRST = 0.5
STEPS = 0.15
"""The share of the coin that is kept for the starts of steps, where they are known."""
HEAD = 10
"""So many minutes have about the same share of the coin; those after them less and less."""
EVEN = (1.0,) * len(GRID)
"""Every alternative has the same share."""
_ALMOST_ALL = 0.999


@dataclass(frozen=True, slots=True)
class Process:
    """One e-process: per alternative the logarithm of what the started bets are worth."""

    started: tuple[float, ...] = (math.log(FIRST),) * len(GRID)
    blocks: int = 0
    block_began: float | None = None
    at_step: int | None = None
    """The rollout's step that the newest window was of; None where steps have no share of the coin."""
    steps: int = 0
    """Steps that began after the first window."""

    @property
    def log_e(self) -> float:
        """Log E, the coins not yet bet included."""
        kept = (1 - FIRST) / (self.blocks + 1)
        if self.at_step is not None:
            kept = STEPS / (self.steps + 1) + (1 - FIRST - STEPS) * _left(self.blocks)
        return log_sum((log_sum(self.started) - math.log(len(self.started)), math.log(kept)))

    def step_on(
        self, ratios: Sequence[float], phi: float, window: tuple[float, float], step: int, weights: Sequence[float]
    ) -> Process:
        """As ``step``, where steps and how long a window was are known; ``weights`` of the alternatives sum to 7.

        What was begun without steps goes on without: its other half is the minutes'.
        """
        start, end = window
        known = self
        if self.at_step is None and self.block_began is None:
            known = replace(_bet(replace(self, started=()), FIRST, weights), at_step=step)
        known = _new_block(known, start, weights)
        if known.at_step is not None and known.at_step != step:
            steps = known.steps + 1
            known = replace(_bet(known, STEPS / (steps * (steps + 1)), weights), at_step=step, steps=steps)
        return _gain(known, ratios, phi, most(end - start))

    def step(self, ratios: Sequence[float], phi: float, start: float) -> Process:
        """Take in the log likelihood ratios of one window that began at ``start``, one for each alternative."""
        return _gain(_new_block(self, start, EVEN), ratios, phi, BURST)


def _gain(process: Process, ratios: Sequence[float], phi: float, cap: float) -> Process:
    if ratios is NOTHING:
        return process
    limit, share = math.log(cap), max(1.0, phi)
    gains = (min(limit, ratio / share) for ratio in ratios)
    return replace(process, started=tuple(a + b for a, b in zip(process.started, gains, strict=True)))


def _new_block(process: Process, start: float, weights: Sequence[float]) -> Process:
    if process.block_began is None:
        return replace(process, block_began=start)
    if start - process.block_began < BLOCK:
        return process
    blocks = process.blocks + 1
    stake = (1 - FIRST) / (blocks * (blocks + 1))
    if process.at_step is not None:
        stake = (1 - FIRST - STEPS) * (_left(blocks - 1) - _left(blocks))
    return replace(_bet(process, stake, weights), blocks=blocks, block_began=start)


def most(seconds: float) -> float:
    """What a window of so many seconds multiplies a bet by at most."""
    return max(BURST, min(BURSTS, MOMENT * seconds))


def _left(blocks: int) -> float:
    return HEAD / (HEAD + blocks)


def _bet(process: Process, stake: float, weights: Sequence[float]) -> Process:
    """With one more start, of the alternatives by their weights."""
    stakes = [math.log(stake * weight) for weight in weights]
    if not process.started:
        return replace(process, started=tuple(stakes))
    return replace(process, started=tuple(map(_log_both, process.started, stakes)))


def _log_both(a: float, b: float) -> float:
    return log_sum((a, b))


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
