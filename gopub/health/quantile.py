"""A quantile from histogram buckets, as PromQL's ``histogram_quantile`` computes it."""

from __future__ import annotations

from dataclasses import dataclass

from gopub.health.samples import Histogram

TAIL = 0.15
"""The share of answers that may lie above a bound that stands for a tail."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """Seconds, and whether the true value lies above the last bucket and is only known to be larger."""

    value: float
    saturated: bool = False


def quantile(q: float, histogram: Histogram) -> Quantile | None:
    """The ``q`` quantile, linear within its bucket, the first bucket starting at 0; None without observations."""
    total = histogram.total
    if not total:
        return None
    rank, below, lower = q * total, 0, 0.0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        if count and below + count >= rank:
            return Quantile(lower + (bound - lower) * (rank - below) / count)
        below, lower = below + count, bound
    return Quantile(histogram.bounds[-1], saturated=True)


def near(value: float, histogram: Histogram) -> float:
    """The bucket bound below ``value``, where no more than ``TAIL`` lie above it; else ``value`` itself.

    What is counted above ``value`` is counted above the next bound, which can be twice as far: then hardly an answer is
    left to compare. A tail of a tenth tells ten times as much per request as one of a hundredth.
    """
    below = max((bound for bound in histogram.bounds if bound < value), default=None)
    return value if below is None or histogram.above(below) > TAIL * histogram.total else below
