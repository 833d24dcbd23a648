"""The state in which a flow run ends: the UI shows what came of the rollout, not only that the flow ran to its end."""

from __future__ import annotations

import os
from typing import cast

from prefect.runtime import flow_run
from prefect.states import Completed

from gopub.canon import Json

Ended = dict[str, Json]
_TOLD_TO_THE_WORKER = "PREFECT__FLOW_RUN_ID"


def ended(result: Ended) -> Ended:
    """Completed, under the name of the outcome: Promoted, Rolled back, Withdrawn, Waiting, Nothing to do.

    Not Failed: the flow did what it is for. Only a run that a worker executes ends so. Who awaits a flow (a command,
    the flow ``deploy``) gets the result itself: Prefect hands out the data of a state that a flow returns, but loses
    them when the server answers late and is asked again.
    """
    if not executed_by_a_worker():
        return result
    outcome = str(result.get("outcome") or "")
    reason = str(result.get("reason") or "") or None
    return cast("Ended", Completed(name=outcome.capitalize() or "Completed", message=reason, data=result))


def executed_by_a_worker() -> bool:
    """Whether this flow run is the one that a worker started this process for."""
    return os.environ.get(_TOLD_TO_THE_WORKER, "") == (flow_run.get_id() or "none")
