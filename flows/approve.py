"""What somebody decided in a form: gopub starts a paused run of this for every approval that a rollout waits for."""

from __future__ import annotations

from prefect import flow

from tasks import approving
from tasks.telling import plainly


@flow(name="approve", retries=0, flow_run_name="approve-{app}-{env}-{version}-step-{step}")
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
