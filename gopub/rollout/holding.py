"""Standing still while somebody holds the rollout: nothing grows, and the canary is guarded all the same.

Every box that goes forward stands here first. A hold stops growth only: at each look the rules may take the canary
back, an abort is obeyed, and at the deadline the rollout is withdrawn. Where there is no canary, none is looked at.
"""

from __future__ import annotations

from dataclasses import replace

from gopub.journal import events as ev
from gopub.judge.gates import heard, held_until, hold_of, say_hold
from gopub.judge.verdict import History
from gopub.plan.model import Outcome, PlannedStep
from gopub.plan.sight import LOOK
from gopub.rollout.bake import RETELL, go_back_if_told, look, note_hold, write
from gopub.rollout.box import Trouble, box, obey_abort
from gopub.rollout.judging import Judging, judging
from gopub.rollout.run import Run
from gopub.rollout.watch import is_watched, watch


async def guard(run: Run) -> None:
    """Stand, as a box of its own: for a driver that has nothing else to do any more.

    A promoted release has no canary to guard and is taken back for no hold: it is watched on.
    """
    if is_watched(run):
        await watch(run, while_held=True)
    elif run.state.plan:
        await _guard(run)


@box
async def _guard(run: Run) -> None:
    await stand(run)


async def stand(run: Run) -> None:
    """Wait until nobody holds the rollout any more, guarding its canary; at once where nobody does.

    Raises:
        Trouble: what turns the rollout around: a verdict, an abort, the deadline.
    """
    told, told_at = "", 0.0
    watch: float | None = None
    while hold := hold_of(run.asked()):
        obey_abort(run)
        note_hold(run)
        obey_deadline(run, hold)
        judge = judging(run)
        if step := _guarded(run):
            history = replace(_history(run, step, hold), watch_since=watch)
            record = await look(run, step, judge, history)
            says = f"{record.verdict.kind}{record.verdict.rule}{record.verdict.cause}{history.held}"
            if says != told or history.now - told_at >= RETELL:
                told, told_at = says, history.now
                write(run, step, record, judge)
            go_back_if_told(record.verdict)
            watch = record.history.after(record.verdict).watch_since
        await run.ports.clock.sleep(_pause(judge))
    note_hold(run)


def obey_deadline(run: Run, hold: ev.Asked) -> None:
    """A hold ends with the deadline, and the rollout with it.

    Raises:
        Trouble: withdrawn, with who held it.
    """
    if run.ports.clock.now() >= held_until(run.plan, run.state.reached, hold):
        raise Trouble(Outcome.WITHDRAWN, 0, f"{say_hold(hold)}; the deadline is over")


def _guarded(run: Run) -> PlannedStep | None:
    """The step that the canary stands in, with the hosts that it has by now; None where there is no canary."""
    canary = run.pools().at("canary")
    reached = [step for step in run.plan.steps if step.index in run.state.reached]
    step = reached[-1] if reached else run.state.step
    return replace(step, hosts=canary) if step and canary else None


def _history(run: Run, step: PlannedStep, hold: ev.Asked) -> History:
    until = held_until(run.plan, run.state.reached, hold)
    begun = run.state.reached.get(step.index, hold.at)
    history = History(run.ports.clock.now(), begun, step.bake, deadline=until)
    return heard(history, run.plan, step.index, run.asked())


def _pause(judge: Judging) -> float:
    return min(judge.look, LOOK)
