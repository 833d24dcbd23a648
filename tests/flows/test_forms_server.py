"""The forms that `gopub setup` makes of projects.yaml, on a real server with a real worker."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.lint import load_deployments
from deployments.setup.forms import ensure_forms, orders_of
from gopub.process import spawn
from tests.flows.serverkit import AGAIN, PLAIN, ROOT, Stack, changes, run_sync, start, until

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
SPEC = """\
app: orders
build: {targets: [linux/amd64, windows/amd64]}
environments:
  prod: {inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:8080/healthz"}
"""
DEPLOY, BACK, RELEASE = "order/deploy orders to prod", "rollback/roll back orders in prod", "order/release orders"
STEER = "steer/steer orders"
ALL = {f"form {name}" for name in (DEPLOY, BACK, RELEASE, STEER)}


def projects(stack: Stack, name: str, apps: str, owner: str = "") -> str:
    """A projects.yaml; gives its path."""
    file = stack.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    said = "\n".join(f"  {app}: {{repository: {stack.folder}/git, project: {stack.folder}/project, envs: [prod]}}"
                     for app in apps.split())  # fmt: skip
    file.write_text(f"apps:\n{said}\ntokens: {{ci: {{secret: {{env: T}}}}}}\n{owner and f'setup: {owner}'}\n")
    return str(file)


def publish(stack: Stack, *versions: str) -> None:
    """Let the store of the worker's machine list these; nobody reads more than their names here."""
    folder = stack.folder / "state" / "gopub" / "store" / "apps" / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    for version in versions:
        (folder / version).write_text("0" * 64)


async def set_up(stack: Stack, file: str, *, take_over: bool = False) -> dict[str, set[str]]:
    """What the part of a set-up did that makes forms: the whole one takes seconds."""
    asked = orders_of(Path(file))
    assert asked
    with temporary_settings({PREFECT_API_URL: stack.server.url}):
        async with get_client() as client:
            done = await ensure_forms(client, load_deployments(ROOT), asked, take_over=take_over)
    return {did: {f"{one.kind} {one.name}" for one in done if one.did == did} for did in {one.did for one in done}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made: Stack = run_sync(start(tmp_path_factory.mktemp("forms")))
    (made.folder / "project").mkdir()
    (made.folder / "project" / "gopub.yaml").write_text(SPEC)
    publish(made, "1.4.0", "1.10.0", "2.0.0-rc.1")
    file = projects(made, "projects.yaml", "orders")
    done = changes(run_sync(made.gopub("setup", "--server", made.server.ui, "--json", "--projects", file)))
    assert done["created"] >= ALL
    run_sync(made.without_schedules("promote", "recover", "refresh"))
    run_sync(made.worker("worker", {"GOPUB_PROJECTS": file}))
    yield made
    run_sync(made.stop())


async def version_of(stack: Stack, name: str, field: str = "version") -> dict[str, Any]:
    found: dict[str, Any] = (await stack.deployment(name))["parameter_openapi_schema"]["properties"][field]
    return found


async def entered(stack: Stack, name: str, *, enforce: bool = True, **parameters: Any) -> httpx.Response:
    """Fill in a form, as the page does; gives what the server says."""
    one = await stack.deployment(name)
    body = {"parameters": parameters, "enforce_parameter_schema": enforce}
    async with httpx.AsyncClient(verify=PLAIN, trust_env=False, timeout=120.0) as http:

        async def answered() -> httpx.Response | None:
            answer = await http.post(f"{stack.server.url}/deployments/{one['id']}/create_flow_run", json=body)
            return None if answer.status_code in AGAIN else answer

        found: httpx.Response = await until(f"the server has time for {name}", answered)
    return found


async def refused(stack: Stack, name: str, **parameters: Any) -> str:
    """The message of a run that a form began and gopub refused."""
    made = await entered(stack, name, **parameters)
    assert made.is_success, made.text
    ended = await stack.ended(made.json()["id"])
    assert ended["state_type"] == "FAILED", ended["state"]
    return str(ended["state"]["message"])


async def test_the_worker_fills_in_what_is_published_after_the_set_up_asked_for_it(stack: Stack) -> None:
    async def filled() -> Any:
        both = (await version_of(stack, DEPLOY)).get("enum"), (await version_of(stack, BACK, "to")).get("enum")
        return both if all(both) else None

    assert await until("the versions are in the forms", filled) == (["2.0.0-rc.1", "1.10.0", "1.4.0"],) * 2
    assert (await version_of(stack, DEPLOY, "target"))["enum"] == ["any", "linux/amd64", "windows/amd64"]


async def test_what_a_form_does_not_offer_is_refused_before_a_run_exists(stack: Stack) -> None:
    before = len(await stack.runs_of(DEPLOY))
    for parameters, why in (
        ({"version": "9.9.9"}, "'9.9.9' is not one of"),
        ({"version": "1.4.0", "target": "linux/mips"}, "'linux/mips' is not one of"),
        ({"version": "1.4.0", "reason": None}, "None is not of type 'string'"),
        ({"version": "1.4.0", "repository": "/tmp/evil"}, "'repository' was unexpected"),
        ({"version": "1.4.0", "reason": {"__prefect_kind": "json", "value": "[1]"}}, "is not of type 'string'"),
        ({"version": {"__prefect_kind": "jinja", "template": "{{ 9 }}.0.0"}}, "'9.0.0' is not one of"),
    ):
        answer = await entered(stack, DEPLOY, **parameters)
        assert (answer.status_code, why in answer.json()["detail"]) == (409, True), answer.text
    assert len(await stack.runs_of(DEPLOY)) == before


async def test_what_the_server_lets_through_is_refused_in_words_by_the_run(stack: Stack) -> None:
    """The page has a box that switches its validation off; and a version of the list may be gone meanwhile."""
    gone = await refused(stack, DEPLOY, version="1.4.0")
    assert gone.startswith("GP"), gone
    assert "1.4.0" in gone or "release" in gone, gone
    other = await refused(stack, DEPLOY, enforce=False, app="audit", version="1.4.0")
    assert other.startswith("GP986 projects.yaml of this worker has no app 'audit'; it has: orders"), other


async def test_one_more_set_up_changes_nothing_and_keeps_what_people_and_the_worker_chose(stack: Stack) -> None:
    one = await stack.deployment(DEPLOY)
    await stack.ask("PATCH", f"/deployments/{one['id']}", json={"paused": True, "concurrency_limit": 3})
    nightly = [{"schedule": {"cron": "0 3 * * *", "timezone": "UTC"}, "active": False, "parameters": {}}]
    await stack.ask("POST", f"/deployments/{one['id']}/schedules", json=nightly)
    file = str(stack.folder / "projects.yaml")
    assert await set_up(stack, file) == {"unchanged": ALL}
    await stack.ask("PATCH", f"/deployments/{one['id']}", json={"description": "changed by hand"})
    assert await set_up(stack, file) == {"updated": {f"form {DEPLOY}"}, "unchanged": ALL - {f"form {DEPLOY}"}}
    after = await stack.deployment(DEPLOY)
    assert (after["id"], after["paused"], after["global_concurrency_limit"]["limit"]) == (one["id"], True, 3)
    assert [(each["schedule"]["cron"], each["active"]) for each in after["schedules"]] == [("0 3 * * *", False)]
    assert (await version_of(stack, DEPLOY))["enum"] == ["2.0.0-rc.1", "1.10.0", "1.4.0"]


async def test_forms_of_another_gopub_and_of_nobody_stay_and_go_with_their_app_alone(stack: Stack) -> None:
    flow = (await stack.deployment(DEPLOY))["flow_id"]
    body = {"name": "deploy audit to prod", "flow_id": flow, "work_pool_name": "gopub", "tags": ["gopub"]}
    await stack.ask("POST", "/deployments/", json=body)
    other = projects(stack, "other/projects.yaml", "orders audit", "trade")
    audit = {"form order/release audit", "form rollback/roll back audit in prod", "form steer/steer audit"}
    assert await set_up(stack, other) == {"created": audit, "left": ALL | {"form order/deploy audit to prod"}}
    mine = str(stack.folder / "projects.yaml")
    assert await set_up(stack, mine) == {"unchanged": ALL}, "what the other made is not ours to remove"
    projects(stack, "other/projects.yaml", "billing", "trade")
    done = await set_up(stack, other)
    assert done["removed"] == audit
    assert await stack.deployment("order/deploy audit to prod"), "nobody's"
    assert await set_up(stack, mine) == {"unchanged": ALL}
    projects(stack, "other/projects.yaml", "orders", "trade")
    assert (await set_up(stack, other, take_over=True))["updated"] == ALL
    assert await set_up(stack, mine) == {"left": ALL}
    taken = await stack.deployment(DEPLOY)
    assert (taken["paused"], len(taken["schedules"])) == (True, 1), "what people chose is taken over as well"
    assert (await set_up(stack, mine, take_over=True))["updated"] == ALL


async def test_a_set_up_that_is_killed_half_way_is_finished_by_the_next(stack: Stack) -> None:
    apps = " ".join(f"app{number}" for number in range(12))
    file = projects(stack, "many/projects.yaml", apps, "many")
    argv = [sys.executable, "-m", "gopub.cli.main", "setup", "--server", stack.server.ui, "--projects", file]
    pid = spawn(argv, log=stack.folder / "killed.log", cwd=stack.folder, env=stack.environment())

    async def some() -> bool:
        return bool(
            await stack.ask("POST", "/deployments/filter", json={"deployments": {"tags": {"all_": ["app:app0"]}}})
        )

    await until("it made some", some)
    os.kill(pid, signal.SIGKILL)
    done = await set_up(stack, file)
    assert len(done.get("created", set()) | done.get("unchanged", set())) == 48, done
    assert set(done) <= {"created", "unchanged"}
    projects(stack, "many/projects.yaml", "app3", "many")
    assert len((await set_up(stack, file))["removed"]) == 44
