"""Kayenta's judge as its sources publish it: Mann-Whitney per metric with tolerance, and a weighted score. Own code.

Per metric: NaN removed; no data is Nodata; the same sorted values, or one value over all, is Pass; else a two-sided
Mann-Whitney test (normal approximation, ties corrected, continuity 0.5), its 98 % interval of the shift and the
Hodges-Lehmann estimate found by roots with a tolerance of 1e-4. High where the interval's lower end exceeds 0.25 times
the estimate and the ratio of means is not below 1; Low the other way. A group's score is the share of Pass among what
is not Nodata; half of the metrics without data is 0. Below 75 fails, from 95 on passes, between is marginal.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

TOLERANCE = 0.25
CONFIDENCE = 0.98
ROOT = 1e-4
PASS, MARGINAL = 95.0, 75.0


@dataclass(frozen=True)
class Shift:
    """By how much the experiment lies above the control."""

    low: float
    high: float
    estimate: float


def ranks(values: Sequence[float]) -> list[float]:
    """Mean ranks from 1."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            out[order[k]] = (i + j) / 2 + 1
        i = j + 1
    return out


def z_of(experiment: Sequence[float], control: Sequence[float], shift: float, *, continuity: float = 0.0) -> float:
    """The test's z where the experiment is moved back by ``shift``."""
    moved = [round(value - shift, 12) for value in experiment]
    m, n = len(moved), len(control)
    found = ranks([*moved, *control])
    w = sum(found[:m]) - m * (m + 1) / 2 - m * n / 2
    ties = sum(count**3 - count for count in Counter(found).values())
    sigma = math.sqrt(m * n / 12 * ((m + n + 1) - ties / ((m + n) * (m + n - 1))))
    corrected = w - (math.copysign(0.5, w) if w else 0.0) * continuity
    return corrected / sigma if sigma else 0.0


def shift_of(experiment: Sequence[float], control: Sequence[float]) -> Shift:
    """The interval at ``CONFIDENCE``, and the estimate."""
    bottom, top = min(experiment) - max(control), max(experiment) - min(control)
    quantile = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)

    def root(target: float, continuity: float) -> float:
        def above(shift: float) -> bool:
            return z_of(experiment, control, shift, continuity=continuity) > target

        return _root(above, bottom, top)

    return Shift(root(quantile, 1.0), root(-quantile, 1.0), root(0.0, 0.0))


def _root(above: Callable[[float], bool], low: float, high: float) -> float:
    """Where a falling step function is not above its target any more."""
    if not above(low):
        return low
    if above(high):
        return high
    while high - low > ROOT:
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return (low + high) / 2


def classify(experiment: Sequence[float], control: Sequence[float], *, direction: str = "increase") -> str:
    """``Pass``, ``High``, ``Low`` or ``Nodata``."""
    ours = [value for value in experiment if not math.isnan(value)]
    theirs = [value for value in control if not math.isnan(value)]
    if not ours or not theirs:
        return "Nodata"
    if sorted(ours) == sorted(theirs) or len({*ours, *theirs}) == 1:
        return "Pass"
    shift = shift_of(ours, theirs)
    means = sum(ours) / len(ours), sum(theirs) / len(theirs)
    effect = means[0] / means[1] if all(means) else math.nan
    margin = TOLERANCE * abs(shift.estimate)
    if direction in ("increase", "either") and shift.low > margin and not effect < 1:
        return "High"
    if direction in ("decrease", "either") and shift.high < -margin and not effect > 1:
        return "Low"
    return "Pass"


def score(groups: Mapping[str, Sequence[str]], weights: Mapping[str, float]) -> float:
    """0 to 100 from the classes of each group's metrics; weights sum to 100."""
    every = [label for labels in groups.values() for label in labels]
    if 2 * every.count("Nodata") >= len(every):
        return 0.0
    total = 0.0
    for name, labels in groups.items():
        counted = [label for label in labels if label != "Nodata"]
        total += weights[name] * (counted.count("Pass") / len(counted) if counted else 0.0)
    return round(total, 2)


def verdict(value: float) -> str:
    """``Pass``, ``Marginal`` or ``Fail``."""
    return "Pass" if value >= PASS else "Marginal" if value >= MARGINAL else "Fail"
