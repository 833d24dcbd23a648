"""Rollouts whose driver died: go on from the journal, or go on going back."""

from __future__ import annotations

from prefect import flow

from flows.rollout import rollout
from gopub.canon import Json
from tasks import going_on, names
from tasks import rollout as boxes
from tasks.alone import one_at_a_time
from tasks.telling import plainly


@flow(name="recover", retries=0, flow_run_name=names.recover)
@plainly
@one_at_a_time
async def recover(app: str = "", env: str = "") -> list[dict[str, Json]]:
    """Take over every active rollout that no driver holds: each in a run of its own where a worker executes this.

    Args:
        app: Only this app's. Empty: all.
        env: Only those of this environment. Empty: all.
    """
    await boxes.sweep()
    return await going_on.go_on(rollout, await boxes.orphans(app, env))
