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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_base_key
from prefect.runtime import flow_run
from prefect.states import Completed, Paused, Scheduled
from pydantic import Field

from gopub.canon import Json
from gopub.clock import SystemClock
from gopub.errors import GopubError, UsageError
from gopub.journal.entry import Entry
from gopub.journal.state import State as Rollout
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.rollout.run import Run
from gopub.telemetry import log
from gopub.usecases.approve import decide, moot
from gopub.usecases.recover import active
from gopub.views.notices import ApprovalNeeded, Notice, Noticing
from gopub.views.pages import shown
from gopub.views.verdict import verdict_view
from gopub.wiring import settings
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
_AT_ONCE = 200
_FORMS = 10
"""For one approval: who cancels the form that often wants none, and has the command line."""
_DECIDED_NOTHING = frozenset({StateType.CANCELLED, StateType.FAILED, StateType.CRASHED})
_log = log("approvals")


class Decision(RunInput):
    """The form: everything in it is typed by whoever can open the page."""

    decision: Literal["approve", "abort"] = Field(description="approve: the step begins; abort: the rollout goes back.")
    name: str = Field(
        min_length=1, max_length=80, pattern=r"\S", description="Who decides. It is kept as typed, as not verified."
    )
    reason: str = Field("", max_length=500, description="Why; it stands in the journal.")


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
        more = f"\n\nMore: the page `{state.app}-{state.env}-rollout`, or `gopub explain {state.rollout}`."
        yield Needed(state.app, state.env, state.release_version, state.rollout, index + 1, head + told + no + more)


async def request(client: PrefectClient, one: Needed) -> bool:
    """Make the run with its form, once; it is scheduled for later until its form is there. Gives whether it was made.

    One that was resumed is scheduled as well, until a worker takes it up: its form is filled in, and it is left alone.
    """
    made = await _run_for(client, one)
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
    return True


async def _run_for(client: PrefectClient, one: Needed) -> FlowRun:
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
        if made.state is None or made.state.type not in _DECIDED_NOTHING:
            break
        after = f":{made.id}"
    return made


def _waiting(one: Needed) -> State[Any]:
    says = f"step {one.step} of {one.rollout}: Resume opens the form"
    state: State[Any] = Paused(name=NEEDED, message=says, reschedule=True, pause_expiration_time=_now() + _LONG)
    state.state_details.run_input_keyset = {str(part): name for part, name in _KEYS.items()}
    return state


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now(), UTC)


async def settle(client: PrefectClient, journal: Journal) -> int:
    """Make the forms that are missing, and end those that nobody needs any more; gives how many were changed."""
    changed = 0
    waiting = FlowRunFilter.model_validate({"tags": {"all_": [TAG]}, "state": {"type": {"any_": ["PAUSED"]}}})
    paused = await client.read_flow_runs(flow_run_filter=waiting, limit=_AT_ONCE)
    for run in paused:
        if why := _is_moot(journal, run):
            await client.set_flow_run_state(run.id, Completed(name="Not needed", message=why), force=True)
            changed += 1
    known = {(str(run.parameters.get("rollout")), run.parameters.get("step")) for run in paused}
    for one in _all_needed(journal):
        if (one.rollout, one.step) not in known and not moot(journal, one.rollout, one.step):
            changed += await request(client, one)
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
    """
    async with get_client() as client:
        held = await client.filter_flow_run_input(UUID(str(flow_run.get_id())), _KEYS["response"], 1, set())
    if not held:
        raise UsageError("GP970", "nobody filled in the form of this approval",
                         hint="gopub starts this flow: resume the paused run, or use `gopub promote`")  # fmt: skip
    said = Decision.model_validate(held[0].decoded_value)
    approve = said.decision == "approve"
    return decide(settings.journal(), rollout, step, approve=approve, name=said.name, reason=said.reason)


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
