"""Going on with several rollouts: none waits for another, and none ends with another's trouble.

On a server each becomes a run of the deployment ``rollout`` of its own, so that `recover` and `promote` end at once and
look again a minute later, however long one of them bakes. In a process of our own they are driven side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import arun_deployment
from prefect.runtime import flow_run

from gopub.canon import Json
from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.telemetry import log
from gopub.usecases.recover import Found
from tasks.box import box
from tasks.ends import executed_by_a_worker
from tasks.marks import tagged

Ended = dict[str, Json]
Drive = Callable[..., Awaitable[Ended]]

DEPLOYMENT = "rollout/rollout"
QUEUE = "urgent"
"""The queue of `recover` itself: what guards a canary does not wait behind builds."""
BEGINS_WITHIN = 60.0
"""Seconds in which a run that a worker took up has its seat; one without a seat after that lost its process."""

_log = log("recover")


async def go_on(rollout: Drive, found: Sequence[Found]) -> list[Ended]:
    """Go on with each; gives what came of them, or which runs were started.

    Raises:
        GopubError: what one of them met, once all have ended; GP953 where it were several.
    """
    one = start if executed_by_a_worker() else partial(_drive, rollout)
    ended = await asyncio.gather(*(one(each) for each in found), return_exceptions=True)
    _raise_trouble(found, ended)
    return cast("list[Ended]", ended)


async def _drive(rollout: Drive, found: Found) -> Ended:
    with tagged(found.app, found.env):
        return await rollout(found.app, found.env, found.version, found.project, rollout_id=found.rollout)


@box(name="start", run_name="start {found.rollout}", patient=True, limit=60)
async def start(found: Found) -> Ended:
    """Start a run that goes on with this rollout, unless one that was started before is on its way to its seat."""
    tag = f"rollout:{found.rollout}"
    async with get_client() as client:
        before = await client.read_flow_runs(flow_run_filter=_unfinished(tag))
        run = next(filter(_on_its_way, before), None) or await arun_deployment(
            DEPLOYMENT,
            client=client,
            parameters=found.to_json(),
            timeout=0,
            tags=["gopub", f"app:{found.app}", f"env:{found.env}", tag],
            idempotency_key=f"{flow_run.get_id()}:{found.rollout}",
            work_queue_name=QUEUE,
            as_subflow=False,
        )
    return {"rollout": found.rollout, "run": run.name, "id": str(run.id)}


def _unfinished(tag: str) -> FlowRunFilter:
    kinds = FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING])
    return FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]), state=FlowRunFilterState(type=kinds))


def _on_its_way(run: FlowRun) -> bool:
    if run.state is None or run.state.type is StateType.SCHEDULED:
        return True
    return SystemClock().now() - run.state.timestamp.timestamp() < BEGINS_WITHIN


def _raise_trouble(found: Sequence[Found], ended: Sequence[Ended | BaseException]) -> None:
    failed = [
        (each.rollout, result) for each, result in zip(found, ended, strict=True) if isinstance(result, BaseException)
    ]
    if not failed:
        return
    for rollout, error in failed:
        _log.error("%s: %s", rollout, error)
    if len(failed) == 1:
        raise failed[0][1]
    told = "; ".join(f"{rollout}: {str(error).partition(chr(10))[0]}" for rollout, error in failed)
    trouble = GopubError("GP953", f"{len(failed)} of {len(found)} rollouts could not be gone on with ({told})",
                         hint="the others were; see what each needs with `gopub explain ID`")  # fmt: skip
    raise trouble from failed[0][1]
