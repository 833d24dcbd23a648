"""Approvals in the Prefect UI: a run of its own, paused with a form, that only writes what was decided.

The rollout's own run never pauses for an approval: it guards the canary. The run of the flow ``approve`` has no process
while it waits. It is made paused, with its form beside it; whoever resumes it with the form filled in lets a worker run
it, and it writes what `gopub promote` or `gopub abort` would. One that nobody needs any more `recover` ends, and for
one that ended and decided nothing (cancelled, deleted, failed) it makes another.

It bears no tag ``rollout:``: by that others find runs that drive, and a cancelled form is no cancelled rollout.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from httpx import HTTPStatusError, codes
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import Completed, Crashed, Paused, Scheduled
from prefect.utilities.urls import url_for

from gopub.canon import Json
from gopub.clock import SystemClock
from gopub.errors import GopubError, UsageError
from gopub.journal.entry import Entry
from gopub.journal.state import State as Rollout
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.rollout.run import Run
from gopub.telemetry import log
from gopub.usecases.approve import moot
from gopub.usecases.recover import active
from gopub.views.board import rollout_key
from gopub.views.notices import ApprovalNeeded, Notice, Noticing
from gopub.views.pages import shown
from gopub.views.verdict import verdict_view
from gopub.wiring import settings
from tasks.answers import Decision, taken
from tasks.box import box
from tasks.marks import from_prefect

TAG = "gopub-approval"
DEPLOYMENT = "approve/approve"
NEEDED = "Approval needed"
_KEYS = keyset_from_base_key("approval")
_LONG = timedelta(days=3650)
"""Until it is ended by us: Prefect lets no run pause for ever."""
_SOON = timedelta(minutes=5)
"""In which its form is there, or `recover` has made it: no worker begins it before. The run list ends soon after."""
_GONE = timedelta(minutes=5)
"""After which a run is taken for dead that a worker took up: it writes one entry, for which its box has a minute."""
_TRIES = 3
"""So often is an answer read again whose worker dies of it, or beside it."""
_AT_ONCE = 200
_FORMS = 10
"""For one approval: who cancels the form that often wants none, and has the command line."""
_DECIDED_NOTHING = frozenset({StateType.CANCELLED, StateType.FAILED, StateType.CRASHED})
_OVER = _DECIDED_NOTHING | {StateType.COMPLETED}
"""The same, where the journal says that nothing was decided: whoever looks can call any run Completed."""
_log = log("approvals")


@dataclass(frozen=True, slots=True)
class Needed:
    """An approval that a rollout waits for; ``step`` is counted from 1."""

    app: str
    env: str
    version: str
    rollout: str
    step: int
    text: str
    """What stands above the form, in Markdown."""

    @property
    def parameters(self) -> dict[str, Json]:
        """Those of the flow ``approve``."""
        return {"app": self.app, "env": self.env, "version": self.version, "rollout": self.rollout, "step": self.step}


def needed(state: Rollout, steps: frozenset[int]) -> Iterator[Needed]:
    """Those of ``steps`` (counted from 0) that are still to be approved."""
    plan = state.plan
    if plan is None or state.closed or state.back:
        return
    for index in sorted(steps - state.passed):
        step = plan.steps[index]
        says = f"**{shown(state.app)} {shown(state.release_version)} into {shown(state.env)}** wants to begin"
        head = (
            f"{says} step {index + 1} of {len(plan.steps)} ({shown(step.says)}), which {shown(step.approve)} approves."
        )
        told = f"\n\n{shown(verdict_view(state.verdict).says)}" if state.verdict else ""
        no = "\n\nTo say no, choose abort: a form that is cancelled decides nothing, and comes again within a minute."
        more = f"\n\nMore: the page {_page_of(state)}, or `gopub explain {state.rollout}`."
        yield Needed(state.app, state.env, state.release_version, state.rollout, index + 1, head + told + no + more)


def _page_of(state: Rollout) -> str:
    """The rollout's page, as a link where the UI has an address."""
    key, base = rollout_key(state.app, state.env), get_current_settings().ui_url
    return f"[{key}]({base}/artifacts/key/{key})" if base else f"`{key}`"


async def request(client: PrefectClient, one: Needed, over: frozenset[StateType] = _DECIDED_NOTHING) -> bool:
    """Make the run with its form, once; it is scheduled for later until its form is there. Gives whether it was made.

    After one that is ``over`` there is another. One that was resumed is scheduled as well, until a worker takes it up:
    its form is filled in, and it is left alone.
    """
    made = await _run_for(client, one, over)
    if made.state is None or made.state.type is not StateType.SCHEDULED:
        return False
    held = await client.filter_flow_run_input(made.id, key_prefix="approval-", limit=len(_KEYS), exclude_keys=set())
    there = {item.key for item in held}
    if _KEYS["response"] in there:
        return False
    form: dict[str, Json] = {_KEYS["schema"]: Decision.model_json_schema(), _KEYS["description"]: one.text}
    for key in form.keys() - there:
        await client.create_flow_run_input(made.id, key=key, value=json.dumps(form[key]))
    await client.set_flow_run_state(made.id, _waiting(one), force=True)
    await _explain(client, made.id, one)
    return True


async def _explain(client: PrefectClient, run: UUID, one: Needed) -> None:
    """Let the run's page say what it is for: Prefect shows the form's text to whoever has pressed Resume alone."""
    says = f"{one.app} {one.version} into {one.env} waits for an approval of step {one.step}: press Resume, which "
    says += "opens the form. Approve or abort there; Cancel decides nothing, and another form comes within a minute."
    await client.create_logs([LogCreate(name="gopub.approvals", level=logging.INFO, message=says, timestamp=_now(),
                                        flow_run_id=run)])  # fmt: skip


async def _run_for(client: PrefectClient, one: Needed, over: frozenset[StateType]) -> FlowRun:
    """The run of this approval; after one that ended and decided nothing, the next: each key names the one before."""
    deployment = await client.read_deployment_by_name(DEPLOYMENT)
    key = f"approval:{one.rollout}:{one.step}"
    after = ""
    for _ in range(_FORMS):
        made = await client.create_flow_run_from_deployment(
            deployment.id,
            parameters=dict(one.parameters),
            name=f"approve-{one.app}-{one.env}-{one.version}-step-{one.step}",
            tags=[TAG, f"app:{one.app}", f"env:{one.env}"],
            idempotency_key=key + after,
            state=Scheduled(scheduled_time=_now() + _SOON),
        )
        if made.state is None or made.state.type not in over:
            break
        after = f":{made.id}"
    return made


async def form_for(client: PrefectClient, state: Rollout, step: int) -> str:
    """The address of the form that waits for the approval of this step, counted from 0; empty where there is none."""
    tags = [TAG, f"app:{state.app}", f"env:{state.env}"]
    waiting = FlowRunFilter.model_validate({"tags": {"all_": tags}, "state": {"type": {"any_": ["PAUSED"]}}})
    for run in await client.read_flow_runs(flow_run_filter=waiting, limit=_FORMS):
        if (run.parameters.get("rollout"), run.parameters.get("step")) == (state.rollout, step + 1):
            return url_for("flow-run", obj_id=run.id) or ""
    return ""


def _waiting(one: Needed) -> State[Any]:
    says = f"step {one.step} of {one.rollout}: Resume opens the form"
    state: State[Any] = Paused(name=NEEDED, message=says, reschedule=True, pause_expiration_time=_now() + _LONG)
    state.state_details.run_input_keyset = {str(part): name for part, name in _KEYS.items()}
    return state


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now(), UTC)


async def _answer(client: PrefectClient, run: UUID) -> Any:
    """What was answered in this form; None where nothing was. Under that very key: others may begin like it."""
    try:
        return json.loads(await client.read_flow_run_input(run, _KEYS["response"]))
    except HTTPStatusError as error:
        if error.response.status_code == codes.NOT_FOUND:
            return None
        raise
    except ValueError:
        return ""  # somebody wrote it past the page


async def _revive(client: PrefectClient) -> int:
    """Those whose process is gone: what was answered is read again, and where nothing was, another form is due."""
    on = FlowRunFilter.model_validate({"tags": {"all_": [TAG]}, "state": {"type": {"any_": ["RUNNING", "PENDING"]}}})
    changed = 0
    for run in await client.read_flow_runs(flow_run_filter=on, limit=_AT_ONCE):
        since = run.state.timestamp if run.state else None
        if since is None or _now() - since < _GONE:
            continue
        again = run.run_count < _TRIES and await _answer(client, run.id) is not None
        says = "its process is gone: what was answered is read again" if again else "its process is gone"
        state: State[Any] = Scheduled(name="Resuming", message=says) if again else Crashed(message=says)
        await client.set_flow_run_state(run.id, state, force=True)
        changed += 1
    return changed


async def settle(client: PrefectClient, journal: Journal) -> int:
    """Make the forms that are missing, and end those that nobody needs any more; gives how many were changed."""
    changed = await _revive(client)
    waiting = FlowRunFilter.model_validate({"tags": {"all_": [TAG]}, "state": {"type": {"any_": ["PAUSED"]}}})
    paused = await client.read_flow_runs(flow_run_filter=waiting, limit=_AT_ONCE)
    for run in paused:
        if why := _is_moot(journal, run):
            await client.set_flow_run_state(run.id, Completed(name="Not needed", message=why), force=True)
            changed += 1
    known = {(str(run.parameters.get("rollout")), run.parameters.get("step")) for run in paused}
    for one in _all_needed(journal):
        if (one.rollout, one.step) not in known and not moot(journal, one.rollout, one.step):
            changed += await request(client, one, _OVER)
    return changed


def _is_moot(journal: Journal, run: FlowRun) -> str:
    try:
        return moot(journal, str(run.parameters.get("rollout")), int(str(run.parameters.get("step"))))
    except (GopubError, ValueError) as error:
        _log.warning("what %s is about is not known: %s", run.name, error)
        return ""


def _all_needed(journal: Journal) -> Iterator[Needed]:
    for one in active(journal):
        if one.state.plan and any(step.approve for step in one.state.plan.steps):
            yield from needed(one.state, steps_of(journal.read_turns(stream_of(one.state.rollout))))


def steps_of(entries: list[Entry]) -> frozenset[int]:
    """The steps, counted from 0, whose approval was missing and nothing else, at some time."""
    noticing = Noticing()
    for entry in entries:
        noticing.known(entry)
    return noticing.needed


@box(name="decide", patient=True, limit=60)
async def decided(rollout: str, step: int) -> str:
    """Write what stands in the form with which this run was resumed.

    Raises:
        UsageError: GP970 there is none: the flow was started by hand.
        RefusedError: GP991 to GP994 it is nobody's who may approve this step; another form comes within a minute.
    """
    async with get_client() as client:
        answer = await _answer(client, UUID(str(flow_run.get_id())))
    if answer is None:
        raise UsageError("GP970", "nobody filled in the form of this approval",
                         hint="gopub starts this flow: resume the paused run, or use `gopub promote`")  # fmt: skip
    return taken(answer, str(flow_run.get_id()), rollout, step, settings.journal())


class Requests:
    """Asks for the approvals that one driver comes to wait for, beside its work."""

    def __init__(self, run: Run) -> None:
        """Know what was asked for before."""
        self._run, self._asking = run, list[asyncio.Task[None]]()

    def heard(self, made: Iterable[Notice]) -> None:
        """Of what was just told, ask for the approvals."""
        for notice in made:
            if isinstance(notice.payload, ApprovalNeeded):
                for one in needed(self._run.state, frozenset({notice.payload.step - 1})):
                    self._asking.append(asyncio.create_task(self._request(one)))

    async def _request(self, one: Needed) -> None:
        async def ask_for_it(client: PrefectClient) -> None:
            await request(client, one)

        await from_prefect("an approval is not asked for yet; recover asks within a minute", ask_for_it, None)

    async def all_asked(self) -> None:
        """Wait for those under way, a few seconds at most."""
        await asyncio.gather(*self._asking)
