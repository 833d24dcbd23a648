"""The deployments of prefect.yaml, put on the server by Prefect's own command.

That command writes no mark. What an older gopub left is known by its whole shape instead: its flow lies where ours lie,
its pull step is ours, and it is called as its flow. What is somebody else's stays, whatever its tags and its pool.
The command also undoes what people chose; :mod:`deployments.setup.chosen` keeps it and gives it back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort, FlowSort
from prefect.settings import get_current_settings

from deployments.lint import PULL, PrefectFile
from deployments.server import QUIET
from deployments.setup import chosen
from deployments.setup.changes import Change, changed
from gopub.errors import GopubError
from gopub.paths import PROJECT_FILE
from gopub.process import base_environment, run

_TAG = "gopub"
_WITHIN = 300.0
_PAGE = 200
_COMPARED = {
    "version", "description", "schedules", "parameters", "pull_steps", "tags", "work_queue_name", "paused",
    "parameter_openapi_schema", "entrypoint", "job_variables", "global_concurrency_limit", "concurrency_options",
}  # fmt: skip
_OF_THE_SERVER = {"id", "created", "updated", "deployment_id", "active_slots"}


async def deploy_all(client: PrefectClient, root: Path, wanted: PrefectFile) -> list[Change]:
    """Put every deployment on the server and take away those that an older gopub left.

    Raises:
        GopubError: GP913 Prefect refuses one of them.
    """
    pool = wanted.deployments[0].work_pool.name
    names = [f"{one.name}/{one.name}" for one in wanted.deployments]
    before = await _ours(client, pool)
    kept = await chosen.keep(client, before)
    await _prefect_deploy(root)
    after = await _ours(client, pool)
    if await chosen.give_back(client, kept, after):
        after = await _ours(client, pool)
    missing = [name for name in names if name not in after]
    if missing:
        raise GopubError("GP913", f"the server does not have {', '.join(missing)} after prefect deploy")
    _check_pull_steps({name: after[name] for name in names})
    changes = [Change("deployment", name, changed(_face(before.get(name)), _face(after[name]))) for name in names]
    for name in sorted(name for name in set(after) - set(names) if is_ours(after[name])):
        await client.delete_deployment(after[name].id)
        changes.append(Change("deployment", name, "removed"))
    return changes


def _check_pull_steps(deployed: Mapping[str, DeploymentResponse]) -> None:
    wrong = [name for name, one in deployed.items() if one.pull_steps != list(PULL)]
    if wrong:
        raise GopubError(
            "GP913",
            f"{', '.join(wrong)}: the pull step names a folder of this machine, not $GOPUB_HOME of the worker",
            hint="repeat `gopub setup`; `prefect deploy` by hand must run without GOPUB_HOME",
        )


async def _prefect_deploy(root: Path) -> None:
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", PROJECT_FILE]
    settings = get_current_settings()
    # Without GOPUB_HOME: Prefect would write this machine's folder into the pull step, for every worker.
    kept = [name for name in os.environ if name.startswith("PREFECT_")]
    extra = {**QUIET, "PREFECT_API_URL": settings.api.url or ""}
    environment = base_environment(keep=kept, extra=extra)
    done = await run(argv, cwd=root, env=environment, timeout=_WITHIN, check=False)
    if done.code:
        raise GopubError(
            "GP913", f"prefect deploy failed:\n{done.complaint}", hint=f"in {root}: prefect --no-prompt deploy --all"
        )


async def _ours(client: PrefectClient, pool: str) -> dict[str, DeploymentResponse]:
    """Those of the pool that bear our tag and are called as their flow: forms are not, and they may be thousands."""
    tagged = DeploymentFilterTags(all_=[_TAG])
    there = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    flows = await _flows(client, DeploymentFilter(tags=tagged), there)
    wanted = DeploymentFilter(tags=tagged, name=DeploymentFilterName(any_=sorted(set(flows.values()))))
    found = await read_all(client, wanted, there)
    return {f"{one.name}/{one.name}": one for one in found if flows.get(one.flow_id) == one.name}


async def _flows(client: PrefectClient, wanted: DeploymentFilter, there: WorkPoolFilter) -> dict[UUID, str]:
    """The names of the flows that have such a deployment."""
    found: dict[UUID, str] = {}
    while True:
        page = await client.read_flows(
            deployment_filter=wanted, work_pool_filter=there, sort=FlowSort.NAME_ASC, limit=_PAGE, offset=len(found)
        )
        found |= {one.id: one.name for one in page}
        if len(page) < _PAGE:
            return found


def is_ours(one: DeploymentResponse) -> bool:
    """Whether it has the shape of what a gopub, of whichever age, deploys from its prefect.yaml."""
    steps = [list(step) for step in one.pull_steps or ()]
    return one.entrypoint == f"flows/{one.name}.py:{one.name}" and steps == [list(step) for step in PULL]


async def read_all(
    client: PrefectClient, wanted: DeploymentFilter, there: WorkPoolFilter | None = None, *, of_flow: str = ""
) -> list[DeploymentResponse]:
    """Every deployment that fits: the server gives them by the page."""
    flow = FlowFilter(name=FlowFilterName(any_=[of_flow])) if of_flow else None
    found: list[DeploymentResponse] = []
    while True:
        page = await client.read_deployments(
            deployment_filter=wanted, work_pool_filter=there, flow_filter=flow, sort=DeploymentSort.NAME_ASC,
            limit=_PAGE, offset=len(found),
        )  # fmt: skip
        found += page
        if len(page) < _PAGE:
            return found


def _face(deployment: DeploymentResponse | None) -> object:
    """What a user chose of a deployment: without ids, times and slots in use."""
    if deployment is None:
        return None
    return _stripped(deployment.model_dump(mode="json", include=_COMPARED))


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items() if key not in _OF_THE_SERVER}
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return value
