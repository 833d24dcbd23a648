"""Pause and Suspend of a run hold its rollout; Resume lets it go on.

Prefect says nothing to the process of a run that is paused. It gives a *suspended* one no new task (the next one raises
``Pause``, in a flow inside another one as well) and lets a *paused* one go on as before. So the driver asks the server
every few seconds how its run stands and writes the hold into the journal, where every driver keeps to it. It guards the
canary here, without new tasks, until somebody resumes it; a way back needs none either. If this process dies, `recover`
guards: the journal holds. Whoever ends the hold, the runs' states are brought in line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import arun_deployment
from prefect.exceptions import Pause
from prefect.states import Running

from gopub.clock import SystemClock
from gopub.journal import events as ev
from gopub.journal.store import Journal
from gopub.judge.gates import HOLD, RESUME, hold_of, say_hold
from gopub.rollout import back
from gopub.rollout.holding import guard
from gopub.rollout.run import Run
from gopub.telemetry import log
from gopub.usecases.approvers import SOMEBODY, Word
from gopub.usecases.ask import ask_hold, ask_resume, standing_hold
from gopub.usecases.recover import Found, found
from gopub.views.reading import outline, rollout_of
from gopub.wiring import settings
from tasks import marks, presses
from tasks.marks import WAITING, ask_abort

LOOK = 2.0
"""Seconds between two looks at how the run stands."""
HANDED = 60.0
"""Seconds that the server is given to take up the run that goes on, and the end of this one."""
HELD = "Held"
NEWEST = 5
"""Rollouts of an env that are looked through for the one that a run drove."""
_log = log("rollout")


@dataclass
class Left:
    """What a process that Prefect ends for a pause leaves behind: a rollout to go on with in another run, or an end."""

    found: Found | None = None
    ended: State[Any] | None = None

    def note(self, run: Run, pause: Pause) -> None:
        """Note it, while the seat is ours. A run that Prefect schedules again goes on by itself.

        A rollout that is held before it has a plan has no canary to guard: it is left to `recover`, which holds it too.
        """
        state = getattr(pause, "state", None)
        if state is not None and state.state_details.pause_reschedule:
            return
        if run.state.closed:
            known = outline(run.ports.journal, run.rollout)
            self.ended = marks.ending(known.outcome.value, known.reason) if known.outcome else None
        elif not run.state.waiting and not hold_of(run.asked()):
            self.found = found(run.state, run.ports.journal)


@asynccontextmanager
async def handing_over() -> AsyncIterator[Left]:
    """Let another run go on where Prefect ended this one for a pause, and let this one say what became of it.

    A process ends so at its next task although somebody resumed it meanwhile: Prefect then takes the run for one that
    runs. Nothing else is left to do here, so that a busy server is waited for.
    """
    left = Left()
    try:
        yield left
    except Pause:
        await _hand_over(left)
        raise


@asynccontextmanager
async def heeding_pause(run: Run, left: Left) -> AsyncIterator[None]:
    """Hold the rollout while its run is paused or suspended, and guard its canary where Prefect gives no more tasks."""
    watching = asyncio.create_task(_watch(run))
    try:
        yield
    except Pause as pause:
        if not run.state.waiting and not run.state.closed:
            await _hold_at_once(run)
            await guard(run)
            await back.go_back(run)
        left.note(run, pause)
        raise
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(run: Run) -> None:
    """Look for ever; a server that does not answer is asked again, and holds up nothing."""
    while True:
        try:
            async with get_client() as client:
                while True:
                    await SystemClock().sleep(LOOK)
                    await look(run, client)
        except Exception as error:  # noqa: BLE001 - whatever the server's trouble is, it is not the rollout's
            _log.debug("%s: how its run stands is not known: %r", run.rollout, error)
            await SystemClock().sleep(LOOK)


async def look(run: Run, client: PrefectClient) -> None:
    """One look: what the runs' states ask for goes into the journal, and what the journal says into the states."""
    runs = [one for known in marks.runs_here() if (one := await marks.read_run(client, known))]
    asked = run.asked()
    hold = hold_of(asked)
    going_forward = not run.state.back and not run.state.closed
    if going_forward and (cancelled := next((one for one in runs if one.state and one.state.is_cancelled()), None)):
        _abort(run, cancelled)
    elif going_forward and (hold is None or hold.alert) and (paused := newly_paused(runs, asked)):
        _hold(run, paused)
    elif going_forward and hold and hold.run and (paused := await marks.read_run(client, UUID(hold.run))):
        _heed_end(run, paused)
    await show(run.asked(), client, runs)
    await _release(run, client)


async def _hold_at_once(run: Run) -> None:
    """Hold for the pause by which this run gets no more tasks: the next task may be sooner than the next look."""

    async def see(client: PrefectClient) -> bool:
        await look(run, client)
        return True

    looked = await marks.from_prefect("how the run stands is not known", see, otherwise=False)
    hold = hold_of(run.asked())
    if not looked and not run.state.back and (hold is None or hold.alert):
        here = str(next(iter(marks.runs_here()), ""))
        reason = "its run was suspended in Prefect"
        ask_hold(run.ports.journal, run.rollout, reason, actor=SOMEBODY, run=here, clock=run.ports.clock)


def newly_paused(runs: Sequence[FlowRun], asked: Sequence[ev.Asked]) -> FlowRun | None:
    """A run that somebody paused after a person ended the last hold; an alert that is over ends no pause."""
    resumed = max((one.at for one in asked if one.what == RESUME and not one.alert), default=0.0)
    for one in runs:
        if one.state and one.state.is_paused() and one.state.name != WAITING and _at(one) > resumed:
            return one
    return None


def _at(one: FlowRun) -> float:
    return one.state.timestamp.timestamp() if one.state and isinstance(one.state.timestamp, datetime) else 0.0


def _hold(run: Run, paused: FlowRun) -> None:
    said = (paused.state.name if paused.state else None) or "Paused"
    reason = f"its run {paused.name} was {said.lower()} in Prefect"
    word = presses.word_of(paused, "suspend")
    _log.warning("%s is held by %s: %s", run.rollout, word.actor, reason)
    ask_hold(run.ports.journal, run.rollout, reason, word=word, run=str(paused.id), clock=run.ports.clock)


def _heed_end(run: Run, paused: FlowRun) -> None:
    """What became of the run whose pause asked for the hold: resumed, or cancelled."""
    state = paused.state
    if state is None or state.is_paused():
        return
    journal, clock = run.ports.journal, run.ports.clock
    if state.is_cancelled() or state.is_cancelling():
        _abort(run, paused)
    elif not state.is_final():
        word = _resumed(journal, run.rollout, paused)
        ask_resume(journal, run.rollout, f"its run {paused.name} was resumed", word=word, clock=clock)


def _abort(run: Run, cancelled: FlowRun) -> None:
    """Prefect ends no process of a run that it takes for suspended: its driver goes back by itself."""
    ask_abort(run.ports.journal, run.rollout, cancelled, run.ports.clock)


def _resumed(journal: Journal, rollout: str, paused: FlowRun | None) -> Word:
    """Whose word the end of the hold is, that the pause of this run asked for: not that of an earlier one."""
    hold = standing_hold(journal, rollout)
    return presses.word_of(paused, "resume", since=hold.at if hold else 0.0)


async def _release(run: Run, client: PrefectClient) -> None:
    """End the run whose pause held the rollout, where its process is gone: this one goes on with it."""
    asked = run.asked()
    held = next((one for one in reversed(asked) if one.what == HOLD), None)
    here = marks.runs_here()
    if held is None or not held.run or hold_of(asked) or UUID(held.run) in here:
        return
    one = await marks.read_run(client, UUID(held.run))
    if one and one.state and (one.state.is_running() or one.state.is_paused()):
        await client.set_flow_run_state(one.id, marks.gone_on_in(str(here[0]) if here else ""), force=True)


async def show(asked: Sequence[ev.Asked], client: PrefectClient, runs: Sequence[FlowRun]) -> None:
    """Let the runs of this process, as they were read, say that the rollout is held, or that it is no longer.

    A state that has changed since is left alone: over a `Resuming` that Prefect wrote in this moment the run would be
    taken for one that runs, and nobody would start its next process.
    """
    hold = hold_of(asked)
    wanted = HELD if hold else "Running"
    for one in runs:
        state = one.state
        runs_on = state is not None and (state.is_running() or (state.is_paused() and hold is None and _ended(asked)))
        if state is None or not runs_on or state.name == wanted:
            continue
        if state.is_paused() and newly_paused([one], asked):
            continue  # paused again in this moment
        if not await _stands(client, one):
            continue
        message = f"{say_hold(hold)}; the canary is guarded, `gopub resume` goes on" if hold else ""
        await client.set_flow_run_state(one.id, Running(name=wanted, message=marks.said(message) or ""), force=True)


async def _stands(client: PrefectClient, one: FlowRun) -> bool:
    """Whether the run still has the state that was read."""
    now = await marks.read_run(client, one.id)
    return bool(now and now.state and one.state and now.state.id == one.state.id)


def _ended(asked: Sequence[ev.Asked]) -> bool:
    said = [one.what for one in asked if one.what in {HOLD, RESUME}]
    return bool(said) and said[-1] == RESUME


async def drove_before(app: str, env: str) -> str:
    """The rollout that this run drove before it was suspended or tried again, over or not; empty where there is none.

    Whoever resumes the run ends the hold that its suspension asked for. Where another process still drives the rollout,
    as the one that was suspended does, its end is waited for.
    """
    journal = settings.journal()
    rollout = await marks.drove_before(app, env) or _by_its_seat(journal, app, env)
    if not rollout:
        return ""
    if outline(journal, rollout).outcome:
        return rollout
    hold = standing_hold(journal, rollout)
    if hold and hold.run in {str(one) for one in marks.runs_here()}:
        known = UUID(hold.run)
        one = await marks.from_prefect(
            "who resumed it is not known", lambda client: marks.read_run(client, known), None
        )
        ask_resume(journal, rollout, "its run was resumed", word=_resumed(journal, rollout, one))
    clock = SystemClock()
    while (seated := journal.seated(app, env)) and seated[1]:
        await clock.sleep(LOOK)
    return rollout


def _by_its_seat(journal: Journal, app: str, env: str) -> str:
    """The same by the journal: a run has no tag of its rollout where the server was away when it began."""
    runs = {str(one) for one in marks.runs_here()}
    return rollout_of(journal, app, env, runs, most=NEWEST) if runs else ""


async def _hand_over(left: Left) -> None:
    async def end(client: PrefectClient) -> None:
        here = [one for known in marks.runs_here() if (one := await marks.read_run(client, known))]
        open_ones = [one for one in here if one.state and (one.state.is_running() or one.state.is_paused())]
        if any(one.state and (one.state.is_scheduled() or one.state.is_pending()) for one in here):
            return  # Prefect starts its next process
        ended = left.ended or (await _gone_on(client, left.found) if left.found else None)
        for one in open_ones if ended else ():
            await client.set_flow_run_state(one.id, cast("State[Any]", ended), force=True)

    await marks.from_prefect("what becomes of its run is left to recover", end, None, HANDED)


async def _gone_on(client: PrefectClient, one: Found) -> State[Any]:
    made = await arun_deployment(
        "rollout/rollout",
        client=client,
        parameters=one.to_json(),
        timeout=0,
        tags=[marks.GOPUB, marks.APP + one.app, marks.ENV + one.env, marks.ROLLOUT + one.rollout],
        work_queue_name="urgent",
        as_subflow=False,
    )
    return marks.gone_on_in(str(made.id), made.name)
