"""How long a release's hosts were slow after they were started, and so how long the next one's may be. Pure.

Answers are counted by the age of their host. The level is what hosts do that have been up for long; the warm-up lasts
for as long as notably more answers were slow than that, and what a warm host does later is no part of it. A release
that is always slow has a high level and lengthens nothing; whatever was seen, the result lies between ``LEAST`` and
``MOST``.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass

from gopub.units import say_about

LEAST, MOST = 2.0, 60.0
"""Seconds that a warm-up lasts at least and at most where its length was seen."""
AGES = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0)
"""Ages in seconds, each the end of a slot; what is older is the last one's."""
ENOUGH = 50
"""Answers of young hosts, and of such that have been up for long, below which nothing was seen."""
_SLOTS = len(AGES) + 1
_CLEAR = 4.5
"""Standard deviations above the level that are no chance,"""
_NOTABLE = 0.02
"""and the share of answers above it that matters."""
_CALM, _FEW = 2, 20
"""So many slots, each with so many answers, in which hosts are as quick as old ones: they are warm."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Answers of hosts by their age; ``slow`` of ``timed`` were above what counts as slow. Empty: none were seen."""

    timed: tuple[int, ...] = ()
    slow: tuple[int, ...] = ()

    def plus(self, age: float, timed: int, slow: int) -> Starts:
        """With answers of a host of that age."""
        if timed <= 0 or age < 0:
            return self
        known, late = (list(sums) or [0] * _SLOTS for sums in (self.timed, self.slow))
        slot = bisect.bisect_left(AGES, age)
        known[slot], late[slot] = known[slot] + timed, late[slot] + slow
        return Starts(tuple(known), tuple(late))


def warmup_of(seen: Starts | None) -> float | None:
    """How many seconds the hosts took to become as quick as they are; None where too little was seen to say."""
    if seen is None or len(seen.timed) != _SLOTS or len(seen.slow) != _SLOTS:
        return None
    if not all(0 <= slow <= timed for timed, slow in zip(seen.timed, seen.slow, strict=True)):
        return None
    young, old = sum(seen.timed[:4]), seen.timed[-1]
    if young < ENOUGH or old < ENOUGH:
        return None
    return min(MOST, max((LEAST, *_slow_ages(seen))))


def _slow_ages(seen: Starts) -> Iterator[float]:
    """The ages at which hosts were still slow: they end where hosts were calm for long enough to be warm."""
    calm = 0
    for age, timed, slow in zip(AGES, seen.timed, seen.slow, strict=False):
        if _is_above(slow, timed, seen.slow[-1], seen.timed[-1]):
            calm = 0
            yield age
        elif timed >= _FEW:
            calm += 1
        if calm == _CALM:
            return


def _is_above(slow: int, timed: int, late: int, old: int) -> bool:
    """Whether young hosts are slow notably more often than old ones, and no chance."""
    if not timed:
        return False
    more, both = slow / timed - late / old, (slow + late + 1) / (timed + old + 2)
    return more >= _NOTABLE and more > _CLEAR * math.sqrt(both * (1 - both) * (1 / timed + 1 / old))


def say_seen(warmup: float) -> str:
    """For how long hosts warm up where stable's own starts said it."""
    return f"warming {say_about(warmup)}, as stable's own starts took"
