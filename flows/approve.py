"""What somebody decided in a form: gopub starts a paused run of this for every approval that a rollout waits for."""

from __future__ import annotations

from prefect import flow

from gopub import __version__
from tasks import approving
from tasks.telling import plainly

_NEVER_AGAIN = -1
"""Prefect counts no start of a run that was made paused, and would try again at 0 what was refused."""


@flow(
    name="approve",
    version=__version__,
    retries=_NEVER_AGAIN,
    flow_run_name="approve-{app}-{env}-{version}-step-{step}",
)
@plainly
async def approve(app: str, env: str, version: str, rollout: str, step: int) -> str:  # noqa: ARG001 - for its name
    """Write down what was decided; resume the paused run, its form asks for that.

    Args:
        app: The app.
        env: The environment.
        version: The version that the rollout brings.
        rollout: The rollout that waits.
        step: The step that is to be approved, counted from 1.
    """
    return await approving.decided(rollout, step)
