"""Edges first, then the stable release back in batches that keep capacity; the reason is recorded."""

from __future__ import annotations

from prefect import flow

from gopub.canon import Json
from tasks import rollout as boxes


@flow(name="rollback", flow_run_name="rollback-{app}-{env}")
async def rollback(app: str, env: str, to: str = "", reason: str = "", actor: str = "") -> dict[str, Json]:
    """Take the active rollout back, or, where none is active, bring ``to`` (default: the release before) back."""
    return await boxes.take_back(app, env, to, reason, actor)
