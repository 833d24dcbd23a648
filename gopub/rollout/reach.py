"""The box that gives a step its traffic; and what takes traffic over under a new seat."""

from __future__ import annotations

from collections.abc import Mapping

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.transitions import Phase
from gopub.plan.model import FULL, PlannedStep
from gopub.rollout.box import box
from gopub.rollout.holding import stand
from gopub.rollout.run import Run


async def take_over(run: Run) -> None:
    """Learn what the edges hold; where a canary serves, put its table in force again under our seat.

    The driver before us may have been gone for longer than the canary's term. A canary that nobody wants any more, or
    that not every edge would take over, gets no new term: it is taken back as after any other trouble.
    """
    silent = await run.edges.claim()
    await _take_over(run, silent)


@box
async def _take_over(run: Run, silent: Mapping[str, str]) -> None:
    if not run.pools().at("canary") or run.state.phase is Phase.WATCHING:
        return  # what is watched is stable on the edges: their tables stand, and nothing of them ends
    if silent:
        text = "; ".join(f"{edge}: {error}" for edge, error in silent.items())
        raise GopubError("GP715", f"an edge does not answer, so the canary is not taken over ({text})",
                         hint="the canary has traffic only where every edge has acknowledged")  # fmt: skip
    reached = [step for step in run.plan.steps if step.index in run.state.reached]
    await run.edges.shift(run.pools(), run.state.weight, why="taken over", step=reached[-1] if reached else None)


@box
async def reach(run: Run, step: PlannedStep) -> None:
    """Shift the traffic to what the step says and begin its bake."""
    if step.index in run.state.reached:
        return
    await stand(run)
    run.edges.insist()
    pools = run.pools()
    weight = FULL if not pools.at("stable") else step.weight
    await run.edges.shift(pools, weight, why=f"step {step.index + 1}: {step.says}", step=step)
    run.record(ev.StepReached(step.index, run.ports.clock.now()))
