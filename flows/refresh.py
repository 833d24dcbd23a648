"""Scheduled: the forms in Prefect's page offer the versions that are published now."""

from __future__ import annotations

from prefect import flow

from tasks import choosing
from tasks.telling import plainly


@flow(name="refresh", retries=0, flow_run_name="refresh")
@plainly
async def refresh(app: str = "") -> dict[str, int]:
    """Read the store of each app that has forms; gives how many forms were changed by app.

    Args:
        app: Only this app's. Empty: all.
    """
    return await choosing.refresh(app)
