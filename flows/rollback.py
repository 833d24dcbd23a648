"""Edges first, then the stable release back in batches that keep capacity; the reason is recorded."""

from __future__ import annotations

from prefect import flow

from gopub import __version__
from gopub.canon import Json
from gopub.plan.model import Outcome
from tasks import rollout as boxes
from tasks.telling import plainly
from tasks.tracing import traced


@flow(name="rollback", version=__version__, retries=0, flow_run_name="rollback-{app}-{env}")
@plainly
@traced
async def rollback(
    app: str,
    env: str,
    to: str = "",
    reason: str = "",
    actor: str = "",
    name: str = "",
    below_floor: bool = False,
) -> dict[str, Json]:
    """Take the active rollout back or, where none is active, bring an older release back.

    Args:
        app: The app, as its gopub.yaml calls it.
        env: The environment, such as prod.
        to: A version or release id to go back to. Empty: what ran before; with a rollout under way leave it empty.
        reason: Why; it stands in the journal.
        actor: Who asks; it stands in the journal. Empty: the user of the worker.
        name: Instead of actor: who asks, as typed into a form. It is kept as not verified; a login that the server
            knows counts instead.
        below_floor: Though that version is older than what runs says may follow it. Say in reason who knows that it
            reads the data.
    """
    who = await boxes.who_asks(name, actor)
    done = await boxes.take_back(app, env, to, reason, who, below_floor=below_floor)
    return await boxes.ended(done, wanted=Outcome.ROLLED_BACK.value)
