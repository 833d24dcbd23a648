"""A shadow policy rides along: what it says of each look is kept beside the verdict, and nothing acts on it. Pure.

It sees what the acting policy's observer saw, at the moments at which that looked, in the steps that it reached: so it
says what this policy would have said there, not where the rollout would be by now (``backtest`` says where it would
have ended).
"""

from __future__ import annotations

from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.judge.backtest import decide_as
from gopub.judge.verdict import History, Kind, Policy, Shadow


def ride(
    seen: Observation, acting: Policy, history: History, config: JudgeConfig, since: float | None, steps: int
) -> Shadow:
    """What the policy of ``config`` says of this look; ``since`` is when its own watch began, if one lasts."""
    return Shadow(decide_as(seen, acting, history, config, since, steps), config, since, steps)


def again(shadow: Shadow, seen: Observation, acting: Policy, history: History) -> Shadow:
    """The same computed anew from what was kept."""
    return ride(seen, acting, history, shadow.config, shadow.since, shadow.steps)


def lasts(shadow: Shadow) -> float | None:
    """When its watch began, for its next look; None where none lasts."""
    return (shadow.since or shadow.verdict.at) if shadow.verdict.kind is Kind.WATCH else None
