"""When Prefect starts `recover` and `promote`: at the moment, or every minute while there is something to look after.

Their schedules are a net alone, with wide meshes: an idle house has few runs. Whoever drives a rollout lets `recover`
look a minute later, and each of its runs the next one, as long as a rollout is active or something is owed. What waits
for a window has a run of `promote` at its moment: made once, moved with the moment, removed with the rollout. Where the
schedule is paused, neither is made: who pauses it means it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Scheduled

from gopub.canon import Json
from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal.store import Journal
from gopub.paths import OWN_SERVER
from gopub.rollout.run import Run
from gopub.usecases.wakes import Wake, changes, next_look, something_to_look_after, wake_of, wakes
from gopub.wiring import settings
from tasks.ends import executed_by_a_worker
from tasks.marks import GOPUB, from_prefect, runs_here

RECOVER, PROMOTE = "recover/recover", "promote/promote"
QUIET = "Nothing to do"
"""The state of a run that found nothing; it is removed after a while."""
KEPT = 900.0
"""Seconds for which a run that found nothing is shown."""
WAKE = "gopub-wake"
AT_HAND = 5.0
"""Seconds to its moment in which a run that wakes is left alone, whatever is wanted."""
_AT_ONCE = 100
R = TypeVar("R")


@asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """Let `recover` look a minute after the body begins, and a minute after it ends, however it does."""
    begun = asyncio.create_task(look_again())
    try:
        yield
    finally:
        await asyncio.gather(begun, return_exceptions=True)
        await look_again()


async def look_again() -> None:
    """Let `recover` look within two minutes, unless it is about to."""
    at = next_look(SystemClock().now())

    async def make(client: PrefectClient) -> None:
        if deployment := await _running_by_itself(client, RECOVER):
            await _scheduled(client, deployment, at, f"look:{at}", [GOPUB], {})

    if runs_here() and OWN_SERVER not in os.environ:
        await from_prefect("recover looks when its schedule says", make, None)


async def wake_later(run: Run) -> None:
    """Let `promote` wake the rollout that waits at its moment."""
    wake = wake_of(run.state, run.asked(), run.ports.clock.now())

    async def make(client: PrefectClient) -> None:
        if wake:
            await _make(client, wake)

    if wake and runs_here() and OWN_SERVER not in os.environ:
        await from_prefect("what waits is woken by the schedule", make, None)


async def settle_wakes(client: PrefectClient, journal: Journal, now: float) -> int:
    """Make the runs that wake what waits, and remove those that wake nothing any more; gives how many were changed."""
    wanted = FlowRunFilter.model_validate({"tags": {"all_": [WAKE]}, "state": {"type": {"any_": ["SCHEDULED"]}}})
    there = await client.read_flow_runs(flow_run_filter=wanted, limit=_AT_ONCE)
    later = {one.idempotency_key or "": str(one.id) for one in there if not _is_due(one, now)}
    to_make, to_remove = changes(wakes(journal, now), later)
    for one in to_make:
        await _make(client, one)
    for run in to_remove:
        await client.delete_flow_run(UUID(run))
    return len(to_make) + len(to_remove)


async def tidy(client: PrefectClient, now: float) -> int:
    """Remove the runs that found nothing, once they were shown for a while; gives how many."""
    until = datetime.fromtimestamp(now - KEPT, UTC).isoformat()
    quiet = FlowRunFilter.model_validate({
        "tags": {"all_": [GOPUB]}, "state": {"type": {"any_": [StateType.COMPLETED]}, "name": {"any_": [QUIET]}},
        "end_time": {"before_": until},
    })  # fmt: skip
    ours = FlowFilter(name=FlowFilterName(any_=["recover", "promote"]))
    found = await client.read_flow_runs(flow_filter=ours, flow_run_filter=quiet, limit=_AT_ONCE,
                                        sort=FlowRunSort.END_TIME_DESC)  # fmt: skip
    for one in found:
        await client.delete_flow_run(one.id)
    return len(found)


def goes_on_looking(work: Callable[[str, str], Awaitable[R]]) -> Callable[[str, str], Awaitable[R]]:
    """Let the flow `recover` make its next run, before it does anything: what kills it ends no watch."""

    @functools.wraps(work)
    async def told(app: str = "", env: str = "") -> R:
        if not (app or env) and executed_by_a_worker() and await asyncio.to_thread(_has_something):
            await look_again()
        return await work(app, env)

    told.__signature__ = inspect.signature(work, eval_str=True)  # type: ignore[attr-defined] # read by `inspect`
    return told


def ended(found: list[dict[str, Json]], done: int = 0) -> list[dict[str, Json]]:
    """The end of a run of `recover` or `promote`: one that found nothing says so, and is removed after a while."""
    if found or done or not executed_by_a_worker():
        return found
    return cast(
        "list[dict[str, Json]]", Completed(name=QUIET, message="nothing waits whose time has come, or was lost")
    )


def _has_something() -> bool:
    try:
        return something_to_look_after(settings.journal())
    except GopubError:
        return True  # what is not known may be there


async def _make(client: PrefectClient, wake: Wake) -> None:
    if deployment := await _running_by_itself(client, PROMOTE):
        tags = [GOPUB, WAKE, f"app:{wake.app}", f"env:{wake.env}"]
        await _scheduled(client, deployment, wake.at, wake.key, tags, {"app": wake.app, "env": wake.env})


async def _scheduled(
    client: PrefectClient, deployment: DeploymentResponse, at: int, key: str, tags: list[str], given: dict[str, Any]
) -> None:
    state: State[Any] = Scheduled(scheduled_time=datetime.fromtimestamp(at, UTC))
    await client.create_flow_run_from_deployment(
        deployment.id, parameters=given, tags=tags, idempotency_key=key, state=state
    )


async def _running_by_itself(client: PrefectClient, name: str) -> DeploymentResponse | None:
    """The deployment; None where there is none, or somebody paused what it does by itself."""
    try:
        found = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None
    return found if not found.paused and any(one.active for one in found.schedules) else None


def _is_due(run: FlowRun, now: float) -> bool:
    """Whether a worker may be about to take it up: it looks for itself whether it has anything to do."""
    return run.expected_start_time is None or run.expected_start_time.timestamp() <= now + AT_HAND
