"""What the form `steer APP` in Prefect's page starts: the rollout under way goes on, stands still, or goes back."""

from __future__ import annotations

from prefect import flow

from tasks import names
from tasks import steering as boxes
from tasks.telling import plainly


@flow(name="steer", retries=0, flow_run_name=names.steer)
@plainly
async def steer(app: str, env: str, decision: str, reason: str = "", name: str = "") -> str:
    """Write down what somebody decides of the rollout that is under way; its driver does it.

    Args:
        app: The app.
        env: The environment.
        decision: promote, hold, resume or abort.
        reason: Why; it stands in the journal.
        name: Who decides, as typed into the form. It is kept as not verified; a login that the server knows counts
            instead.
    """
    return await boxes.steered(app, env, decision, reason, await boxes.who_is(name))
