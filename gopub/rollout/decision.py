"""The decision: one pure function over an observation, a policy and a history."""

from __future__ import annotations

from gopub.health.observation import Observation
from gopub.rollout.verdict import History, Kind, Policy, Verdict


def decide(observation: Observation, policy: Policy, history: History) -> Verdict:
    """Say what to do next (the numbered tree comes with the next change; until then only rule 2)."""
    reason = observation.no_data or f"fewer than {policy.min_requests} requests"
    return Verdict(Kind.HOLD, 2, reason, history.now)
