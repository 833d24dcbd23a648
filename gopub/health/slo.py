"""Whether a track keeps the SLO."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SloCheck:
    """One track against the SLO over the last minute or so.

    ``above`` names what the plain figures exceed; ``broken`` what they exceed so far that chance is no explanation
    (5 %). A track with fewer than ``min_requests`` is neither.
    """

    requests: int = 0
    error_rate: float | None = None
    p95: float | None = None
    saturated: bool = False
    """The p95 lies above the last bucket: the true one is larger."""
    above: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    enough: bool = False
