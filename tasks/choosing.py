"""Which versions the forms in Prefect's page offer: the worker reads its stores, since a set-up may not reach them.

It is done after each release, for its app, and every quarter of an hour for all. A store that is away leaves a list as
it was: what is chosen there and not published any more is refused by the order's run, in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import DeploymentSort

from gopub.errors import GopubError, UsageError
from gopub.journal.projects import known_project
from gopub.spec.projects import Project as Registered
from gopub.spec.projects import find_projects, load_projects
from gopub.store.keys import version_key
from gopub.store.protocol import ArtifactStore
from gopub.telemetry import log
from gopub.views.forms import FORM, KIND, Choices, newest, renewed
from gopub.wiring import settings
from gopub.wiring.backends import BACKENDS
from gopub.wiring.project import open_project
from tasks.box import box
from tasks.elsewhere import Elsewhere
from tasks.marks import APP, GOPUB, from_prefect

_WITHIN = 20.0
_ALL_WITHIN = 600.0
_PAGE = 200
_log = log("forms")


@box(name="what is published", limit=1800)
async def refresh(app: str = "") -> dict[str, int]:
    """Bring the forms of every app that projects.yaml names here up to date; gives how many were changed by app."""
    try:
        file = find_projects()
    except UsageError as error:  # a house without forms: nothing is wrong
        _log.info("%s", error.problem)
        return {}
    apps = load_projects(file, BACKENDS).apps
    changed = {}
    for name, one in apps.items():
        if app not in {"", name}:
            continue
        if choices := await _choices(name, one):
            changed[name] = await offer(name, choices)
    return changed


async def published(store: ArtifactStore, app: str, targets: Sequence[str]) -> None:
    """After a release: its app's forms offer it. They are only a convenience, so nothing of it stops a release."""
    try:
        async with asyncio.timeout(_WITHIN):
            choices = Choices(await _versions(store, app), tuple(targets))
    except (GopubError, OSError, TimeoutError) as error:
        _log.warning("the forms of %s do not offer it yet: %s", app, error)
        return
    await offer(app, choices)


async def _choices(app: str, registered: Registered) -> Choices | None:
    """What an app's project says now; None where no folder of it is known here, or its store is away."""
    folders = (known_project(settings.journal(), app, env) for env in registered.envs)
    folder = registered.project or next((one for one in folders if one != "."), "")
    if not folder:
        _log.info("%s: nothing was rolled out from %s here yet: its forms are filled in by its next release", app,
                  registered.project_ref)  # fmt: skip
        return None
    try:
        async with asyncio.timeout(_WITHIN):
            project = await open_project(folder).naming_store(Elsewhere())
            return Choices(await _versions(project.store(), app), tuple(project.spec.build.targets))
    except (GopubError, OSError, TimeoutError) as error:
        _log.warning("%s: which versions are published is not known, and its forms stay as they are: %s", app, error)
        return None


async def _versions(store: ArtifactStore, app: str) -> tuple[str, ...]:
    prefix = version_key(app, "x").removesuffix("x")
    named = (key.removeprefix(prefix) for key in await store.list(prefix))
    return newest(name for name in named if "/" not in name)


async def offer(app: str, choices: Choices) -> int:
    """Write the choices into an app's forms, where they differ; gives how many were changed."""

    async def write(client: PrefectClient) -> int:
        changed = 0
        for one in await _forms(client, app):
            before: dict[str, Any] = one.parameter_openapi_schema or {}
            after = renewed(app, str(one.parameters.get("env") or ""), before, choices)
            if after != before:
                await client.update_deployment(one.id, DeploymentUpdate(parameter_openapi_schema=dict(after)))
                changed += 1
        return changed

    return await from_prefect(f"the forms of {app} are as before", write, 0, _WITHIN)


async def _forms(client: PrefectClient, app: str) -> list[DeploymentResponse]:
    wanted = DeploymentFilter(tags=DeploymentFilterTags(all_=[GOPUB, APP + app]))
    found: list[DeploymentResponse] = []
    for page in range(_PAGE):
        listed = await client.read_deployments(
            deployment_filter=wanted, sort=DeploymentSort.NAME_ASC, limit=_PAGE, offset=page * _PAGE
        )
        found += listed
        if len(listed) < _PAGE:
            break
    return [one for one in found if one.labels.get(KIND) == FORM and one.parameters.get("app") == app]
