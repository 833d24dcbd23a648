"""A surge of error lines: how sure it is that a class comes more often on the canary than it does on stable, soon.

The log score compares two tracks whose rates nobody knows, pays for every start and every class, and may blame; so it
takes a three times higher rate of 3 events per second about twenty seconds to its mark. This one holds, and never
blames, so it may lean on more:

1.  What is usual is known: stable's rate per request in this rollout until now, at the upper end of what it may be, or
    the rate that stable has in this very reading, if that is higher. A shared incident makes what is usual higher.
2.  Each class bets on alternatives (``GRID``) against Poisson counts of that rate, each loss down to nothing at most:
    a new bet begins whenever the old one is lost (Page's CUSUM). Each is tempered by the spread of the stable hosts.
3.  The classes share one coin with the weights of the log score. Only those count that stand out of late, as there.

Were the rates known and events independent, readings between two false alarms were e^``MARK`` at least, on average;
rates are estimated and errors come in clusters, so that is measured (``tests/bench/bench_logs.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gopub.health.eprocess import log_sum

GRID = (2.0, 3.0, 5.0, 10.0, 30.0)
"""Alternatives, as multiples of what is usual."""
MARK = 6.5
ALERT = 0.0
"""From here on logs are read at each look."""
MOST = MARK + 4.0
"""More is not remembered, so that an end is seen soon."""
_SURE = 2.0
"""Standard deviations by which what is usual may be higher than it was."""


@dataclass(frozen=True, slots=True)
class Surge:
    """The class that rises most: its events and requests of late on both tracks, weighed by how late they were."""

    name: str
    log_r: float
    canary: float
    canary_requests: float
    stable: float
    stable_requests: float

    @property
    def times(self) -> float | None:
        """How many times as often as on stable; None where stable has none."""
        return self.canary * self.stable_requests / (self.stable * self.canary_requests) if self.stable else None


def usual(bad: int, exposed: int, now: tuple[int, int]) -> float:
    """Events per request that a class may well have: from the past, and from stable's ``now``."""
    past = (bad + 1 + _SURE * math.sqrt(bad + 1)) / exposed if exposed else math.inf
    return max(past, now[0] / now[1])


def bet(bets: tuple[float, ...], events: int, mean: float, phi: float) -> tuple[float, ...]:
    """The logarithms of what each bet is worth after so many events where ``mean`` are usual; () is nothing."""
    if not bets and not events:
        return ()
    if not math.isfinite(mean):
        return bets
    gained = ((events * math.log(g) - (g - 1) * mean) / max(1.0, phi) for g in GRID)
    after = tuple(
        round(min(MOST, max(0.0, old + new)), 3) for old, new in zip(bets or (0.0,) * len(GRID), gained, strict=True)
    )
    return after if any(after) else ()


def worth(bets: tuple[float, ...]) -> float:
    """The logarithm of all bets of a class together."""
    return log_sum(bets) - math.log(len(bets)) if bets else 0.0
