"""Score 0 to 100 from latency, errors, GC pauses and memory growth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension: what was measured, what it was held against, and its points."""

    name: str
    weight: float
    value: float | None
    """Points 0–100; None is left out or missing, ``note`` says why."""
    measured: float | None = None
    target: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """The weighted sum; ``value`` None is INCONCLUSIVE."""

    value: float | None = None
    dimensions: tuple[Dimension, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def conclusive(self) -> bool:
        """Whether there is a number."""
        return self.value is not None
