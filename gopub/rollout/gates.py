"""What a step waits for besides its verdict: a window, an approval. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gopub.rollout.events import Asked
from gopub.rollout.model import Plan, PlannedStep
from gopub.spec.windows import parse_window


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


def skipped_by(plan: Plan, index: int, asked: Sequence[Asked]) -> str | None:
    """Who asked to leave step ``index`` before its verdict; an approval of the next step does not do that."""
    if index + 1 < len(plan.steps) and plan.steps[index + 1].approve:
        return None
    found = [one for one in asked if one.what == f"promote:{index + 1}"]
    return f"{found[-1].actor}: {found[-1].reason or 'promoted by hand'}" if found else None


def _windows(plan: Plan, step: PlannedStep) -> tuple[str, ...]:
    """A step's own window replaces the plan's, which says when a rollout may start."""
    if step.between:
        return (step.between,)
    return plan.windows if step.index == 0 else ()
