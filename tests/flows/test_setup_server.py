"""`gopub setup` and `gopub serve` on a real Prefect server with a real worker."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from deployments import server as prefect
from gopub.clock import SystemClock
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.plan.model import Outcome
from gopub.process import run
from tests.flows.serverkit import PLAIN, ROOT, Stack, changes, git_repository, run_sync, start, until

pytestmark = [
    pytest.mark.prefect,
    # gopub.process.spawn starts programs that outlive us, and subprocess warns when it forgets one of them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
PUSH = ROOT / "tests" / "unit" / "webhooks" / "push.json"
NAMES = {"deploy", "release", "rollout", "promote", "approve", "rollback", "recover", "refresh"}
SPEC = "app: orders\nenvironments:\n  prod: {inventory: h.ini, hosts: all, health: http://127.0.0.1:8080/healthz}\n"
TOKEN, HOOK = "rest-token-of-the-test", "hook-token-of-the-test"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made: Stack = run_sync(start(tmp_path_factory.mktemp("stack")))
    yield made
    run_sync(made.stop())


@dataclass(frozen=True)
class Lost:
    """Runs that were killed with their worker: one of deploy, and one of recover; and the runs of recover before."""

    deploy: str
    recover: str
    before: frozenset[str]


@pytest.fixture(scope="module")
def lost(stack: Stack) -> Iterator[Lost]:
    """A run that waited for a repository that never answers, and one of recover: killed together with their worker."""
    changes(run_sync(stack.gopub("setup", "--server", stack.server.ui, "--json")))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker = run_sync(stack.worker("lost-worker"))
        deploy = run_sync(started_deploy(stack, f"git://127.0.0.1:{silent.getsockname()[1]}/orders"))
        with written_to(stack):
            recover = run_sync(recovering(stack))
            before = run_sync(stack.runs_of("recover/recover"))
            for pid in (worker.pid, *prefect.descendants(worker.pid)):
                os.kill(pid, signal.SIGKILL)
        run_sync(prefect.stop(worker))
        begun = frozenset(one["id"] for one in before if one["start_time"])
        yield Lost(deploy, recover, begun)


@contextmanager
def written_to(stack: Stack) -> Iterator[None]:
    """Somebody writes to the journal and does not end: a run of recover stays under way for a minute and more."""
    file = stack.folder / "state" / "gopub" / "journal.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    open_journal(str(file), SystemClock())
    with closing(sqlite3.connect(file, isolation_level=None, timeout=60.0)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        yield


async def started_deploy(stack: Stack, repository: str) -> str:
    """A run of deploy that sent its first heartbeat."""
    one = await stack.deployment("deploy/deploy")
    project = stack.folder / "project"
    project.mkdir()
    (project / "gopub.yaml").write_text(SPEC)
    body = {"parameters": {"repository": repository, "env": "prod", "project": str(project)}}
    made: dict[str, Any] = await stack.ask("POST", f"/deployments/{one['id']}/create_flow_run", json=body)
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "occurred": {"since": made["created"]},
              "resource": {"id": [f"prefect.flow-run.{made['id']}"]}}  # fmt: skip

    async def beats() -> Any:
        return (await stack.ask("POST", "/events/filter", json={"filter": wanted}))["events"]

    await until("the first heartbeat", beats)
    return str(made["id"])


async def recovering(stack: Stack) -> str:
    """A run of recover that is under way."""
    one = await stack.deployment("recover/recover")
    made = await stack.ask("POST", f"/deployments/{one['id']}/create_flow_run", json={})

    async def running() -> bool:
        found: dict[str, Any] = await stack.ask("GET", f"/flow_runs/{made['id']}")
        assert found["state_type"] in {"SCHEDULED", "PENDING", "RUNNING"}, found["state"]
        return bool(found["state_type"] == "RUNNING")

    await until("recover runs", running)
    return str(made["id"])


@pytest.fixture(scope="module")
def ready(stack: Stack, lost: Lost) -> Stack:
    """The stack, set up, with a worker."""
    assert lost
    run_sync(stack.worker("worker"))
    return stack


@dataclass
class Api:
    """`gopub serve` over the stack, with a repository that it may deploy."""

    stack: Stack
    address: str
    commit: str

    async def post(self, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.address, verify=PLAIN, trust_env=False, timeout=120.0) as http:
            return await http.post(path, **options)

    async def get(self, path: str) -> Any:
        auth = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=self.address, verify=PLAIN, trust_env=False, timeout=120.0) as http:
            return (await http.get(path, headers=auth)).json()

    def push(self, **changed: Any) -> bytes:
        return json.dumps(
            json.loads(PUSH.read_text()) | {"checkout_sha": self.commit, "after": self.commit} | changed
        ).encode()

    async def hook(self, body: bytes, delivery: str) -> httpx.Response:
        headers = {"X-Gitlab-Token": HOOK, "X-Gitlab-Event": "Push Hook", "Idempotency-Key": delivery}
        return await self.post("/v1/hooks/gitlab", content=body, headers=headers)


@pytest.fixture(scope="module")
def api(ready: Stack) -> Api:
    repository = ready.folder / "orders"
    commit = run_sync(git_repository(repository))
    run_sync(run(["git", "-C", str(repository), "branch", "release/v2.3"]))
    projects = ready.folder / "projects.yaml"
    projects.write_text(f"""
apps:
  orders:
    repository: {repository}
    project: {repository}
    gitlab_project: trade/orders
    envs: [staging, prod]
    rules: [{{branch: release/*, env: staging}}]
tokens: {{ci: {{sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}}}}}
gitlab: {{token: {{env: HOOK_TOKEN}}}}
""")
    return Api(ready, run_sync(ready.serve(projects, {"HOOK_TOKEN": HOOK})), commit)


async def test_setup_makes_everything_once(stack: Stack) -> None:
    first = changes(await stack.gopub("setup", "--server", stack.server.ui, "--json"))
    second = changes(await stack.gopub("setup", "--server", stack.server.ui, "--json"))
    assert {f"deployment {name}/{name}" for name in NAMES} <= first["created"]
    assert {"work pool gopub", "block gopub-s3"} <= first["created"]
    assert set(second) == {"unchanged"}
    assert second["unchanged"] == first["created"]


async def test_what_setup_made_is_on_the_server(ready: Stack) -> None:
    deployed = {name: await ready.deployment(f"{name}/{name}") for name in NAMES}
    step = {"prefect.deployments.steps.set_working_directory": {"directory": "{{ $GOPUB_HOME }}"}}
    assert [one["pull_steps"] for one in deployed.values()] == [[step]] * len(NAMES)
    assert all(one["job_variables"]["stream_output"] is False for one in deployed.values())
    assert {name for name, one in deployed.items() if one["schedules"]} == {"promote", "recover", "refresh"}
    for name in ("promote", "recover"):
        assert deployed[name]["global_concurrency_limit"]["limit"] == 8
        assert deployed[name]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        assert deployed[name]["work_queue_name"] == "urgent"
    pool = await ready.ask("GET", "/work_pools/gopub")
    assert pool["type"] == "process"
    assert pool["base_job_template"]["variables"]["properties"]["stream_output"]["default"] is False
    assert (await ready.ask("GET", "/work_pools/gopub/queues/urgent"))["priority"] == 1
    (automation,) = await ready.ask("POST", "/automations/filter", json={})
    assert automation["trigger"]["posture"] == "Proactive"
    assert automation["actions"][0]["state"] == "CRASHED"


async def test_setup_repairs_what_differs_and_removes_only_its_own(ready: Stack) -> None:
    flow = await ready.ask("POST", "/flows/", json={"name": "retired"})
    alike = {
        "flow_id": flow["id"], "work_pool_name": "gopub", "tags": ["gopub"], "entrypoint": "flows/retired.py:retired",
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $GOPUB_HOME }}"}}],
    }  # fmt: skip
    await ready.ask("POST", "/deployments/", json=alike | {"name": "retired"})
    foreign = {"tagged otherwise": {"tags": ["other"]}, "called otherwise": {}, "foreign": {"pull_steps": None}}
    for name, differs in foreign.items():
        await ready.ask("POST", "/deployments/", json=alike | {"name": name} | differs)
    rollback = await ready.deployment("rollback/rollback")
    await ready.ask("PATCH", f"/deployments/{rollback['id']}", json={"description": "changed by hand"})
    done = changes(await ready.gopub("setup", "--server", ready.server.ui, "--json"))
    assert done["removed"] == {"deployment retired/retired"}
    assert done["updated"] == {"deployment rollback/rollback"}
    for name in foreign:
        assert await ready.deployment(f"retired/{name}"), "whatever its tags and its pool: it is not of gopub's shape"


async def test_setup_leaves_what_a_person_paused_or_gave_more_places(ready: Stack) -> None:
    rollback, recover = await ready.deployment("rollback/rollback"), await ready.deployment("recover/recover")
    await ready.ask("PATCH", f"/deployments/{rollback['id']}", json={"paused": True})
    await ready.ask("PATCH", f"/deployments/{recover['id']}", json={"concurrency_limit": 12})
    done = changes(await ready.gopub("setup", "--server", ready.server.ui, "--json"))
    assert set(done) == {"unchanged"}
    assert (await ready.deployment("rollback/rollback"))["paused"] is True
    assert (await ready.deployment("recover/recover"))["global_concurrency_limit"]["limit"] == 12
    await ready.ask("PATCH", f"/deployments/{rollback['id']}", json={"paused": False})
    await ready.ask("PATCH", f"/deployments/{recover['id']}", json={"concurrency_limit": 8})


async def test_what_a_person_chose_outlives_a_setup_that_died_before_it_gave_it_back(ready: Stack) -> None:
    """Prefect's command had opened the deployment already; what the dead one kept is all that tells."""
    kept = {"name": "gopub_setup_chosen", "value": {"rollback/rollback": [True, 0], "gone/gone": [True, 1], "odd": 1}}
    await ready.ask("POST", "/variables/", json=kept)
    done = changes(await ready.gopub("setup", "--server", ready.server.ui, "--json"))
    assert done["updated"] == {"deployment rollback/rollback"}
    rollback = await ready.deployment("rollback/rollback")
    assert rollback["paused"] is True
    assert await ready.ask("POST", "/variables/filter", json={}) == [], "it is kept no longer than it must"
    await ready.ask("PATCH", f"/deployments/{rollback['id']}", json={"paused": False})


async def test_setup_takes_away_the_only_place_of_a_server_that_an_older_gopub_set_up(ready: Stack) -> None:
    recover = await ready.deployment("recover/recover")
    await ready.ask("PATCH", f"/deployments/{recover['id']}", json={"concurrency_limit": 1})
    assert (await ready.deployment("recover/recover"))["global_concurrency_limit"]["limit"] == 1
    done = changes(await ready.gopub("setup", "--server", ready.server.ui, "--json"))
    assert done["updated"] == {"deployment recover/recover"}
    assert (await ready.deployment("recover/recover"))["global_concurrency_limit"]["limit"] == 8


async def test_a_run_started_on_the_server_is_executed(ready: Stack) -> None:
    one = await ready.deployment("recover/recover")
    body = {"parameters": {"app": "orders"}}
    made = await ready.ask("POST", f"/deployments/{one['id']}/create_flow_run", json=body)
    ended = await ready.ended(made["id"])
    assert (ended["state_type"], ended["run_count"]) == ("COMPLETED", 1), ended["state"]["message"]


async def test_the_watchdog_is_not_kept_out_by_its_own_run_that_was_killed(ready: Stack, lost: Lost) -> None:
    """Prefect keeps the place of such a run for five minutes: the next runs end well meanwhile."""
    one = await ready.deployment("recover/recover")
    await ready.ask("POST", f"/deployments/{one['id']}/create_flow_run", json={})  # the schedule's may be minutes away

    async def ended() -> list[dict[str, Any]]:
        runs = [one for one in await ready.runs_of("recover/recover") if one["id"] not in lost.before]
        return [one for one in runs if one["state_type"] in {"COMPLETED", "CANCELLED", "FAILED"}]

    states = [(one["state_type"], one["state"]["message"]) for one in await until("a run ended", ended)]
    assert {state for state, _ in states} == {"COMPLETED"}, states
    killed = await ready.ask("GET", f"/flow_runs/{lost.recover}")
    assert killed["state_type"] in {"RUNNING", "CRASHED"}, killed["state"]


async def test_prefects_own_command_starts_one_too(ready: Stack) -> None:
    ended = await started_by_hand(ready)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]


async def started_by_hand(ready: Stack) -> dict[str, Any]:
    """A run of recover that `prefect deployment run` starts, once it has ended."""
    argv = [sys.executable, "-m", "prefect", "deployment", "run", "recover/recover", "--param", "app=orders"]
    before = {one["id"] for one in await ready.runs_of("recover/recover") if one["auto_scheduled"] is False}
    await run(argv, cwd=ready.folder, env=ready.environment())
    (made,) = [
        one for one in await ready.runs_of("recover/recover") if not one["auto_scheduled"] and one["id"] not in before
    ]
    ended: dict[str, Any] = await ready.ended(made["id"])
    return ended


async def test_recover_starts_a_run_of_its_own_for_each_rollout_without_a_driver(ready: Stack) -> None:
    """Neither one that cannot be gone on with nor one that bakes for hours keeps the others from their driver."""
    journal = open_journal(str(ready.folder / "state" / "gopub" / "journal.db"), SystemClock())
    for app in ("lost", "gone"):
        opened = ev.Opened(f"r-{app}", app, "prod", "b" * 64, "2", "", f"/nowhere/{app}")
        journal.append(f"env/{app}/prod", 0, [ev.EnvOpened(f"r-{app}", "b" * 64)], actor="test")
        journal.append(f"rollout/r-{app}", 0, [opened], actor="test")
    one = await ready.deployment("recover/recover")
    await ready.ask("POST", f"/deployments/{one['id']}/create_flow_run", json={})  # each run makes the next one then

    async def both() -> dict[str, dict[str, Any]] | None:
        runs = await ready.runs_of("rollout/rollout")
        found = {tag: one for one in runs for tag in one["tags"] if tag.startswith("rollout:r-")}
        return found if len(found) == 2 else None

    runs = await until("a run for each", both)
    for app in ("lost", "gone"):
        journal.append(f"env/{app}/prod", 1, [ev.EnvClosed(f"r-{app}", Outcome.WITHDRAWN)], actor="test")
        one = runs[f"rollout:r-{app}"]
        assert set(one["tags"]) == {"gopub", f"app:{app}", "env:prod", f"rollout:r-{app}"}
        assert (one["work_queue_name"], one["parent_task_run_id"]) == ("urgent", None)
        assert one["parameters"] == {
            "app": app, "env": "prod", "version": "2", "project": f"/nowhere/{app}", "rollout_id": f"r-{app}",
        }  # fmt: skip
        ended = await ready.ended(one["id"])
        assert "GP110" in ended["state"]["message"], ended["state"]
    assert not any(one["state_type"] == "FAILED" for one in await ready.runs_of("recover/recover"))


async def test_a_push_sent_twice_is_one_run(api: Api) -> None:
    first = await api.hook(api.push(), "d-1")
    assert (first.status_code, first.json()["status"], first.json()["runs"]) == (202, "queued", []), first.text

    async def started() -> Any:
        return (await api.get(first.headers["location"]))["runs"]

    runs = await until("the delivery is started", started)
    second = await api.hook(api.push(), "d-1")
    assert (second.status_code, second.json()["status"]) == (200, "repeated")
    assert second.json()["runs"] == runs
    (made,) = [one for one in await api.stack.runs_of("deploy/deploy") if "app:orders" in one["tags"]]
    assert [made["id"]] == [one["id"] for one in runs]
    assert made["parameters"]["ref"] == api.commit
    assert (made["parameters"]["env"], made["parameters"]["actor"]) == ("staging", "gitlab:lchen")
    assert set(made["tags"]) == {"gopub", "app:orders", "env:staging", f"trace:{first.json()['trace']}"}


async def test_the_server_itself_knows_the_key_when_our_memory_is_lost(api: Api) -> None:
    """The control: without our file of deliveries, Prefect's idempotency key still gives the same run."""
    before = await api.stack.runs_of("deploy/deploy")
    (kept,) = [one for one in before if one["idempotency_key"] == "gitlab:d-1:orders:staging"]
    one = await api.stack.deployment("deploy/deploy")
    body = {"idempotency_key": kept["idempotency_key"], "parameters": kept["parameters"]}
    again = await api.stack.ask("POST", f"/deployments/{one['id']}/create_flow_run", json=body)
    other = await api.stack.ask(
        "POST", f"/deployments/{one['id']}/create_flow_run", json=body | {"idempotency_key": "another"}
    )
    assert again["id"] == kept["id"]
    assert other["id"] != kept["id"]


async def test_the_api_starts_a_run_and_shows_it(api: Api) -> None:
    body = {"app": "orders", "version": "1.4.0", "env": "prod", "reason": "a test"}
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": "k-1"}
    first = await api.post("/v1/deploy", json=body, headers=headers)
    again = await api.post("/v1/deploy", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202), first.text
    assert first.json() == again.json()
    made = await api.stack.ask("GET", f"/flow_runs/{first.json()['id']}")
    assert (made["parameters"]["ref"], made["parameters"]["version"]) == ("refs/tags/v1.4.0", "1.4.0")
    await api.stack.ended(first.json()["id"])
    shown = await api.get(first.headers["location"])
    assert (shown["app"], shown["env"], shown["final"]) == ("orders", "prod", True)
    # The repository holds no Go program: the worker ran the real flow, and it said so.
    assert shown["state"] == "Failed"
    assert "gopub.yaml" in shown["message"]


async def test_a_push_while_the_server_is_away_is_started_when_it_is_back(api: Api) -> None:
    stack = api.stack
    (pushed,) = [
        one for one in await stack.runs_of("deploy/deploy") if one["idempotency_key"] == "gitlab:d-1:orders:staging"
    ]
    await stack.ended(pushed["id"])  # the same commit again is another run from then on
    before = {one["id"] for one in await stack.runs_of("deploy/deploy")}
    await prefect.stop(stack.server.running)
    answer = await api.hook(api.push(), "d-away")
    queued = {"status": "queued", "delivery": "gitlab:d-away", "runs": []}
    queued["trace"] = answer.json()["trace"]
    assert (answer.status_code, answer.json()) == (202, queued)
    assert await api.get(answer.headers["location"]) == queued
    body = {"app": "orders", "version": "1.4.0", "env": "prod"}
    refused = await api.post("/v1/deploy", json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    assert (refused.status_code, refused.json()["code"]) == (503, "GP918")

    await stack.start_server_again()

    async def nothing_waits() -> bool:
        return bool((await api.get("/healthz"))["waiting"] == 0)

    await until("the waiting delivery is started", nothing_waits)
    (made,) = [one for one in await stack.runs_of("deploy/deploy") if one["id"] not in before]
    assert made["idempotency_key"] == "gitlab:d-away:orders:staging"
    assert (await api.hook(api.push(), "d-away")).json()["status"] == "repeated"


@pytest.mark.parametrize("name", ["promote", "recover"])
async def test_the_scheduled_flows_run_by_themselves(ready: Stack, name: str) -> None:
    async def completed() -> list[Any]:
        runs = await ready.runs_of(f"{name}/{name}")
        return [one for one in runs if one["auto_scheduled"] and one["state_type"] == "COMPLETED"]

    async def scheduled() -> list[Any]:
        return [one for one in await ready.runs_of(f"{name}/{name}") if one["auto_scheduled"]]

    made = await until(f"the schedule made runs of {name}", scheduled)
    soon = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": datetime.now(UTC).isoformat()}}}
    coming = [one["id"] for one in made if one["state_type"] == "SCHEDULED"]
    for first in coming[:1]:  # it is minutes away else
        await ready.ask("POST", f"/flow_runs/{first}/set_state", json={**soon, "force": True})
    await until(f"a scheduled run of {name} is completed", completed)


async def test_a_run_whose_process_is_gone_is_marked(ready: Stack, lost: Lost) -> None:
    found = await ready.ended(lost.deploy)
    assert (found["state_type"], found["state"]["message"]) == ("CRASHED", "no heartbeat for 90s: its process is gone")
