"""The state in which a flow run ends: the UI shows what came of the rollout, not only that the flow ran to its end."""

from __future__ import annotations

from typing import cast

from prefect.states import Completed

from gopub.canon import Json

Ended = dict[str, Json]


def ended(result: Ended) -> Ended:
    """Completed, under the name of the outcome: Promoted, Rolled back, Withdrawn, Waiting, Nothing to do.

    Not Failed: the flow did what it is for, and whoever awaits it gets the result, whatever it is: Prefect hands out
    the data of a state that a flow returns.
    """
    outcome = str(result.get("outcome") or "")
    reason = str(result.get("reason") or "") or None
    return cast("Ended", Completed(name=outcome.capitalize() or "Completed", message=reason, data=result))
