"""A real Prefect server with a worker and `gopub serve`, for tests; looked at through the server's own REST API."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deployments import server as prefect
from gopub.clock import SystemClock
from gopub.process import Result, base_environment, run, spawn

ROOT = Path(__file__).parents[2]
CLOCK = SystemClock()
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For http alone: without it each client reads the machine's authorities anew, for longer than a request takes."""


async def until(what: str, holds: Callable[[], Awaitable[Any]], within: float = 300.0) -> Any:
    """Ask until the answer is true; gives it. Fails by name after ``within`` seconds."""
    end = CLOCK.now() + within
    while not (answer := await holds()):
        assert CLOCK.now() < end, f"not within {within:g}s: {what}"
        await CLOCK.sleep(0.5)
    return answer


@dataclass
class Stack:
    """What runs, and where; everything lies in ``folder`` and is ended by ``stop``."""

    folder: Path
    server: prefect.Server
    others: list[prefect.Running] = field(default_factory=list)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """For programs of the test: this server, this checkout, a state folder of their own."""
        mine = {"XDG_STATE_HOME": str(self.folder / "state"), "GOPUB_HOME": str(ROOT), "PYTHONPATH": str(ROOT)}
        client = prefect.client_environment(self.server.home, self.server.url)
        return base_environment(extra={**client, **mine, **(extra or {})})

    async def gopub(self, *words: str, extra: Mapping[str, str] | None = None) -> Result:
        """Run the command line."""
        argv = [sys.executable, "-m", "gopub.cli.main", *words]
        return await run(argv, cwd=self.folder, env=self.environment(extra), timeout=300, check=False)

    async def worker(self, name: str, more: Mapping[str, str] | None = None) -> prefect.Running:
        """Start a worker."""
        extra = {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONPATH": str(ROOT), **(more or {})}
        made = await prefect.start_worker(self.server, name=name, root=ROOT, extra=extra)
        self.others.append(made)
        return made

    async def serve(self, projects: Path, extra: Mapping[str, str]) -> str:
        """Start `gopub serve`; gives its address once it answers."""
        port = prefect.free_port()
        argv = [sys.executable, "-m", "gopub.cli.main", "serve", "--port", str(port), "--projects", str(projects)]
        log = self.folder / "serve.log"
        made = prefect.Running("gopub serve", spawn(argv, log=log, cwd=self.folder, env=self.environment(extra)), log)
        self.others.append(made)
        address = f"http://127.0.0.1:{port}"
        await until(f"gopub serve answers, see {log}", lambda: _answers(f"{address}/healthz"))
        return address

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """A call of the Prefect server's REST API, again while it says 503 as Prefect's client does; gives its JSON.

        On SQLite the server answers 503 to one of two writers that collide.
        """
        async with httpx.AsyncClient(verify=PLAIN, trust_env=False, timeout=30.0) as http:
            for _ in range(10):
                response = await http.request(method, f"{self.server.url}{path}", **options)
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    break
                await CLOCK.sleep(1.0)
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def deployment(self, name: str) -> dict[str, Any]:
        """A deployment by its name, such as ``deploy/deploy``."""
        found: dict[str, Any] = await self.ask("GET", f"/deployments/name/{name}")
        return found

    async def runs_of(self, name: str) -> list[dict[str, Any]]:
        """Every run of a deployment."""
        one = await self.deployment(name)
        wanted = {"deployments": {"id": {"any_": [one["id"]]}}}
        found: list[dict[str, Any]] = await self.ask("POST", "/flow_runs/filter", json=wanted)
        return found

    async def ended(self, run_id: str, within: float = 90.0) -> dict[str, Any]:
        """A run once it is over."""

        async def over() -> dict[str, Any] | None:
            found: dict[str, Any] = await self.ask("GET", f"/flow_runs/{run_id}")
            return found if found["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

        found: dict[str, Any] = await until(f"run {run_id} is over", over, within)
        return found

    async def without_schedules(self, *names: str) -> None:
        """Let nothing of these (none: all) start by itself, where no test waits for it: a run a minute costs a test."""
        for name in names or ("promote", "recover"):
            one = await self.deployment(f"{name}/{name}")
            for schedule in one["schedules"]:
                path = f"/deployments/{one['id']}/schedules/{schedule['id']}"
                await self.ask("PATCH", path, json={"active": False})

    async def stop(self) -> None:
        """End everything, the newest first."""
        for one in (*reversed(self.others), self.server.running):
            await prefect.stop(one)


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(verify=PLAIN, trust_env=False) as http:
            return (await http.get(url)).is_success
    except httpx.HTTPError:
        return False


async def start(folder: Path) -> Stack:
    """A fresh server in ``folder``."""
    return Stack(folder, await prefect.start_server(folder / "prefect"))


async def git_repository(folder: Path) -> str:
    """A repository with one commit on main, tagged v1.4.0; gives the commit."""
    return await _committed(folder, {"README": "nothing to build\n"})


async def go_repository(folder: Path, spec: str, test: str = "") -> str:
    """A repository with a Go program of one line and this gopub.yaml, as `git_repository`; gives the commit."""
    files = {"go.mod": "module example.org/small\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n"}
    return await _committed(folder, {**files, "gopub.yaml": spec, **({"main_test.go": test} if test else {})})


async def _committed(folder: Path, files: Mapping[str, str]) -> str:
    folder.mkdir(parents=True)  # noqa: ASYNC240 - a test may wait for its disk
    for name, text in files.items():
        (folder / name).write_text(text)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        [*identity, "commit", "-q", "-m", "x"],
        ["tag", "v1.4.0"],
    ):
        await run(["git", "-C", str(folder), *words])
    return (await run(["git", "-C", str(folder), "rev-parse", "HEAD"])).text


def changes(result: Result) -> dict[str, set[str]]:
    """What `gopub setup --json` did, by what became of it: did → names."""
    assert result.code == 0, result.complaint
    told = json.loads(result.text)
    assert told["schema_version"] == 1
    by: dict[str, set[str]] = {}
    for change in told["changes"]:
        by.setdefault(change["did"], set()).add(f"{change['kind']} {change['name']}")
    return by


def run_sync(work: Awaitable[Any]) -> Any:
    """For fixtures that live longer than one test's loop."""

    async def wrapped() -> Any:
        return await work

    return asyncio.run(wrapped())
