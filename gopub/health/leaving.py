"""Whether clients leave the canary's answers clearly more often than stable's. Pure.

Who left is no error: users are impatient, scanners look at a header and go, apps cancel. But a release that stalls
after the header is left by everybody who does not wait for the edge's time limit, and shows in no other figure. So the
share of answers that were left is compared with stable's by the same kind of test as errors (``eprocess``,
``dispersion``):

1. It has a level of its own, α · ``STAKE``: an innocent canary is held by it in so many rollouts at most. One window
   multiplies a bet by at most 100, so what happened in one moment never reaches the mark.
2. It has to go on: a test that adds up forgets nothing, but one user who reloaded for a while is past, not the release.
   It does unless the last minute, where so many were to be expected that none is an answer, shows it no more.
"""

from __future__ import annotations

import math

from gopub.health.evidence import MetricEvidence
from gopub.health.samples import TrackWindow, Window
from gopub.health.sequential import MARGIN

STAKE = 0.2
"""The share of α for which this test may be wrong."""
FLOOR = 0.01
"""The canary's share exceeds stable's by at least this much, or it is told and holds nobody."""
EXPECTED = 3.0
"""So many have to be expected in the last minute before fewer say that it is over: none comes by chance once in 20."""


def mark(alpha: float) -> float:
    """What E has to reach."""
    return 1 / (STAKE * alpha)


def is_sure(left: MetricEvidence | None, alpha: float) -> bool:
    """Whether chance is no explanation for what was left since the rollout began."""
    return left is not None and left.log_e >= math.log(mark(alpha))


def goes_on(left: MetricEvidence, recent: Window | None) -> bool:
    """Whether the last minute shows it, too, or is too short to show anything."""
    canary, stable = (recent.canary, recent.stable) if recent else (None, None)
    ended = canary.attempts + canary.left if canary else 0
    if not ended or ended * share(left.canary_bad, left.canary_exposed) < EXPECTED:
        return True
    usual = _share_of(stable) if stable and stable.attempts else share(left.stable_bad, left.stable_exposed)
    return _share_of(canary) >= max(usual + FLOOR, (1 + MARGIN["left"]) * usual)


def share(bad: int, exposed: int) -> float:
    """``bad`` ÷ ``exposed``; 0 of nothing."""
    return bad / exposed if exposed else 0.0


def _share_of(track: TrackWindow | None) -> float:
    return share(track.left, track.attempts + track.left) if track else 0.0
