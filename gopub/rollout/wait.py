"""The box that waits: a window, an approval, or the end of a hold."""

from __future__ import annotations

from gopub.journal import events as ev
from gopub.judge.gates import closed_gate, held_until, hold_of, say_hold
from gopub.plan.model import Outcome
from gopub.rollout.bake import note_hold
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around


async def must_wait(run: Run) -> bool:
    """Whether the rollout waits for its window, an approval or the end of a hold before it touches anything."""
    state, now = run.state, run.ports.clock.now()
    if state.back or state.closed or state.touched or state.step is None:
        return False
    if any(asked.what == "abort" for asked in run.asked()):
        return False
    hold = hold_of(run.asked())
    if hold and now >= held_until(run.plan, state.reached, hold):
        turn_around(run, Outcome.WITHDRAWN, 0, f"{say_hold(hold)}; the deadline is over")
        return False
    note_hold(run)
    why = say_hold(hold) if hold else closed_gate(run.plan, state.step.index, run.asked(), now)
    if why and state.waiting != why:
        run.record(ev.Waiting(state.step.index, why))
    if not why and state.waiting:
        run.record(ev.Woken(state.step.index, "its time has come"))
    return why is not None
