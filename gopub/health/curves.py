"""The curves of the score: from a measured value to points between 0 and 100.

The functions named ``article_*`` and ``sigmoid`` are the literal formulas of the profile ``article``; the targets and
``excess_growth`` belong to the default profile, which is relative to the SLO and to the stable track.
"""

from __future__ import annotations

import math

BETA = 8.0
DEFAULT_ERROR_RATE = 0.01
GROWTH = 15.0
"""MiB per minute that are too much."""
FILES = 60.0
"""Open files a minute that are too much: one a second that is not closed again."""
_HEAP_SHARE = 0.02
"""Growth below this share of the live heap per minute is no leak, however large the heap."""
_TOLERANCE = 1.25
"""With an SLO, a canary no slower or worse than this times stable is not punished for what both suffer."""
_WITHOUT_SLO = 2.0
_WITHIN_SLO = 3.0
"""An SLO is no leave to become this many times slower than stable,"""
_NOTICED = 0.05
"""unless it stays below this many seconds of p95."""
_QUICK = 0.025
"""Seconds: without an SLO nobody minds answers this quick, and below it buckets and schedulers speak."""

OF_THE_SLO = "the SLO"
OF_THE_PROFILE = "the profile's"
FILES_ORIGIN = "the default: one a second"


def sigmoid(x: float) -> float:
    """Points for a value ``x`` times its target: 100 at 0, 98.2 at half, 50 at the target, 1.8 at one and a half."""
    return 100 * _logistic(BETA * (1 - x)) / _logistic(BETA)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def article_latency(p95: float) -> float:
    """``max(0, 100 - p95_ms / 5)``: 0 at 500 ms, whatever the service."""
    return max(0.0, 100 - p95 * 1000 / 5)


def article_pauses(count: float) -> float:
    """From 100 without long pauses to 0 at 5 of them; ``count`` has a half-life of a minute."""
    return max(0.0, 100 * (1 - count / 5))


def article_growth(slope: float) -> float:
    """From 100 at no growth over 50 at 15 MiB per minute to 0 at 30."""
    return min(100.0, max(0.0, 100 * (1 - slope / (2 * GROWTH))))


def latency_target(slo: float | None, stable: float | None) -> float | None:
    """Seconds of p95 that give 50 points; None when there is nothing to hold it against.

    The SLO, or a quarter above stable where stable is slower: what both suffer is not the canary's. Where stable keeps
    the SLO easily, three times its p95. Without an SLO twice the p95 of stable.
    """
    if slo is not None:
        usual = math.inf if stable is None else max(_NOTICED, _WITHIN_SLO * stable)
        return max(min(slo, usual), _TOLERANCE * (stable or 0.0))
    return max(_QUICK, _WITHOUT_SLO * stable) if stable is not None else None


def latency_origin(slo: float | None, stable: float | None) -> str:
    """In words, what ``latency_target`` took the target from."""
    target = latency_target(slo, stable)
    if target is None:
        return "nothing to hold it against"
    if slo is None:
        return "twice stable's p95" if target > _QUICK else f"{_QUICK * 1000:g} ms, which nobody minds"
    if target == slo:
        return OF_THE_SLO
    if stable is not None and target == _TOLERANCE * stable:
        return f"{_TOLERANCE:g} times stable's p95"
    return f"{_WITHIN_SLO:g} times stable's p95" if target > _NOTICED else f"{_NOTICED * 1000:g} ms, far within the SLO"


def error_target(slo: float | None, stable: float | None) -> float:
    """The error rate that gives 50 points, by the same rule; without an SLO at least 1 %."""
    if slo is not None:
        return max(slo, _TOLERANCE * (stable or 0.0), 1e-6)
    return max(DEFAULT_ERROR_RATE, _WITHOUT_SLO * (stable or 0.0))


def error_origin(slo: float | None, stable: float | None) -> str:
    """In words, what ``error_target`` took the target from."""
    target = error_target(slo, stable)
    if slo is not None:
        if target == slo:
            return OF_THE_SLO
        return f"{_TOLERANCE:g} times stable's rate" if stable else "the least that is told apart from none"
    return "twice stable's rate" if target > DEFAULT_ERROR_RATE else "the default, for there is no SLO"


def pause_origin(stable: float | None) -> str:
    """In words, how many long pauses are usual."""
    return "stable's own" if stable else "stable has none" if stable is not None else "none is usual"


def growth_origin(target: float, stable: float | None) -> str:
    """In words, what ``growth_target`` took the target from."""
    what = "the default" if target == GROWTH else f"{_HEAP_SHARE:.0%} of the live heap"
    return f"{what} beyond stable's growth" if stable else what


def growth_target(heap: float | None) -> float:
    """MiB per minute that give no points: 15, or 2 % of a large live heap."""
    return max(GROWTH, _HEAP_SHARE * (heap or 0.0) / (1024 * 1024))


def excess_growth(slope: float, stable: float | None, target: float) -> float:
    """From 100 where the canary grows no faster than stable to 0 where it grows by ``target`` more."""
    return max(0.0, 100 * (1 - max(0.0, slope - (stable or 0.0)) / target))
