"""Whether a track keeps the SLO: plain figures, and figures that chance does not explain."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gopub.health.config import SloTarget
from gopub.health.quantile import quantile
from gopub.health.samples import TrackWindow

SURE = math.log(1 / 0.05)
"""A break is called one when a service that just keeps its SLO would show it in less than 5 % of such windows."""
P95_SHARE = 0.05
"""A p95 below T is the same as at most 5 % of the requests above T, which buckets can count."""


@dataclass(frozen=True, slots=True)
class SloCheck:
    """One track against the SLO over the last minute or so.

    ``above`` names what the plain figures exceed; ``broken`` what they exceed so far that chance is no explanation
    (5 %). With fewer than ``min_requests`` (``enough`` False) both are empty.
    """

    requests: int = 0
    error_rate: float | None = None
    p95: float | None = None
    saturated: bool = False
    """The p95 lies above the last bucket: the true one is larger."""
    above: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    enough: bool = False


def check_slo(track: TrackWindow, slo: SloTarget, min_requests: int) -> SloCheck:
    """Hold one track's recent counts against the SLO."""
    p95 = quantile(0.95, track.latency)
    enough = track.attempts >= max(1, min_requests)
    above, broken = _errors(track, slo) if enough else ((), ())
    slow_above, slow_broken = _latency(track, slo) if enough else ((), ())
    return SloCheck(
        requests=track.attempts,
        error_rate=track.error_rate,
        p95=p95.value if p95 else None,
        saturated=bool(p95 and p95.saturated),
        above=above + slow_above,
        broken=broken + slow_broken,
        enough=enough,
    )


def _errors(track: TrackWindow, slo: SloTarget) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if slo.error_rate is None or (track.error_rate or 0.0) <= slo.error_rate:
        return (), ()
    sure = surprise(track.errors, track.attempts, slo.error_rate) >= SURE
    return ("error_rate",), ("error_rate",) if sure else ()


def _latency(track: TrackWindow, slo: SloTarget) -> tuple[tuple[str, ...], tuple[str, ...]]:
    p95 = quantile(0.95, track.latency)
    if slo.latency_p95 is None or p95 is None or p95.value < slo.latency_p95:
        return (), ()
    if p95.value == slo.latency_p95 and not p95.saturated:
        return (), ()
    bound = track.latency.bound_at(slo.latency_p95)
    slow = track.latency.above(bound) if bound is not None else 0
    sure = surprise(slow, track.latency.total, P95_SHARE) >= SURE
    return ("latency_p95",), ("latency_p95",) if sure else ()


def surprise(bad: int, exposed: int, rate: float) -> float:
    """-log of the Chernoff bound on ``bad`` or more of ``exposed`` where each is bad with probability ``rate``.

    0 at or below the expected number; infinite where the rate allows none at all.
    """
    if not exposed or bad / exposed <= rate:
        return 0.0
    seen = bad / exposed
    if rate <= 0:
        return math.inf
    rest = (1 - seen) * math.log((1 - seen) / (1 - rate)) if seen < 1 else 0.0
    return exposed * (seen * math.log(seen / rate) + rest)
