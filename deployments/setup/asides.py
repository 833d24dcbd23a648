"""What may be missed: automations on events of rollouts, made of projects.yaml, brought up to date and removed.

Prefect acts on an event once at most. What must happen is started by `gopub serve`, from the journal; these are for
notes to people and extra runs. Each bears the mark of the projects.yaml that asked for it (`owned`), and what bears
another one, or none, stays as it is. Whether one is enabled is the operator's choice.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.events.actions import RunDeployment, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from deployments.setup.changes import Change
from deployments.setup.owned import Found, Mark, sorted_out, tagged
from gopub.canon import digest_of
from gopub.errors import UsageError
from gopub.spec.projects import Projects, find_projects, load_projects
from gopub.spec.when import Aside
from gopub.spec.wrongrules import sources
from gopub.wiring.backends import BACKENDS

KIND = "aside"
_AT_ONCE = 200
_PLACE = re.compile(r"\{([^{}]*)\}")
_OF_ALL = {"app": "gopub.app", "env": "gopub.env", "rollout": "prefect.resource.name"}
"""The labels in which fields of every event stand."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An automation that projects.yaml asks for."""

    name: str
    app: str
    envs: tuple[str, ...]
    aside: Aside


def asides_of(projects: Projects) -> dict[str, Wanted]:
    """All of them by name; a name follows from what it says, so that a changed one is another."""
    made = {}
    for app, project in projects.apps.items():
        for aside in project.may_be_missed:
            what = aside.run or aside.notify
            told = digest_of(aside.model_dump(mode="json"))[:6]
            name = f"gopub: {app}: {what} at {aside.when.type} ({told})"
            made[name] = Wanted(name, app, sources(aside.when, project.envs), aside)
    return made


def asked_by(named: Path | None) -> tuple[Projects, str] | None:
    """A projects.yaml and whose word it is; None where none is named and there is none in the usual places.

    Raises:
        UsageError: GP920 the one that is named is not there.
        SpecError: what is wrong with it.
    """
    try:
        file = find_projects(named)
    except UsageError:
        if named or os.environ.get("GOPUB_PROJECTS"):
            raise
        return None
    projects = load_projects(file, BACKENDS)
    return projects, projects.setup or f"{socket.gethostname()}:{file.resolve()}"


def trigger(wanted: Wanted) -> EventTrigger:
    """Fires at each event that is meant."""
    when = wanted.aside.when
    labels: dict[str, str | list[str]] = {"gopub.app": wanted.app}
    if when.type != "release.published":  # which goes into no environment
        labels["gopub.env"] = list(wanted.envs)
    hosts = [f"gopub.host.{re.sub('[*]+', '*', one)}" for one in when.match.get("payload.host", ())]
    related: dict[str, str | list[str]] = {"prefect.resource.role": "host", "prefect.resource.id": hosts}
    return EventTrigger(
        expect={f"gopub.{when.type}"},
        match=ResourceSpecification(labels),
        match_related=ResourceSpecification(related if hosts else {}),
        posture=Posture.Reactive,
        threshold=1,
    )


def template(text: str) -> str:
    """The text as Prefect fills it in. Braces in it are fields alone, so it can say nothing else in that language."""
    return _PLACE.sub(lambda place: f"{{{{ {_field(place[1])} }}}}", text)


def _field(path: str) -> str:
    if path in _OF_ALL:
        return f"event.resource['{_OF_ALL[path]}']"
    steps = [step if step.isdigit() else f"'{step}'" for step in path.split(".")[1:]]
    return "event.payload" + "".join(f"[{step}]" for step in steps)


async def ensure_asides(
    client: PrefectClient, projects: Projects, owner: str, *, take_over: bool = False
) -> list[Change]:
    """Make them, bring them up to date, and remove ours that nobody asks for any more."""
    mark, asked = Mark(owner, KIND), asides_of(projects)
    found, spare = _by_name(await _all(client), mark)
    todo = sorted_out(asked, found, mark, take_over=take_over)
    changes = [await _make(client, asked[name], mark) for name in todo.make]
    changes += [await _look(client, asked[name], mark, found[name].thing) for name in todo.look_at]
    for name in todo.remove:
        await client.delete_automation(found[name].thing.id)
        changes.append(Change("automation", name, "removed"))
    for one in spare:
        await client.delete_automation(one.id)
    others = ((name, whose or "somebody") for name, whose in todo.others.items())
    return changes + [Change("automation", name, "left", f"it is {whose}'s") for name, whose in others]


async def _make(client: PrefectClient, wanted: Wanted, mark: Mark) -> Change:
    core = await _core(client, wanted, mark)
    if isinstance(core, str):
        return Change("automation", wanted.name, "left", core)
    await client.create_automation(core)
    return Change("automation", wanted.name, "created")


async def _look(client: PrefectClient, wanted: Wanted, mark: Mark, there: Automation) -> Change:
    core = await _core(client, wanted, mark)
    if isinstance(core, str):
        return Change("automation", wanted.name, "left", core)
    if _face(there) == _face(core):
        return Change("automation", wanted.name, "unchanged")
    await client.update_automation(there.id, core.model_copy(update={"enabled": there.enabled}))
    return Change("automation", wanted.name, "updated")


async def _core(client: PrefectClient, wanted: Wanted, mark: Mark) -> AutomationCore | str:
    """The automation, or why there can be none."""
    action = await _action(client, wanted.aside)
    if isinstance(action, str):
        return action
    return AutomationCore(
        name=wanted.name,
        description="Made by gopub setup from projects.yaml; see docs/guides/triggers.md.",
        tags=["gopub", mark.tag()],
        trigger=trigger(wanted),
        actions=[action],
    )


async def _action(client: PrefectClient, aside: Aside) -> RunDeployment | SendNotification | str:
    try:
        if aside.run:
            known = await client.read_deployment_by_name(aside.run)
            texts = {key: {"__prefect_kind": "jinja", "template": template(text)}
                     for key, text in aside.parameters.items()}  # fmt: skip
            return RunDeployment(source="selected", deployment_id=known.id, parameters=texts)
        kind, _, name = (aside.notify or "").partition("/")
        block = await client.read_block_document_by_name(name, kind, include_secrets=False)
        return SendNotification(block_document_id=block.id, subject="gopub", body=template(aside.text or ""))
    except ObjectNotFound:
        return f"this server has no {aside.run or aside.notify}"


async def _all(client: PrefectClient) -> list[Automation]:
    found: list[Automation] = []
    while len(some := await client.read_automations(limit=_AT_ONCE, offset=len(found))) == _AT_ONCE:
        found += some
    return found + some


def _by_name(found: Sequence[Automation], mark: Mark) -> tuple[dict[str, Found[Automation]], list[Automation]]:
    """Those of a name, ours first, and ours that are there twice."""
    by: dict[str, Found[Automation]] = {}
    spare = []
    for one in sorted(found, key=lambda each: tagged(list(each.tags)) != mark):
        whose = tagged(list(one.tags))
        if one.name not in by:
            by[one.name] = Found(whose, one)
        elif whose == mark:
            spare.append(one)
    return by, spare


def _face(automation: AutomationCore) -> Mapping[str, Any]:
    core = AutomationCore.model_validate(automation.model_dump())
    face = core.model_dump(mode="json", include={"name", "description", "tags", "trigger", "actions"})
    face["tags"] = sorted(face["tags"])
    face["trigger"] = {key: sorted(value) if isinstance(value, list) else value
                       for key, value in face["trigger"].items() if key != "id"}  # fmt: skip
    return face
