"""Rollouts whose driver died: go on from the journal, or go on going back."""

from __future__ import annotations

from prefect import flow

from flows.rollout import rollout
from gopub.canon import Json
from tasks import names
from tasks import rollout as boxes


@flow(name="recover", flow_run_name=names.recover)
async def recover(app: str = "", env: str = "") -> list[dict[str, Json]]:
    """Take over every active rollout that no driver holds.

    Args:
        app: Only this app's. Empty: all.
        env: Only those of this environment. Empty: all.
    """
    return [
        await rollout(found.app, found.env, found.version, found.project, rollout_id=found.rollout)
        for found in await boxes.orphans(app, env)
    ]
