"""Evidence that the canary is worse than stable: an e-value that may be looked at as often as one likes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """The test on one metric: ``bad`` of ``exposed`` on each track so far, and what they say."""

    name: str
    log_e: float
    canary_bad: int
    canary_exposed: int
    stable_bad: int
    stable_exposed: int
    phi: float


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """What the fold over windows carries from look to look; survives the driver through JSON."""

    processes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """E in logarithms: ``log_e`` ≥ log(1/α) is evidence at level α, at any time."""

    log_e: float = 0.0
    metrics: tuple[MetricEvidence, ...] = ()
    basis: str = "none"
    """What the newest window was held against: ``stable``, ``slo`` (stable had no comparable traffic) or ``none``."""
    phi: float = 1.0
    slow_above: float | None = None
    """Seconds: what counts as slow."""
    notes: tuple[str, ...] = ()

    @property
    def e_value(self) -> float:
        """E, capped at 1e300."""
        return math.exp(min(self.log_e, 690.0))
