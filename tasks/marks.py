"""How the runs of a rollout stand in Prefect: their tags, and the states of those whose process is gone.

Every run of a rollout, that of a flow inside another one too, is tagged ``gopub``, ``app:``, ``env:`` and, once there
is one, ``rollout:`` and ``trace:``. By ``gopub`` the watchdog finds runs whose heartbeats end; by ``rollout:`` people
and programs find every run that drove a rollout, by ``trace:`` people what else was done for the same release. All of
it is for whoever looks: a server that is silent keeps no rollout waiting.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from prefect import tags
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed, Failed

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError
from gopub.journal.reading import asked
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.rollout.run import Run
from gopub.telemetry import log
from gopub.usecases.ask import ask
from gopub.usecases.recover import active
from gopub.views.pages import plain
from gopub.views.reading import outline, read_seats
from gopub.views.rollout import Outline
from gopub.views.runs import handed_on, over_since, unseated
from gopub.views.summary import is_well
from gopub.wiring import settings
from tasks import presses

T = TypeVar("T")

WAITING = "Waiting"
GOPUB, APP, ENV, ROLLOUT, TRACE = "gopub", "app:", "env:", "rollout:", "trace:"
SERVER_ANSWERS_WITHIN = 5.0
"""Seconds that the server is given for what is only shown."""
SWEEP = 40.0
"""Seconds for all runs that were lost."""
SETTLED = 60.0
"""Seconds after the end of a run in which the states of its tasks may still be on their way."""
AT_ONCE = 200
_ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED]
_OPEN = [StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING]
_log = log("runs")


@contextmanager
def tagged(app: str = "", env: str = "") -> Iterator[None]:
    """Tags for the flow runs that begin within; their tasks bear none (see `tasks.box`)."""
    named = [prefix + value for prefix, value in ((APP, app), (ENV, env)) if value]
    with tags(GOPUB, *named):
        yield


async def from_prefect(
    what: str, work: Callable[[PrefectClient], Awaitable[T]], otherwise: T, patience: float = SERVER_ANSWERS_WITHIN
) -> T:
    """What this work with Prefect's client gives: it is only shown, so it has little time, and fails as a logged line.

    Where no client can be had, or the server is away, it gives ``otherwise``.
    """
    try:
        async with asyncio.timeout(patience), get_client() as client:
            return await work(client)
    except Exception as error:  # noqa: BLE001 - whatever the server's trouble is, it is not the rollout's
        _log.warning("%s: Prefect does not answer: %s", what, str(error) or type(error).__name__)
        return otherwise


def on_a_worker() -> bool:
    """Whether a worker started this process; else a person's command did."""
    return "PREFECT__FLOW_RUN_ID" in os.environ


def runs_here() -> tuple[UUID, ...]:
    """The run that a person started and, where it is another one, the rollout's own run within it."""
    named = (flow_run.get_root_flow_run_id(), flow_run.get_id())
    return tuple(dict.fromkeys(UUID(str(one)) for one in named if one))


async def read_run(client: PrefectClient, known: UUID) -> FlowRun | None:
    """A run as it stands; None where somebody deleted it."""
    try:
        return await client.read_flow_run(known)
    except ObjectNotFound:
        return None


async def tag_runs(run: Run) -> None:
    """Let the runs of this process bear the rollout's tags."""
    wanted = {GOPUB, APP + run.state.app, ENV + run.state.env, ROLLOUT + run.rollout, TRACE + run.trace}

    async def tag(client: PrefectClient) -> None:
        for known in runs_here():
            before = set((await client.read_flow_run(known)).tags)
            if wanted - before:
                await client.update_flow_run(known, tags=sorted(before | wanted))

    if runs_here():
        await from_prefect("the runs are not tagged", tag, None)


async def gone_on_with(app: str, env: str) -> str:
    """The rollout into this env (of this app, if given) that this run drove before it was suspended or retried.

    Empty where it is over, or there is none.
    """
    return await _drove(app, env, also_over=False)


async def drove_before(app: str, env: str) -> str:
    """The same, and also where it is over: a run that is tried again drives no second one."""
    return await _drove(app, env, also_over=True)


async def _drove(app: str, env: str, *, also_over: bool) -> str:
    async def drove(client: PrefectClient) -> str:
        for known in runs_here():
            for name in rollouts_of((await client.read_flow_run(known)).tags):
                known_as = _known(name)
                if known_as is None or app not in {"", known_as.app} or env != known_as.env:
                    continue
                if also_over or not known_as.outcome:
                    return name
        return ""

    return await from_prefect("what this run drove before is not known", drove, "") if runs_here() else ""


def rollouts_of(named: list[str]) -> list[str]:
    """The rollouts that a run's tags name."""
    return [tag.removeprefix(ROLLOUT) for tag in named if tag.startswith(ROLLOUT)]


async def sweep() -> int:
    """Bring the states of runs in line with what is so; gives how many were changed.

    A flow run or task run inside a run that has ended does not run any more: its process is gone. So is that of a run
    whose rollout another one has gone on with: the watchdog never hears of one that died before its first heartbeat. A
    run that waits, or was suspended, while its rollout came to an end in another run ends as the rollout did, and so
    does one whose process ended without a word of it.
    """
    changed = 0

    async def look(client: PrefectClient) -> None:
        nonlocal changed
        changed += await end_left(client, settings.journal())
        changed += await _bury(client)
        changed += await _bury_unseated(client, settings.journal())
        changed += await end_paused(client)
        await heed_cancelled(client, settings.journal())

    await from_prefect("lost runs are not marked", look, None, SWEEP)
    return changed


async def heed_cancelled(client: PrefectClient, journal: Journal) -> None:
    """Take back every rollout one of whose runs was cancelled while it had no process that could be told.

    Prefect calls a run that waits, or is suspended, Cancelled at once: there is nothing for a worker to end.
    """
    for one in active(journal):
        if one.state.back or one.state.closed:
            continue
        wanted = FlowRunFilterTags(all_=[GOPUB, ROLLOUT + one.state.rollout])
        found = FlowRunFilter(tags=wanted, state=_in([StateType.CANCELLED]))
        for cancelled in await client.read_flow_runs(flow_run_filter=found, limit=1):
            ask_abort(journal, one.state.rollout, cancelled)


def ask_abort(journal: Journal, rollout: str, run: FlowRun, clock: Clock | None = None) -> None:
    """Ask once that the rollout goes back, because its flow run was cancelled.

    Whoever cancels is heeded, also where an environment takes verified people alone: it is the way to safety.
    """
    if not any(one.what == "abort" for one in asked(journal, rollout)):
        word = presses.word_of(run, "cancel")
        ask(journal, rollout, "abort", f"its flow run {run.name} was cancelled by {word.actor}", word=word, clock=clock)


def ending(outcome: str, reason: str | None, data: object = None, *, well: bool = False) -> State:
    """The state in which a run ends: under the name of the outcome, and Failed where the release did not stay.

    Whoever manages releases looks for red. The flow did what it is for all the same, so nothing is to be tried again:
    a run that Prefect starts again finds its rollout over, and ends so once more.
    """
    name = outcome.capitalize() or "Completed"
    kind = Completed if well or is_well(outcome) else Failed
    return kind(name=name, message=said(reason), data=data)


def said(reason: str | None) -> str | None:
    """A reason as the message of a state: people and hosts wrote it, and it stands on a page in one line, bounded."""
    return plain(reason) if reason else None


async def name_inner(rollout: str, state: State) -> None:
    """Let the run inside a run show what came of its rollout, not only that its flow ran to its end."""
    if not rollout:
        return
    ended = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Completed"]))
    inner = FlowRunFilter(tags=FlowRunFilterTags(all_=[GOPUB, ROLLOUT + rollout]), state=ended)

    async def name(client: PrefectClient) -> None:
        for one in await client.read_flow_runs(flow_run_filter=inner, limit=AT_ONCE):
            if one.parent_task_run_id:
                await client.set_flow_run_state(one.id, state, force=True)

    await from_prefect("the inner run does not show how its rollout stands", name, None)


async def end_paused(client: PrefectClient, rollout: str = "") -> int:
    """End the paused runs of rollouts that are over (of this one, if given), under the name of the outcome."""
    wanted = [GOPUB, ROLLOUT + rollout] if rollout else [GOPUB]
    paused = FlowRunFilter(tags=FlowRunFilterTags(all_=wanted), state=_in([StateType.PAUSED]))
    changed = 0
    for one in await client.read_flow_runs(flow_run_filter=paused, limit=AT_ONCE):
        known = [its for name in rollouts_of(one.tags) if (its := _known(name))]
        if ends := [(its.outcome.value, its.reason) for its in known if its.outcome]:
            outcome, reason = ends[-1]
            await client.set_flow_run_state(one.id, ending(outcome, reason), force=True)
            changed += 1
    return changed


async def end_left(client: PrefectClient, journal: Journal) -> int:
    """End the runs that still run though all that they drove is over, under the name of the outcome.

    A process that Prefect ends for a pause of long ago, or whose last word came before one that was under way, leaves
    its run Running. One that was begun again since then has a process, and is left alone.
    """
    running = FlowRunFilter(tags=FlowRunFilterTags(all_=[GOPUB]), state=_in([StateType.RUNNING]))
    changed, before = 0, SystemClock().now() - SETTLED
    for one in await client.read_flow_runs(flow_run_filter=running, limit=AT_ONCE):
        named = rollouts_of(one.tags) if one.deployment_id or one.parent_task_run_id else []
        over = [_over_since(journal, name, before) for name in named]
        its = _known(named[-1]) if named and all(over) else None
        if its and its.outcome and _since(one) < max(over) + SETTLED:
            await client.set_flow_run_state(one.id, ending(its.outcome.value, its.reason), force=True)
            changed += 1
    return changed


def _over_since(journal: Journal, rollout: str, before: float) -> float:
    try:
        return over_since(journal.read_turns(stream_of(rollout)), before)
    except GopubError as error:
        _log.warning("%s: %s", rollout, error.problem)
        return 0.0


def _since(one: FlowRun) -> float:
    return one.state.timestamp.timestamp() if one.state else 0.0


async def _bury(client: PrefectClient) -> int:
    """Mark what still runs inside runs that have ended."""
    long_ago = FlowRunFilterEndTime(before_=datetime.fromtimestamp(SystemClock().now() - SETTLED, UTC))
    ended = FlowRunFilter(tags=FlowRunFilterTags(all_=[GOPUB]), state=_in(_ENDED), end_time=long_ago)
    lost = await client.read_task_runs(flow_run_filter=ended, task_run_filter=_open_tasks(), limit=AT_ONCE)
    return await _bury_tasks(client, lost)


async def _bury_unseated(client: PrefectClient, journal: Journal) -> int:
    """Mark the runs whose seat another run has."""
    running = FlowRunFilter(tags=FlowRunFilterTags(all_=[GOPUB]), state=_in([StateType.RUNNING]))
    changed, before = 0, SystemClock().now() - SETTLED  # one that lives is fenced, and ends by itself until then
    for one in await client.read_flow_runs(flow_run_filter=running, limit=AT_ONCE):
        if other := next(filter(None, (_handed_on(journal, name, one) for name in rollouts_of(one.tags))), ""):
            changed += await bury_run(client, one, gone_on_in(other))
        elif any(_is_unseated(journal, name, one, before) for name in rollouts_of(one.tags)):
            message = "another run goes on with its rollout: its process is gone"
            changed += await bury_run(client, one, Crashed(message=message))
    return changed


def _is_unseated(journal: Journal, rollout: str, run: FlowRun, before: float) -> bool:
    try:
        return unseated(journal.read_turns(stream_of(rollout)), str(run.id), before)
    except GopubError as error:
        _log.warning("%s: %s", rollout, error.problem)
        return False


def _handed_on(journal: Journal, rollout: str, run: FlowRun) -> str:
    try:
        return handed_on(read_seats(journal, rollout), asked(journal, rollout), str(run.id))
    except GopubError as error:
        _log.warning("%s: %s", rollout, error.problem)
        return ""


def gone_on_in(where: str, name: str = "") -> State:
    """How a run ends that another one goes on with."""
    return Completed(name="Gone on with", message=f"in run {name} ({where})" if name else f"in run {where}")


async def _bury_tasks(client: PrefectClient, lost: list[TaskRun]) -> int:
    changed = 0
    for one in lost:
        await client.set_task_run_state(one.id, _gone(), force=True)
        changed += 1
    inside = FlowRunFilterParentTaskRunId(any_=[one.id for one in lost])
    for below in await client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_task_run_id=inside)) if lost else ():
        changed += await bury_run(client, below)
    return changed


async def bury_run(client: PrefectClient, one: FlowRun, state: State | None = None) -> int:
    """Mark a flow run whose process is gone, and what runs inside it."""
    changed = 0
    if one.state and one.state.type in _OPEN:
        await client.set_flow_run_state(one.id, state or _gone(), force=True)
        changed += 1
    mine = _open_tasks().model_copy(update={"flow_run_id": TaskRunFilterFlowRunId(any_=[one.id])})
    return changed + await _bury_tasks(client, await client.read_task_runs(task_run_filter=mine, limit=AT_ONCE))


def _open_tasks() -> TaskRunFilter:
    return TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=_OPEN)))


def _in(kinds: list[StateType]) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=kinds))


def _gone() -> State:
    return Crashed(message="the run that it was part of has ended: its process is gone")


def _known(rollout: str) -> Outline | None:
    try:
        return outline(settings.journal(), rollout)
    except GopubError as error:
        _log.warning("%s: %s", rollout, error.problem)
        return None
