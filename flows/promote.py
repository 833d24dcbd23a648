"""Scheduled: a rollout that waits, without canary traffic and without a driver, is woken when its time has come."""

from __future__ import annotations

from prefect import flow

from flows.rollout import rollout
from gopub.canon import Json
from tasks import names
from tasks import rollout as boxes


@flow(name="promote", flow_run_name=names.promote)
async def promote(app: str = "", env: str = "") -> list[dict[str, Json]]:
    """Go on with every waiting rollout whose gate is open now.

    Args:
        app: Only this app's. Empty: all.
        env: Only those of this environment. Empty: all.
    """
    return [
        await rollout(found.app, found.env, found.version, found.project, rollout_id=found.rollout)
        for found in await boxes.ready_to_wake(app, env)
    ]
