"""Rollouts whose driver died: go on from the journal, or go on going back."""

from __future__ import annotations

from prefect import flow

from flows.rollout import rollout
from gopub.canon import Json
from tasks import rollout as boxes


@flow(name="recover")
async def recover(app: str = "", env: str = "") -> list[dict[str, Json]]:
    """Take over every active rollout (of this app and env, if given) that no driver holds."""
    return [
        await rollout(found.app, found.env, found.version, found.project, rollout_id=found.rollout)
        for found in await boxes.orphans(app, env)
    ]
