"""How soon anything could know, and how sure a counted share is."""

from __future__ import annotations

import math


def kl(p: float, q: float) -> float:
    """What a coin that falls by ``p`` tells a throw against one that falls by ``q``, in nats."""
    return sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def requests_needed(threshold: float, canary: float, stable: float, r: float, delta: float) -> float:
    """Canary requests until a test that knows the rates expects log E = log(threshold), held against stable alone.

    ``r`` is the canary's traffic by stable's; the null is a ratio of 1 + ``delta``.
    """
    p0 = (1 + delta) * r / (1 + (1 + delta) * r)
    p1 = (canary / stable) * r / (1 + (canary / stable) * r)
    return math.log(threshold) / ((canary + stable / r) * kl(p1, p0))


def interval(found: int, of: int, sure: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's for a share of which ``found`` were counted."""
    tail = (1 - sure) / 2
    low = 0.0 if found == 0 else _solve(lambda p: 1 - _upto(found - 1, of, p), tail)
    high = 1.0 if found == of else _solve(lambda p: -_upto(found, of, p), -tail)
    return low, high


def _solve(rising, value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return (low + high) / 2


def _upto(most: int, of: int, p: float) -> float:
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if most >= of else 0.0
    logs = (
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(p) + (of - k) * math.log1p(-p)
        for k in range(most + 1)
    )
    return math.fsum(math.exp(one) for one in logs)
