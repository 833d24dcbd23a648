"""The article's rule on error lines: an error class that comes at least three times as often as on stable in 10 s.

A profile for who wants it (``judge.logs_profile: article``), in the place of the surge (``logsurge``): it holds a
canary while it fires, and blames none. It has no floor, so it fires on chance: ``wrong`` says how often. Counts are for
each request of their track; where stable has none in these ten seconds it is taken to have one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIMES = 3.0
WITHIN = 10.0
"""Seconds."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The classes of one reading on both tracks, and their requests."""

    start: float
    end: float
    canary_requests: int
    stable_requests: int
    canary: Mapping[str, int]
    stable: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ThreeTimes:
    """A class that the rule fires on, with its counts of the last ten seconds."""

    name: str
    canary: int
    canary_requests: int
    stable: int
    stable_requests: int


def newest(glimpses: Sequence[Glimpse]) -> tuple[Glimpse, ...]:
    """Those that lie within ten seconds before the end of the last one, and that one however long it is."""
    return tuple(one for one in glimpses if one.start >= glimpses[-1].end - WITHIN or one is glimpses[-1])


def three_times(glimpses: Sequence[Glimpse]) -> tuple[ThreeTimes, ...]:
    """The classes that the rule fires on, the most frequent first."""
    n, m = sum(one.canary_requests for one in glimpses), sum(one.stable_requests for one in glimpses)
    ours: dict[str, int] = {}
    theirs: dict[str, int] = {}
    for one in glimpses:
        for track, found in ((ours, one.canary), (theirs, one.stable)):
            for name, number in found.items():
                track[name] = track.get(name, 0) + number
    fired = [ThreeTimes(name, x, n, theirs.get(name, 0), m) for name, x in ours.items()]
    return tuple(sorted((one for one in fired if _fires(one)), key=lambda one: (-one.canary, one.name)))


def _fires(found: ThreeTimes) -> bool:
    return found.canary * found.stable_requests >= TIMES * max(found.stable, 1) * found.canary_requests


def wrong(canary: float, stable: float, share: float) -> float:
    """How likely the rule fires in ten seconds on a class that is as frequent on both tracks.

    Args:
        canary: events of the class expected on the canary in these seconds.
        stable: the same on stable.
        share: the canary's requests for each one of stable.
    """
    most = math.ceil(stable + 12 * math.sqrt(stable) + 30)
    chances = ((_poisson(number, stable), max(number, 1)) for number in range(most))
    return sum(chance * _at_least(TIMES * share * number, canary) for chance, number in chances if chance > _TINY)


def _poisson(number: int, mean: float) -> float:
    return math.exp(number * math.log(mean) - mean - math.lgamma(number + 1)) if mean > 0 else float(number == 0)


def _at_least(least: float, mean: float) -> float:
    return max(0.0, 1.0 - sum(_poisson(number, mean) for number in range(math.ceil(least - _TINY))))
