"""Whether memory grows: a slope that outliers do not bend, and none at all where there is too little to see one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

WARMUP = 30.0
"""Seconds after the first sample that are cut off: pools and caches fill."""
MIN_SPAN = 60.0
MIN_POINTS = 5
MAX_POINTS = 120
MIB = 1024 * 1024

Point = tuple[float, float]
"""(seconds since the epoch, bytes)."""


def growth(points: Sequence[Point]) -> float | None:
    """MiB per minute by Theil-Sen, 0 where the trend is no surer than 95 % (Kendall); None with too little data.

    Live heap changes at each collection only, so equal neighbours are one point, not many.
    """
    kept = _distinct(points)
    kept = [point for point in kept if point[0] - kept[0][0] >= WARMUP][-MAX_POINTS:]
    if len(kept) < MIN_POINTS or kept[-1][0] - kept[0][0] < MIN_SPAN:
        return None
    return max(0.0, _theil_sen(kept)) * 60 / MIB if _rises(kept) else 0.0


def _distinct(points: Sequence[Point]) -> list[Point]:
    return [point for index, point in enumerate(points) if not index or point[1] != points[index - 1][1]]


def _theil_sen(points: Sequence[Point]) -> float:
    return median(
        (b[1] - a[1]) / (b[0] - a[0]) for index, a in enumerate(points) for b in points[index + 1 :] if b[0] > a[0]
    )


def _rises(points: Sequence[Point]) -> bool:
    n = len(points)
    ups = sum((b[1] > a[1]) - (b[1] < a[1]) for index, a in enumerate(points) for b in points[index + 1 :])
    return ups / math.sqrt(n * (n - 1) * (2 * n + 5) / 18) > 1.96
