"""Rollouts whose driver died: go on from the journal, or go on going back."""

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
from tasks.watching import ended, goes_on_looking


@flow(name="recover", version=__version__, retries=0, flow_run_name=names.recover)
@plainly
@traced
@goes_on_looking
@one_at_a_time
async def recover(app: str = "", env: str = "") -> list[dict[str, Json]]:
    """Take over every active rollout that no driver holds, and wake what may go on: each in a run of its own.

    Args:
        app: Only this app's. Empty: all.
        env: Only those of this environment. Empty: all.
    """
    marked = await boxes.sweep()
    async with boxes.catching_up(app, env):
        found = [*await boxes.orphans(app, env), *await boxes.ready_to_wake(app, env)]
        return ended(await going_on.go_on(rollout, found), marked)
