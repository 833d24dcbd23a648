"""What a step waits for besides its evidence: a window, an approval; and what people said. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gopub.journal.events import Asked
from gopub.judge.verdict import History
from gopub.plan.model import Plan, PlannedStep
from gopub.spec.windows import parse_window

HOLD, RESUME = "hold", "resume"
UNWATCH = "unwatch"
"""What is asked of whoever watches a promoted release: to end that."""


def closed_gate(plan: Plan, index: int, asked: Sequence[Asked], now: float) -> str | None:
    """Why step ``index`` may not begin now; None when it may, or when there is no such step."""
    if index >= len(plan.steps):
        return None
    step = plan.steps[index]
    if step.approve and not any(one.what == f"promote:{index}" for one in asked):
        return f"step {index + 1} waits for the approval of {step.approve}"
    windows = _windows(plan, step)
    if windows and not any(parse_window(text).contains(now) for text in windows):
        return f"step {index + 1} waits for the window {' or '.join(windows)}"
    return None


def opens_at(plan: Plan, index: int, asked: Sequence[Asked], now: float) -> float | None:
    """When what step ``index`` waits for is there by itself; None where only a person can open it, or it is open."""
    if index >= len(plan.steps) or closed_gate(plan, index, asked, now) is None:
        return None
    step = plan.steps[index]
    if step.approve and not any(one.what == f"promote:{index}" for one in asked):
        return None
    opens = [parse_window(text).next_open(now) for text in _windows(plan, step)]
    return min((at for at in opens if at is not None), default=None)


def heard(history: History, plan: Plan, index: int, asked: Sequence[Asked]) -> History:
    """With what people said of leaving step ``index``, and what the step after it waits for at ``history.now``."""
    found = [one for one in asked if one.what == f"promote:{index + 1}"]
    who = ": ".join(filter(None, (found[-1].actor, found[-1].reason))) if found else None
    gated = index + 1 < len(plan.steps) and bool(plan.steps[index + 1].approve)
    hold = hold_of(asked)
    held = say_hold(hold) if hold else None
    return replace(
        history,
        approved=who if gated else None,
        promoted=None if gated else who,
        gate=held or closed_gate(plan, index + 1, asked, history.now),
        held=held,
    )


def hold_of(asked: Sequence[Asked]) -> Asked | None:
    """The hold that stands: the last word of those who asked to hold and to resume; None where nobody holds."""
    said = [one for one in asked if one.what in (HOLD, RESUME)]
    return said[-1] if said and said[-1].what == HOLD else None


def say_hold(hold: Asked) -> str:
    """``held by ann since 2026-11-15 12:00:00 UTC: the stock exchange opens``."""
    since = datetime.fromtimestamp(hold.at, UTC)
    why = f": {hold.reason}" if hold.reason else ""
    return f"held by {hold.actor or 'somebody'} since {since:%Y-%m-%d %H:%M:%S} UTC{why}"


def held_until(plan: Plan, reached: Mapping[int, float], hold: Asked) -> float:
    """When the hold ends by itself, and the rollout with it: the deadline, counted from the first step if any."""
    return min(reached.values(), default=hold.at) + plan.deadline


def _windows(plan: Plan, step: PlannedStep) -> tuple[str, ...]:
    """A step's own window replaces the plan's, which says when a rollout may start."""
    if step.between:
        return (step.between,)
    return plan.windows if step.index == 0 else ()
