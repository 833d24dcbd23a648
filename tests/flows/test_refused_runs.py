"""Runs that a worker is given through the server's own form: whose word counts, and how a refusal looks there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gopub.process import run
from tests.flows.serverkit import PLAIN, Stack, changes, go_repository, run_sync, start, until

pytestmark = [
    pytest.mark.prefect,
    # gopub.process.spawn starts programs that outlive us, and subprocess warns when it forgets one of them.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
SPEC = """\
app: small
environments:
  prod: {inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:8080/healthz"}
"""
SECRET = "correct-horse"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made: Stack = run_sync(start(tmp_path_factory.mktemp("stack")))
    changes(run_sync(made.gopub("setup", "--server", made.server.ui, "--json")))
    run_sync(made.without_schedules())
    run_sync(go_repository(made.folder / "small", SPEC))
    run_sync(run(["git", "clone", "-q", "--bare", str(made.folder / "small"), str(made.folder / "small.git")]))
    (made.folder / "projects.yaml").write_text(
        f"""
apps: {{small: {{repository: {made.folder}/small.git, project_ref: refs/heads/main, envs: [prod, nosuch]}}}}
tokens: {{ci: {{secret: {{env: T}}}}}}
"""
    )
    run_sync(made.worker("worker", {"GOPUB_PROJECTS": str(made.folder / "projects.yaml")}))
    yield made
    run_sync(made.stop())


async def refused(stack: Stack, name: str, **parameters: Any) -> tuple[str, str, list[str]]:
    """Start a deployment; gives the state's message, what the run logged, and the boxes that it came to."""
    one = await stack.deployment(f"{name}/{name}")
    body = {"parameters": parameters}
    made = await stack.ask("POST", f"/deployments/{one['id']}/create_flow_run", json=body)
    ended = await stack.ended(made["id"])
    assert ended["state_type"] == "FAILED", ended["state"]
    logged = await until("the run's last line is on the server", lambda: _logged_to_the_end(stack, made["id"]))
    boxes = await until("every box's end is on the server", lambda: _boxes_that_ended(stack, made["id"]))
    names = [box["name"] for box in sorted(boxes, key=lambda box: box["created"])]
    return ended["state"]["message"], logged, names


async def _boxes_that_ended(stack: Stack, run_id: str) -> list[dict[str, Any]] | None:
    """The boxes of a run, once all have ended: they come to the server as events, and get their names on the way."""
    boxes = await stack.ask("POST", "/task_runs/filter", json={"flow_runs": {"id": {"any_": [run_id]}}})
    over = all(box["state_type"] in ("COMPLETED", "FAILED", "CRASHED") for box in boxes)
    return list(boxes) if boxes and over else None


async def _logged_to_the_end(stack: Stack, run_id: str) -> str | None:
    """What a run logged, once its end is among it: the server takes lines in batches, some after the run's end."""
    logs = await stack.ask("POST", "/logs/filter", json={"logs": {"flow_run_id": {"any_": [run_id]}}})
    logged = "\n".join(log["message"] for log in logs)
    return logged if "Finished in state Failed" in logged else None


async def test_a_repository_that_nobody_vouches_for_is_refused_in_one_line(stack: Stack) -> None:
    other = str(stack.folder / "small")  # a folder with a gopub.yaml of its own
    message, logged, boxes = await refused(stack, "deploy", repository=other, env="prod")
    assert message.startswith("GP956 no project is known for")
    assert message.count("\n") == 0
    assert "GP956" in logged
    assert "Traceback" not in logged
    assert boxes == ["project"]


async def test_a_bare_repository_is_known_by_projects_yaml_and_an_unknown_environment_refused(stack: Stack) -> None:
    bare = str(stack.folder / "small.git")
    message, logged, boxes = await refused(stack, "deploy", repository=bare, env="nosuch")
    assert message == "GP942 small has no environment 'nosuch'; it has: prod; hint: pass --env NAME"
    assert "Traceback" not in logged
    assert boxes == ["project", "may it begin"]  # nothing was cloned, built or published
    assert not (stack.folder / "state" / "gopub" / "store").exists()


async def test_the_worker_says_it_in_one_line_too(stack: Stack) -> None:
    await refused(stack, "release", repository=str(stack.folder / "small"))
    said = "\n".join(path.read_text(errors="replace") for path in stack.server.home.glob("worker*.log"))
    assert "Traceback" not in said


async def test_a_password_is_refused_by_the_server_and_kept_nowhere(stack: Stack) -> None:
    one = await stack.deployment("deploy/deploy")
    body = {"parameters": {"repository": f"https://bob:{SECRET}@git.example/x.git", "env": "prod"}}
    async with httpx.AsyncClient(verify=PLAIN, trust_env=False, timeout=120.0) as http:
        answer = await http.post(f"{stack.server.url}/deployments/{one['id']}/create_flow_run", json=body)
    assert answer.status_code == httpx.codes.CONFLICT, answer.text
    kept = json.dumps([await stack.ask("POST", f"/{what}/filter", json={}) for what in ("flow_runs", "logs")])
    assert "GP942" in kept  # the control: what was looked through is about these runs
    assert SECRET not in kept
    assert files_with(stack.folder, SECRET) == []
    assert files_with(stack.folder, "refs/heads/main") != []


def files_with(folder: Path, text: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text in path.read_text("utf-8", errors="replace")]
