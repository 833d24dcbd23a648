"""A plan as lines for people and as JSON for programs."""

from __future__ import annotations

from typing import cast

from pydantic import TypeAdapter

from gopub.canon import Json
from gopub.plan.model import Plan, PlannedStep
from gopub.units import say_seconds
from gopub.views.amounts import names

_PLAN = TypeAdapter(Plan)


def plan_json(plan: Plan) -> dict[str, Json]:
    """The plan as JSON values."""
    return cast("dict[str, Json]", _PLAN.dump_python(plan, mode="json"))


def plan_lines(plan: Plan) -> list[str]:
    """The plan for people."""
    stable = f"stable {plan.stable.version}" if plan.stable else "first release: no stable"
    lines = [
        f"{plan.app} {plan.release.version} into {plan.env} ({plan.mode}; {stable})",
        f"{len(plan.hosts)} hosts, at most {plan.max_unavailable} out at once, max_load {plan.max_load:g}",
    ]
    lines += [
        f"  step {step.index + 1}: {step.says}, bake {say_seconds(step.bake)}{_gate(step)}" for step in plan.steps
    ]
    if plan.kept:
        lines.append(f"  then: {names(plan.kept)}, kept on stable until here")
    return lines + [f"  note: {note}" for note in plan.notes]


def say_unpinned(plan: Plan) -> str:
    """``unpinned``, or which of the hosts are; empty where each of them checks who orders."""
    if len(plan.unpinned) == len(plan.hosts):
        return "unpinned"
    return f"unpinned: {names(plan.unpinned)}" if plan.unpinned else ""


def _gate(step: PlannedStep) -> str:
    between = f", between {step.between}" if step.between else ""
    return between + (f", approved by {step.approve}" if step.approve else "")


def named(plan: Plan, folder: str) -> str:
    """A host's folder as people know it: the version where the plan knows it, and the release's short id."""
    short = folder.partition("-")[0]
    known = [ref.version for ref in (plan.release, plan.stable) if ref and ref.short == short and ref.version != short]
    return f"{known[0]} ({short})" if known else short or "-"
