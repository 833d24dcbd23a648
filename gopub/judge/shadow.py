"""A shadow policy rides along: what it says of each look is kept beside the verdict, and nothing acts on it. Pure.

It sees what the acting policy's observer saw, at the moments at which that looked, in the steps that it reached: so it
says what this policy would have said there, not where the rollout would be by now (``backtest`` says where it would
have ended).
"""

from __future__ import annotations

from dataclasses import replace

from gopub.health.burn import Spending
from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.judge.backtest import decide_as
from gopub.judge.verdict import History, Kind, Policy, Shadow


def ride(
    seen: Observation, acting: Policy, history: History, config: JudgeConfig, since: float | None, steps: int,
    spending: Spending | None = None,
) -> Shadow:  # fmt: skip
    """What the policy of ``config`` says of this look.

    Args:
        seen: the look.
        acting: the policy that it was taken for.
        history: of that time.
        config: the shadow policy's.
        since: when its own watch began, if one lasts.
        steps: how many the rollout has.
        spending: what was spent of its own error budget; None where that is the acting policy's.
    """
    looked = seen if spending is None else replace(seen, spending=spending)
    return Shadow(decide_as(looked, acting, history, config, since, steps), config, since, steps, spending)


def reads_apart(config: JudgeConfig, acting: JudgeConfig) -> bool:
    """Whether the shadow policy asks for another error budget than the acting one, so that it is read for itself."""
    return config.budget is not None and config.budget != acting.budget


def again(shadow: Shadow, seen: Observation, acting: Policy, history: History) -> Shadow:
    """The same computed anew from what was kept."""
    return ride(seen, acting, history, shadow.config, shadow.since, shadow.steps, shadow.spending)


def lasts(shadow: Shadow) -> float | None:
    """When its watch began, for its next look; None where none lasts."""
    return (shadow.since or shadow.verdict.at) if shadow.verdict.kind is Kind.WATCH else None
