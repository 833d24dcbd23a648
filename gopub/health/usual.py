"""What is usual of a service before a rollout, from the counters of its stable release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gopub.health.counters import bounds_of, gained, window, window_of
from gopub.health.dispersion import Dispersion
from gopub.health.endpoints import Counting, learn_endpoints, window_at
from gopub.health.power import ASSUMED_PHI
from gopub.health.samples import CounterSnapshot, Window
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
    windows = [window(a, b, canary="", stable=stable, slow_above=None) for a, b in _pairs(past)]
    return _usual(windows, learn(EvidenceState(), windows).errors.spread)


def usual_endpoints(past: Sequence[CounterSnapshot], stable: str, names: Sequence[str]) -> Mapping[str, Usual]:
    """The same of each declared endpoint that was counted then, too; others are left out."""
    counting, windows = Counting(names), []
    for a, b in _pairs(past):
        found = gained(a, b)
        windows.append(counting.counted(window_of(found, canary="", stable=stable, slow_above=None), found))
    state, known = learn_endpoints(EvidenceState(), windows, len(names)), dict[str, Usual]()
    for at, (name, one) in enumerate(zip(names, state.endpoints, strict=True)):
        if found_usual := _usual([window_at(whole, at) for whole in windows], one.errors.spread):
            known[name] = found_usual
    return known


def _pairs(past: Sequence[CounterSnapshot]) -> list[tuple[CounterSnapshot, CounterSnapshot]]:
    return [(a, b) for a, b in pairwise(past) if b.at > a.at and len(bounds_of(a, b)) < 2]


def _usual(windows: Sequence[Window], spread: Dispersion) -> Usual | None:
    seconds = sum(one.end - one.start for one in windows)
    attempts = sum(one.stable.attempts for one in windows if one.stable)
    if not attempts or not seconds:
        return None
    bad = sum(one.stable.errors for one in windows if one.stable)
    known = spread.freedom > 0
    phi = max(_LEAST_PHI, spread.phi_since)
    return Usual(attempts / seconds, min(0.5, max(bad, 1) / attempts), phi, phi if known else 1.0)
