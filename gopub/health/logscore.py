"""A number in [0, 1] for the canary's error lines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogClass:
    """One class of error lines on both tracks."""

    name: str
    canary: int
    stable: int
    log_e: float
    counted: bool
    """At least 5 events on the canary and 3 times the stable rate."""


@dataclass(frozen=True, slots=True)
class LogScore:
    """The probability that the canary's log is worse, with the stated prior."""

    value: float
    log_e: float
    canary_requests: int
    stable_requests: int
    classes: tuple[LogClass, ...] = ()
    notes: tuple[str, ...] = ()
