"""The forms of the apps in projects.yaml as deployments: made, brought up to date, and removed with their app.

Each bears the mark of the projects.yaml that asked for it (`owned`); what bears another one, or none, stays. A form is
written only where it differs, by a patch that leaves what people add to it: whether it is paused, its schedules, its
places. Which versions are published a set-up does not ask; the worker does (tasks/choosing.py), and what it wrote is
kept. So a set-up that was killed half way is finished by the next, and one more changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx import HTTPStatusError, codes
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter
from prefect.client.schemas.responses import DeploymentResponse

from deployments.lint import PULL, Deployment, PrefectFile
from deployments.setup.asides import asked_by
from deployments.setup.changes import Change
from deployments.setup.deploying import read_all
from deployments.setup.owned import Found, Mark, labelled, sorted_out
from gopub.views.forms import FORM, Choices, Form, choices_in, forms_of

REFRESH = "refresh/refresh"
_ALIKE = {False: "deploy", True: "rollback"}
"""The deployment of prefect.yaml whose pool, queue and job variables a form has; by whether it is urgent."""
_TRIES = 5
_THEIRS = "made by the gopub of {}; give that one another server, or repeat with --take-over"
_NOBODYS = "it bears no mark of gopub, so it is somebody's; give it another name"


@dataclass(frozen=True, slots=True)
class Asked:
    """The apps of a projects.yaml with their environments, and whose word that is."""

    owner: str
    apps: Mapping[str, Sequence[str]]


def orders_of(named: Path | None) -> Asked | None:
    """What projects.yaml asks for; None where none is named and there is none in the usual places.

    Raises:
        UsageError: GP920 the one that is named is not there.
        SpecError: what is wrong with it.
    """
    found = asked_by(named)
    if found is None:
        return None
    projects, owner = found
    return Asked(owner, {name: app.envs for name, app in projects.apps.items()})


async def ensure_forms(
    client: PrefectClient, base: PrefectFile, asked: Asked, *, take_over: bool = False
) -> list[Change]:
    """Make the forms, bring them up to date, and remove ours that nobody asks for any more."""
    mark = Mark(asked.owner, FORM)
    flows = {name: await client.create_flow_from_name(name) for name in ("order", "rollback", "steer")}
    there = await _there(client, flows)
    found = {name: Found(labelled(one.labels), one) for name, one in there.items()}
    wanted = {form.full_name: form for form in forms_of(asked.apps, _known(found, mark))}
    todo = sorted_out(wanted, found, mark, take_over=take_over)
    faces = {name: _face(form, mark, flows[form.flow], _like(base, form)) for name, form in wanted.items()}
    looked = [(name, _differs(there[name], faces[name])) for name in todo.look_at]
    await _each(client, _make, [faces[name] for name in todo.make])
    await _each(client, _update, [(there[name], faces[name]) for name, differs in looked if differs])
    await _each(client, _remove, [there[name].id for name in todo.remove])
    changes = [Change("form", name, "created") for name in todo.make]
    changes += [Change("form", name, "updated" if differs else "unchanged") for name, differs in looked]
    changes += [Change("form", name, "removed") for name in todo.remove]
    changes += [
        Change("form", name, "left", _THEIRS.format(owner) if owner else _NOBODYS)
        for name, owner in todo.others.items()
    ]
    if todo.make:
        await _ask_for_versions(client)
    return changes


async def _there(client: PrefectClient, flows: Mapping[str, UUID]) -> dict[str, DeploymentResponse]:
    """Everything of these flows by its name: what is called as a form need not be one of ours, nor bear our tag."""
    called = {known: name for name, known in flows.items()}
    found = {}
    for name in flows:
        for one in await read_all(client, DeploymentFilter(), of_flow=name):
            found[f"{called[one.flow_id]}/{one.name}"] = one
    return found


def _known(found: Mapping[str, Found[DeploymentResponse]], mark: Mark) -> dict[str, Choices]:
    """What the worker wrote into the forms that are there, by app: of several the one with the most."""
    known: dict[str, Choices] = {}
    for one in found.values():
        app = str(one.thing.parameters.get("app"))
        if one.mark is None or one.mark.kind != mark.kind:
            continue
        offered = choices_in(one.thing.parameter_openapi_schema or {})
        before = known.get(app, Choices())
        most = max(offered.versions, before.versions, key=len)
        known[app] = Choices(most, offered.targets or before.targets)
    return known


def _like(base: PrefectFile, form: Form) -> Deployment:
    return next(one for one in base.deployments if one.name == _ALIKE[form.urgent])


def _face(form: Form, mark: Mark, flow: UUID, like: Deployment) -> dict[str, Any]:
    """What the server is given of a form."""
    env = [f"env:{form.env}"] if form.env else []
    return {
        "name": form.name,
        "flow_id": str(flow),
        "entrypoint": f"flows/{form.flow}.py:{form.flow}",
        "description": form.description,
        "tags": ["gopub", f"app:{form.app}", *env],
        "labels": mark.labels(),
        "parameters": dict(form.given),
        "parameter_openapi_schema": dict(form.schema),
        "enforce_parameter_schema": True,
        "pull_steps": [dict(step) for step in PULL],
        "job_variables": dict(like.work_pool.job_variables),
        "work_pool_name": like.work_pool.name,
        "work_queue_name": like.work_pool.work_queue_name,
    }


def _differs(there: DeploymentResponse, face: Mapping[str, Any]) -> bool:
    has = there.model_dump(mode="json")
    has["tags"], wants = sorted(has["tags"]), {**face, "tags": sorted(face["tags"])}
    if labelled(there.labels) != labelled(face["labels"]):
        return True
    return any(has[key] != value for key, value in wants.items() if key not in {"labels", "flow_id"})


async def _make(client: PrefectClient, face: Mapping[str, Any]) -> None:
    await client.request("POST", "/deployments/", json=dict(face))


async def _update(client: PrefectClient, pair: tuple[DeploymentResponse, Mapping[str, Any]]) -> None:
    there, face = pair
    if labelled(there.labels) != labelled(face["labels"]):  # a patch leaves labels as they are
        schedules = [one.model_dump(mode="json", include=_SCHEDULE) for one in there.schedules]
        await _make(client, {**face, "schedules": schedules, "paused": there.paused})
        return
    fields = {key: value for key, value in face.items() if key not in {"name", "flow_id", "labels"}}
    await client.update_deployment(there.id, DeploymentUpdate(**fields))


_SCHEDULE = {"schedule", "active", "parameters", "slug", "max_scheduled_runs"}


async def _remove(client: PrefectClient, known: UUID) -> None:
    await client.delete_deployment(known)


async def _each(
    client: PrefectClient, work: Callable[[PrefectClient, Any], Awaitable[None]], given: Iterable[Any]
) -> None:
    """One after the other, and again where the server has no time.

    On SQLite two that write at once collide, and who is turned away waits for seconds: eight at a time took longer.
    """
    for what in given:
        await _patiently(partial(work, client, what))


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Prefect's client has tried again for seconds when it gives up; writing a form twice writes it once."""
    for _ in range(_TRIES):
        try:
            return await work()
        except HTTPStatusError as error:
            if error.response.status_code != codes.SERVICE_UNAVAILABLE:
                raise
    return await work()


async def _ask_for_versions(client: PrefectClient) -> None:
    """Let a worker fill in what is published; one that is not there yet does when it begins."""
    deployment = await client.read_deployment_by_name(REFRESH)
    await client.create_flow_run_from_deployment(deployment.id, parameters={})
