"""Whether something grows: a slope with its interval, that outliers do not bend; none where there is too little to see.

A process that has just begun fills pools and caches, and nothing but its shape tells that from a leak: what is filled
stops growing. So until there is a minute of points after warm-up, only the second half of what is known is looked at,
and what it says holds as long as it lasts.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from statistics import fmean

WARMUP = 30.0
"""Seconds after the first sample that are cut off: pools and caches fill."""
MIN_SPAN = 56.0
"""Seconds after warm-up; with it a slope is settled within 90 seconds."""
SETTLED = 90.0
"""Seconds of watching after which every process has had a settled slope, however seldom it was looked at."""
EARLY_SPAN = 12.0
"""Seconds that the second half must cover at least before it says anything."""
MIN_POINTS = 6
MAX_POINTS = 120
HABIT = 2
"""Steps up, with the same value in between, that are growth: a pool that is filled takes one."""
_Z = 1.96
MIB = 1024 * 1024

Point = tuple[float, float]
"""(seconds since the epoch, bytes or a number)."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth a minute, in the points' unit: an interval of 95 % and its middle.

    ``settled``: there was enough after warm-up, and the middle counts (0 where the trend is no surer than chance).
    Before, only what the whole interval says is known.
    """

    low: float
    mid: float
    high: float
    settled: bool = True


def slope(points: Sequence[Point], *, collected: bool = True) -> Slope | None:
    """Growth a minute by Theil and Sen, its interval by Kendall's statistic; None with too little data.

    Live heap (``collected``) changes at each collection only, so equal neighbours are one point, not many.
    """
    known = _distinct(points) if collected else list(points)
    kept = [point for point in known if point[0] - known[0][0] >= WARMUP][-MAX_POINTS:]
    if _enough(kept, MIN_SPAN):
        return _interval(kept, settled=True)
    half = (points[-1][0] - points[0][0]) / 2 if points else 0.0
    late = [point for point in known if points[-1][0] - point[0] <= max(half, EARLY_SPAN)]
    last = (late if collected or len(late) >= MIN_POINTS else known[-MIN_POINTS:])[-MAX_POINTS:]
    return _interval(last, settled=False) if _enough(last, EARLY_SPAN) else None


def _enough(points: Sequence[Point], span: float) -> bool:
    return len(points) >= MIN_POINTS and points[-1][0] - points[0][0] >= span


def _interval(points: Sequence[Point], *, settled: bool) -> Slope | None:
    """Sen's interval: as many slopes of pairs are cut off at each end as chance may put on the wrong side."""
    slopes = sorted(_slopes(points))
    if not slopes:
        return None
    n = len(points)
    noise = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    cut = max(0, math.floor((len(slopes) - _Z * noise) / 2))
    low, high = slopes[cut], slopes[-1 - cut]
    if not settled:  # what rose by now may go on to
        whole = 60 * (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
        return Slope(low, _middle(slopes), max(high, whole), settled)
    ups = len(slopes) - bisect_right(slopes, 0.0) - bisect_left(slopes, 0.0)
    rises = ups / noise > _Z
    mid = _middle(slopes) if rises else 0.0
    if not mid and rises and _steps(points) >= HABIT:
        mid = _straight(points)
    return Slope(low, mid, max(high, mid), settled)


def _slopes(points: Sequence[Point]) -> list[float]:
    """Of every pair; thousands at each look, so nothing is made for a pair but its slope."""
    return [
        60 * (later - value) / (then - at)
        for index, (at, value) in enumerate(points)
        for then, later in islice(points, index + 1, None)
        if then > at
    ]


def _middle(ordered: Sequence[float]) -> float:
    """The median of what is in order already."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _steps(points: Sequence[Point]) -> int:
    """How often it rose above all that was before."""
    highs = list(accumulate((value for _, value in points), max))
    return sum(b > a for a, b in pairwise(highs))


def _straight(points: Sequence[Point]) -> float:
    """Growth a minute of the straight line that fits best."""
    at, value = fmean(a for a, _ in points), fmean(v for _, v in points)
    return 60 * sum((a - at) * (v - value) for a, v in points) / sum((a - at) ** 2 for a, _ in points)


def _distinct(points: Sequence[Point]) -> list[Point]:
    return [point for index, point in enumerate(points) if not index or point[1] != points[index - 1][1]]
