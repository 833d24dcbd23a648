"""What the sequential test says, for the judge and for people: E, the metrics that it comes from, and their counts."""

from __future__ import annotations

from dataclasses import dataclass


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
class EndpointEvidence:
    """The tests on one declared endpoint; ``slow`` only where something says what is."""

    endpoint: str
    errors: MetricEvidence
    slow: MetricEvidence | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """E in logarithms: ``log_e`` ≥ log(1/α) is evidence at level α, at any time."""

    log_e: float = 0.0
    metrics: tuple[MetricEvidence, ...] = ()
    basis: str = "none"
    """What the newest window was held against: ``stable``, ``slo``, or ``none`` where there is nothing to compare."""
    phi: float = 1.0
    slow_above: float | None = None
    """Seconds: what counts as slow."""
    e_value: float = 1.0
    """E for readers, capped at about 1e299; decisions use ``log_e``."""
    log_e_all: float = 0.0
    """With late answers at their full worth; never below ``log_e`` where they are looked at."""
    e_all: float = 1.0
    """The same for readers."""
    late_above: float | None = None
    """Seconds: what counts as late."""
    left: MetricEvidence | None = None
    """Answers that clients left, in no other figure here; None where nobody left on either track."""
    endpoints: tuple[EndpointEvidence, ...] = ()
    """Those that were declared: members of the family, with a part of the coin."""
