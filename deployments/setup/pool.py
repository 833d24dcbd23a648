"""The work pool, its queues, the limit on builds, and the Block types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from blocks import BLOCKS
from deployments.setup.changes import Change, Did

LIMITS = {"gopub-build": 2}
"""Global concurrency limits: how many releases compile at a time (tasks/release.py)."""

_URGENT = "urgent"


async def ensure_pool(client: PrefectClient, pools: Iterable[tuple[str, str]]) -> list[Change]:
    """The work pools and queues, given as (pool, queue); a pool's other settings stay as somebody made them."""
    changes = [await _pool(client, pool) for pool in sorted({name for name, _ in pools})]
    return changes + [await _queue(client, pool, queue) for pool, queue in sorted(pools) if queue != "default"]


async def _pool(client: PrefectClient, name: str) -> Change:
    try:
        found = await client.read_work_pool(name)
    except ObjectNotFound:
        await client.create_work_pool(
            WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=job_template(),
                           description="Runs of gopub, as processes of a worker.")
        )  # fmt: skip
        return Change("work pool", name, "created")
    # A pool that somebody made over REST without a template has none; the server takes only whole ones.
    template = found.base_job_template if "job_configuration" in found.base_job_template else job_template()
    if template != found.base_job_template or _streams_output(template):
        await client.update_work_pool(name, WorkPoolUpdate(base_job_template=_without_output(template)))
        return Change("work pool", name, "updated")
    return Change("work pool", name, "unchanged")


def job_template() -> dict[str, Any]:
    """The process worker's own template, with runs that outlive the pipe to their worker."""
    return _without_output(ProcessWorker.get_default_base_job_template())


def _streams_output(template: dict[str, Any]) -> bool:
    properties = template.get("variables", {}).get("properties", {})
    return bool(properties.get("stream_output", {}).get("default", True))


def _without_output(template: dict[str, Any]) -> dict[str, Any]:
    variables = template.get("variables", {})
    properties = variables.get("properties", {})
    silent = {**properties.get("stream_output", {}), "default": False}
    return {**template, "variables": {**variables, "properties": {**properties, "stream_output": silent}}}


async def _queue(client: PrefectClient, pool: str, name: str) -> Change:
    priority = 1 if name == _URGENT else None
    try:
        found = await client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        await client.create_work_queue(name, work_pool_name=pool, priority=priority)
        return Change("work queue", f"{pool}/{name}", "created")
    if priority is not None and found.priority != priority:
        await client.update_work_queue(found.id, priority=priority)
        return Change("work queue", f"{pool}/{name}", "updated")
    return Change("work queue", f"{pool}/{name}", "unchanged")


async def ensure_limits(client: PrefectClient) -> list[Change]:
    """The limits; one that exists keeps its number, which is the operator's to choose."""
    changes = []
    for name, limit in LIMITS.items():
        try:
            await client.read_global_concurrency_limit_by_name(name)
            changes.append(Change("limit", name, "unchanged"))
        except ObjectNotFound:
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=limit))
            changes.append(Change("limit", name, "created"))
    return changes


async def ensure_blocks(client: PrefectClient) -> list[Change]:
    """The Block types, in the version that this gopub has."""
    known = {kind.slug for kind in await client.read_block_types()}
    changes = []
    for block in BLOCKS:
        slug = block.get_block_type_slug()
        current = slug in known and await _has_schema(client, block._calculate_schema_checksum())  # noqa: SLF001 - no public name
        if not current:
            await block.aregister_type_and_schema(client=client)
        did: Did = "unchanged" if current else "updated" if slug in known else "created"
        changes.append(Change("block", slug, did))
    return changes


async def _has_schema(client: PrefectClient, checksum: str) -> bool:
    try:
        await client.read_block_schema_by_checksum(checksum)
    except ObjectNotFound:
        return False
    return True
