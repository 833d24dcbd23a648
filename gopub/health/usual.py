"""What is usual of a service before a rollout, from the counters of its stable release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gopub.health.counters import bounds_of, window
from gopub.health.power import ASSUMED_PHI
from gopub.health.samples import CounterSnapshot
from gopub.health.sequential import EvidenceState, learn

_LEAST_PHI = 1.1
"""φ moves while a rollout is watched, and never below 1."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Requests per second, the share of them that fails, and how that clusters."""

    requests: float
    errors: float
    """Never 0: where nobody saw one, as if the next request failed."""
    phi: float = ASSUMED_PHI
    cluster: float = 1.0
    """φ where stable hosts showed it; where it is only assumed, errors come alone."""


def usual(past: Sequence[CounterSnapshot], stable: str) -> Usual | None:
    """From counters before the rollout, oldest first; None where they show no request."""
    pairs = [(a, b) for a, b in pairwise(past) if b.at > a.at and len(bounds_of(a, b)) < 2]
    windows = [window(a, b, canary="", stable=stable, slow_above=None) for a, b in pairs]
    seconds = sum(one.end - one.start for one in windows)
    attempts = sum(one.stable.attempts for one in windows if one.stable)
    if not attempts or not seconds:
        return None
    bad = sum(one.stable.errors for one in windows if one.stable)
    spread = learn(EvidenceState(), windows).errors.spread
    known = spread.freedom > 0
    phi = max(_LEAST_PHI, spread.phi_since)
    return Usual(attempts / seconds, min(0.5, max(bad, 1) / attempts), phi, phi if known else 1.0)
