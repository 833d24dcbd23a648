"""Whether the error budget lets a rollout grow, and what is said of it. Pure; it stops growth, and nothing else."""

from __future__ import annotations

from gopub.health.burn import ARTICLE, LASTS, LEAST, MULTIWINDOW, Spending, Spent, lasting, left, rate, too_fast
from gopub.health.observation import Observation
from gopub.judge.verdict import Policy
from gopub.units import say_about, say_seconds

_DUST = 1e-9
"""A share that is the mark itself is not below it for the way in which computers divide."""


def why_not(observation: Observation, policy: Policy) -> str:
    """Why nothing may grow now; empty where the budget lets it, or nobody asks.

    A budget that cannot be read lets nothing grow: it is as good as unknown whether anything is left.
    """
    if not policy.brakes:
        return ""
    spending = observation.spending
    if spending is None or spending.unread:
        return f"the error budget cannot be read ({spending.unread if spending else 'nobody read it'})"
    return _frozen(spending, observation, policy) or _burning(spending, observation, policy)


def _allowed(observation: Observation) -> float:
    return observation.config.slo.error_rate or 0.0


def _frozen(spending: Spending, observation: Observation, policy: Policy) -> str:
    mark, budget = policy.freeze_below, observation.config.budget
    if mark is None or budget is None:
        return ""
    if budget.query is not None:
        share, source = spending.told, "by the query of `judge.budget`"
    else:
        spent = spending.over(budget.window)
        share = left(spent, _allowed(observation)) if spent and spent.errors >= LEAST else None
        source = _counted(spent, _allowed(observation)) if spent else ""
        if spent is None:
            return f"the error budget cannot be read (nothing is known of the last {say_seconds(budget.window)})"
    if share is None or share >= mark - _DUST:
        return ""
    return f"{_left(share)} ({source}), and below {100 * mark:.3g} % a rollout does not grow"


def _left(share: float) -> str:
    if share > 0:
        return f"{100 * share:.3g} % of the error budget are left"
    return (
        "nothing of the error budget is left"
        if share == 0
        else f"{-100 * share:.3g} % more than the error budget is spent"
    )


def _counted(spent: Spent, allowed: float) -> str:
    counts = f"{spent.errors:.0f} of {spent.attempts:.0f} requests failed in {say_about(spent.seconds)}"
    return f"{counts} as far as Prometheus has them, the SLO allows {100 * allowed:.3g} %"


def _burning(spending: Spending, observation: Observation, policy: Policy) -> str:
    allowed, least = _allowed(observation), policy.min_requests
    if policy.burn == MULTIWINDOW and (found := too_fast(spending, allowed, least)):
        factor, long, short = found
        said = " and ".join(f"{rate(one, allowed):.3g} times over {say_seconds(one.seconds)}" for one in (long, short))
        return f"the error budget burns too fast: {said}, from {factor:g} times on a rollout does not grow"
    if policy.burn == ARTICLE and (lasted := lasting(spending, allowed, least)) is not None:
        bar = max(spending.usual or 0.0, allowed)
        above = f"above {100 * bar:.3g} % for {say_about(lasted)}"
        return f"the error rate of {say_seconds(LASTS)} has been {above}, so a rollout does not grow"
    return ""
