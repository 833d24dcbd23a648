"""The first boxes of the chart: admit, plan, wait; and the last: close."""

from __future__ import annotations

from gopub.drive.opening import make_plan
from gopub.drive.policy import admission_of
from gopub.rollout import events as ev
from gopub.rollout.bake import note_hold
from gopub.rollout.boxes import box, turn_around
from gopub.rollout.closing import close
from gopub.rollout.gates import closed_gate, held_until, hold_of, say_hold
from gopub.rollout.judging import judging
from gopub.rollout.kit import Kit, write_kit
from gopub.rollout.model import Outcome
from gopub.rollout.run import Run, env_stream
from gopub.rollout.transitions import Phase

__all__ = ["admit", "close_promoted", "judge_from_here", "judging", "must_wait", "plan"]


@box
async def admit(run: Run) -> None:
    """Decide whether the release may enter; a refusal ends the rollout and changes nothing."""
    if run.state.admitted:
        return
    if run.refused:
        run.record(ev.Refused((run.refused,)))
        close(run, Outcome.REFUSED, run.refused)
        return
    admission = await admission_of(run)
    if admission.accepted:
        run.record(ev.Admitted(tuple(f"{check.name}: {check.reason}" for check in admission.checks)))
        return
    run.record(ev.Refused(admission.reasons))
    close(run, Outcome.REFUSED, "; ".join(admission.reasons))


@box
async def plan(run: Run) -> None:
    """Freeze hosts and steps; the rollback kit is written first, so that every plan has one."""
    if run.state.plan is not None or run.release is None:
        return
    made = await make_plan(run.rollout, run.release, run.state.env, run.ports, run.facts, run.notes)
    ports = run.ports
    kit = Kit(run.seat.epoch, made, ports.hosts, ports.environment, ports.edges, ports.edge_connection, _known(run))
    write_kit(ports.kits, kit)
    run.record(ev.Planned(made))
    await run.claim_edges()


def _known(run: Run) -> tuple[tuple[str, str], ...]:
    """Every release that was stable here, and the one that comes: what `rollback --to VERSION` can name."""
    entries = run.ports.journal.read(env_stream(run.state.app, run.state.env))
    closed = [entry.event for entry in entries if isinstance(entry.event, ev.EnvClosed)]
    stable = [(event.stable_version, event.stable) for event in closed if event.stable]
    return (*dict.fromkeys(stable), (run.state.release_version, run.state.release))


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


@box
async def judge_from_here(run: Run) -> None:
    """Let the judge learn what is usual, before the canary has traffic."""
    await judging(run).start(run.ports.clock.now())


@box
async def close_promoted(run: Run) -> None:
    """The release is stable."""
    if run.state.phase is Phase.SETTLING:
        close(run, Outcome.PROMOTED, "")
