"""What a push starts on a real server with a real worker: a run that gives way, and one whose unit test fails."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending, Running

from deployments.engine import PrefectStarter
from deployments.starter import RELEASE, RunOrder
from gopub.process import run
from tests.flows.serverkit import PLAIN, Stack, changes, go_repository, run_sync, start, until
from tests.support.forges import PROJECT, TOKEN, Forge, forge

pytestmark = [
    pytest.mark.prefect,
    # gopub.process.spawn starts programs that outlive us, and subprocess warns when it forgets one of them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
SPEC = """\
app: small
build: .
publish: {store: artifacts}
environments:
  prod: {inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:8080/healthz"}
"""
HOOK = "hook-secret-0123456789"


@dataclass
class Ground:
    """The stack, the repository that people push to, its store, and its forge."""

    stack: Stack
    there: Forge
    address: str = ""

    @property
    def work(self) -> Path:
        return self.stack.folder / "small"

    @property
    def store(self) -> Path:
        return self.stack.folder / "artifacts"

    async def push(self, branch: str, file: str, text: str) -> str:
        """Commit a file on a branch, push it, and let the forge tell of it; gives the commit."""
        (self.work / file).write_text(text)
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        for words in (["checkout", "-q", "-B", branch], ["add", "-A"], [*who, "commit", "-q", "-m", file],
                      ["push", "-q", "-f", str(self.stack.folder / "small.git"), branch]):  # fmt: skip
            await run(["git", "-C", str(self.work), *words])
        commit = (await run(["git", "-C", str(self.work), "rev-parse", "HEAD"])).text.strip()
        self.there.commits.add(commit)
        repository = {"full_name": PROJECT, "clone_url": str(self.stack.folder / "small.git")}
        body = json.dumps({"ref": f"refs/heads/{branch}", "before": "1" * 40, "after": commit, "deleted": False,
                           "repository": repository, "pusher": {"name": "ann"},
                           "sender": {"login": "ann"}}).encode()  # fmt: skip
        signature = hmac.new(HOOK.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Delivery": commit}
        async with httpx.AsyncClient(verify=PLAIN) as http:
            answer = await http.post(f"{self.address}/v1/hooks/github", content=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return commit


async def _made(stack: Stack, there: Forge) -> Ground:
    changes(await stack.gopub("setup", "--server", stack.server.ui, "--json"))
    await stack.without_schedules()
    await go_repository(stack.folder / "small", SPEC)
    await run(["git", "clone", "-q", "--bare", str(stack.folder / "small"), str(stack.folder / "small.git")])
    folder = stack.folder / "project"
    folder.mkdir()
    (folder / "gopub.yaml").write_text(SPEC)
    (folder / "hosts.ini").write_text("app1 ansible_host=198.18.0.1 role=app\n")
    (folder / "connections.yaml").write_text(f"artifacts: {{kind: directory, path: {stack.folder / 'artifacts'}}}\n")
    (stack.folder / "projects.yaml").write_text(f"""
apps:
  small:
    repository: {stack.folder}/small.git
    forge_project: {PROJECT}
    project: {folder}
    envs: [prod]
    rules:
      - {{branch: "release/*", env: prod}}
      - {{branch: "**", release: true, queue: latest}}
github: {{secret: {{env: HOOK}}, api: {{url: "{there.url}", token: {{env: FORGE}}}}}}
ui_url: https://prefect.example
""")
    ground = Ground(stack, there)
    ground.address = await stack.serve(stack.folder / "projects.yaml", {"HOOK": HOOK, "FORGE": TOKEN})
    return ground


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with forge("github") as there:
        stack: Stack = run_sync(start(tmp_path_factory.mktemp("stack")))
        try:
            yield run_sync(_made(stack, there))
        finally:
            run_sync(stack.stop())


async def unbegun(key: str) -> str:
    """A run that waits for a worker; there is none yet."""
    order = RunOrder("small", "", key, {"repository": "/nowhere"}, RELEASE, commit="a" * 40)
    return (await PrefectStarter().start(order)).id


async def state_of(run_id: str) -> Any:
    async with get_client() as client:
        return (await client.read_flow_run(run_id)).state


@pytest.fixture
def engine(ground: Ground) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: ground.stack.server.url}):
        yield


async def test_a_run_that_no_worker_took_up_is_canceled_with_its_reason(engine: None):
    run_id = await unbegun("c-1")
    assert await PrefectStarter().cancel_unbegun(run_id, "GP738 a newer push came")
    state = await state_of(run_id)
    assert (state.type, state.message) == (StateType.CANCELLED, "GP738 a newer push came")
    assert await PrefectStarter().cancel_unbegun(run_id, "again"), "it is over, whoever asks"
    async with get_client() as client:
        taken = await client.set_flow_run_state(run_id, Pending())
    assert taken.status != SetStateStatus.ACCEPT, "no worker can take it up any more"


@pytest.mark.parametrize("state", [Pending(), Running()], ids=["taken up", "running"])
async def test_a_run_that_a_worker_took_up_is_left_to_it(engine: None, state: Any):
    run_id = await unbegun(f"c-{state.name}")
    async with get_client() as client:
        await client.set_flow_run_state(run_id, Pending())
        if state.type is StateType.RUNNING:
            await client.set_flow_run_state(run_id, state)
    assert not await PrefectStarter().cancel_unbegun(run_id, "GP738")
    assert (await state_of(run_id)).type == state.type


async def test_of_a_worker_and_a_newer_push_one_has_the_run(engine: None):
    for number in range(6):
        run_id = await unbegun(f"race-{number}")

        async def worker(run_id: str = run_id) -> bool:
            async with get_client() as client:
                return (await client.set_flow_run_state(run_id, Pending())).status == SetStateStatus.ACCEPT

        taken, canceled = await asyncio.gather(worker(), PrefectStarter().cancel_unbegun(run_id, "GP738"))
        assert taken != canceled, "one of both, never neither"
        assert (await state_of(run_id)).type is (StateType.PENDING if taken else StateType.CANCELLED)


async def test_killed_after_it_took_the_run_it_is_canceled_by_the_next_try(engine: None):
    run_id = await unbegun("killed")
    async with get_client() as client:
        await client.set_flow_run_state(run_id, Pending(message="canceled before it began: GP738 why"))
    assert await PrefectStarter().cancel_unbegun(run_id, "GP738 why")
    assert (await state_of(run_id)).type is StateType.CANCELLED


async def test_a_run_that_is_gone_is_over(engine: None):
    assert await PrefectStarter().cancel_unbegun("00000000-0000-4000-8000-000000000000", "GP738")


async def test_of_three_pushes_without_a_worker_the_last_one_alone_is_left(ground: Ground):
    commits = [await ground.push("main", "notes.txt", str(number)) for number in range(3)]

    async def standing() -> bool:
        runs = await ground.stack.runs_of("release/release")
        mine = {one["parameters"].get("ref"): one["state_type"] for one in runs}
        waits = mine.get(commits[-1]) == "SCHEDULED"
        return waits and all(mine.get(one, "CANCELLED") == "CANCELLED" for one in commits[:-1])

    await until("the last push alone waits for a worker", standing)
    told = ground.there.statuses
    context = "gopub/release"
    await until(
        "the forge is told of each",
        lambda: _holds(lambda: [told.get((one, context), [{}])[-1].get("state") for one in commits]
                       == ["error", "error", "pending"]),
    )  # fmt: skip
    assert "GP738" in told[commits[0], context][-1]["description"]


FAILS = 'package main\n\nimport "testing"\n\nfunc TestIt(t *testing.T) { t.Fatal("one is not two") }\n'


async def test_a_failing_unit_test_leaves_nothing_in_the_store_and_the_run_red(ground: Ground):
    """The control comes first: the push to main, which waits since, is released once a worker is there."""
    await ground.stack.worker("worker", {"GOPUB_JOURNAL": str(ground.stack.folder / "journal.db")})
    released = await _ended(ground, "release/release", "COMPLETED")
    assert "env" not in released["parameters"]
    before = _files(ground.store)
    assert any(name.endswith(".json") for name in before)
    assert any("sigstore" in name or "bundle" in name for name in before), before
    await until("the forge is told", lambda: _told(ground, released["parameters"]["ref"], "gopub/release", "success"))

    commit = await ground.push("release/v2.3", "main_test.go", FAILS)
    red = await _ended(ground, "deploy/deploy", "FAILED")
    assert red["parameters"]["ref"] == commit
    assert "one is not two" in red["state"]["message"] or "test" in red["state"]["message"]
    assert _files(ground.store) == before, "no object, no signature"
    await until("the forge is told", lambda: _told(ground, commit, "gopub/prod", "failure"))
    assert ground.there.deployments == [], "there was no rollout of it"


async def _ended(ground: Ground, deployment: str, state: str) -> dict[str, Any]:
    async def over() -> Any:
        runs = await ground.stack.runs_of(deployment)
        return next(
            (one for one in runs if one["state_type"] == state and one["parameters"]["repository"] != "/nowhere"), None
        )

    found: dict[str, Any] = await until(f"a run of {deployment} is {state}", over)
    return found


def _files(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


async def _told(ground: Ground, commit: str, context: str, state: str) -> bool:
    return [one["state"] for one in ground.there.statuses.get((commit, context), [])][-1:] == [state]


async def _holds(what: Any) -> bool:
    return bool(what())
