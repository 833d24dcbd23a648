"""The state in which a flow run ends: the UI shows what came of the rollout, not only that the flow ran to its end."""

from __future__ import annotations

import os
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Paused

from gopub.canon import Json
from gopub.views import summary
from tasks import marks
from tasks.marks import WAITING

Ended = dict[str, Json]
_TOLD_TO_THE_WORKER = "PREFECT__FLOW_RUN_ID"


async def ended(result: Ended, wanted: str = "") -> Ended:
    """Completed (Promoted, Nothing to do), Failed (Rolled back, Withdrawn) or paused (Waiting): see `marks.ending`.

    ``wanted`` is the outcome that the run was started for: who asks for a rollback is not told that it failed.

    Only a run that a worker executes ends so. Who awaits a flow (a command, the flow ``deploy``) gets the result
    itself: Prefect hands out the data of a state that a flow returns, but loses them when the server answers late and
    is asked again.

    A rollout that waits is not over: its run is paused under the name Waiting, with what it waits for, and ends with
    the rollout (`tasks.marks`). Resume looks again whether its time has come.

    Raises:
        Pause: the rollout waits; Prefect ends the process and keeps the run.
    """
    if not executed_by_a_worker():
        return result
    outcome = str(result.get("outcome") or "")
    reason = str(result.get("reason") or "") or None
    if outcome == summary.WAITING:
        await marks.name_inner(str(result.get("rollout") or ""), Paused(name=WAITING, message=marks.said(reason)))
        raise Pause(state=await _paused(reason or WAITING))
    await marks.name_inner(str(result.get("rollout") or ""), marks.ending(outcome, reason))
    return cast("Ended", marks.ending(outcome, reason, result, well=outcome == wanted))


async def _paused(why: str) -> State[Any]:
    """The run of this process as it waits; asked for until the server has taken it."""
    wanted: State[Any] = Paused(name=WAITING, message=marks.said(why), reschedule=True)
    async with get_client() as client:
        answer = await client.set_flow_run_state(UUID(str(flow_run.get_id())), wanted, force=True)
    return answer.state or wanted


def executed_by_a_worker() -> bool:
    """Whether this flow run is the one that a worker started this process for."""
    return os.environ.get(_TOLD_TO_THE_WORKER, "") == (flow_run.get_id() or "none")
