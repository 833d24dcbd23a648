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
STEEP = 60.0
"""MiB per minute that are told before warm-up is over, while they last: better to wait than to promote a leak."""
STEEP_SPAN = 15.0
STEEP_RISE = 16.0
"""MiB."""
MIB = 1024 * 1024

Point = tuple[float, float]
"""(seconds since the epoch, bytes)."""


def growth(points: Sequence[Point], *, collected: bool = True) -> float | None:
    """MiB per minute by Theil-Sen, 0 where the trend is no surer than 95 % (Kendall); None with too little data.

    Live heap (``collected``) changes at each collection only, so equal neighbours are one point, not many. Before there
    is enough after warm-up, only a steep rise of the last seconds is told.
    """
    known = _distinct(points) if collected else points
    kept = [point for point in known if point[0] - known[0][0] >= WARMUP][-MAX_POINTS:]
    if len(kept) < MIN_POINTS or kept[-1][0] - kept[0][0] < MIN_SPAN:
        return _steep(points)
    return _slope(kept)


def _slope(points: Sequence[Point]) -> float:
    return max(0.0, _theil_sen(points)) * 60 / MIB if _rises(points) else 0.0


def _steep(points: Sequence[Point]) -> float | None:
    last = [point for point in points if points[-1][0] - point[0] <= STEEP_SPAN]
    if len(last) < MIN_POINTS or last[-1][1] - last[0][1] < STEEP_RISE * MIB:
        return None
    slope = _slope(last)
    return slope if slope >= STEEP else None


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
