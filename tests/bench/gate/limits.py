"""How soon anything could know, and how sure a counted share is."""

from __future__ import annotations

import math

from gopub.judge.calibrate import share


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


def interval(found: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's for a share of which ``found`` were counted (95 %): the product's own."""
    known = share(found, of)
    return known.low, known.high
