"""Scheduled: a rollout that waits, without canary traffic and without a driver, is woken when its time has come."""

from __future__ import annotations

from prefect import flow

from flows.rollout import rollout
from gopub import __version__
from gopub.canon import Json
from tasks import going_on, names
from tasks import rollout as boxes
from tasks.alone import one_at_a_time
from tasks.telling import plainly
from tasks.tracing import traced
from tasks.watching import ended


@flow(name="promote", version=__version__, retries=0, flow_run_name=names.promote)
@plainly
@traced
@one_at_a_time
async def promote(app: str = "", env: str = "") -> list[dict[str, Json]]:
    """Go on with every waiting rollout whose gate is open now: each in a run of its own where a worker executes this.

    Args:
        app: Only this app's. Empty: all.
        env: Only those of this environment. Empty: all.
    """
    return ended(await going_on.go_on(rollout, await boxes.ready_to_wake(app, env)))
