"""A real Prefect server with a worker and `gopub serve`, for tests; looked at through the server's own REST API."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deployments import server as prefect
from gopub.clock import SystemClock
from gopub.process import Result, base_environment, run, spawn
from tests.postgres_server import Postgres, postgres_server
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
CLOCK = SystemClock()
PATIENCE = 400.0
"""Seconds after which what must come does not: far more than it takes, since other parts of the tests run beside."""
AGAIN = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE})
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For http alone: without it each client reads the machine's authorities anew, for longer than a request takes."""


async def until(
    what: str,
    holds: Callable[[], Awaitable[Any]],
    within: float = PATIENCE,
    seen: Callable[[], Awaitable[str]] | None = None,
) -> Any:
    """Ask until the answer is true; gives it. Fails by name after ``within`` seconds, and says what was ``seen``."""
    end = CLOCK.now() + within
    while not (answer := await holds()):
        if CLOCK.now() >= end:
            raise AssertionError(f"not within {within:g}s: {what}" + (f"\n{await seen()}" if seen else ""))
        await CLOCK.sleep(0.5)
    return answer


@dataclass
class Stack:
    """What runs, and where; everything lies in ``folder`` and is ended by ``stop``."""

    folder: Path
    server: prefect.Server
    postgres: Postgres | None = None
    ends: ExitStack = field(default_factory=ExitStack)
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
        port = free_port()
        argv = [sys.executable, "-m", "gopub.cli.main", "serve", "--port", str(port), "--projects", str(projects)]
        log = self.folder / "serve.log"
        made = prefect.Running("gopub serve", spawn(argv, log=log, cwd=self.folder, env=self.environment(extra)), log)
        self.others.append(made)
        address = f"http://127.0.0.1:{port}"
        await until(f"gopub serve answers, see {log}", lambda: answers(f"{address}/healthz"))
        return address

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """A call of the Prefect server's REST API, again at 502 and 503 as Prefect's client does; gives its JSON.

        On SQLite the server answers 503 to one of two writers that collide; a load balancer answers 502 to a request
        that was under way to a server that died, and to each while none is there.
        """
        async with httpx.AsyncClient(verify=PLAIN, trust_env=False, timeout=120.0) as http:
            end = CLOCK.now() + PATIENCE
            while True:
                response = await http.request(method, f"{self.server.url}{path}", **options)
                if response.status_code not in AGAIN or CLOCK.now() > end:
                    break
                await CLOCK.sleep(1.0)
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def block(self, kind: str, name: str, data: Mapping[str, Any]) -> None:
        """A Block as the UI makes it."""
        found = await self.ask("GET", f"/block_types/slug/gopub-{kind}")
        schemas = {"block_schemas": {"block_type_id": {"any_": [found["id"]]}}}
        (schema,) = await self.ask("POST", "/block_schemas/filter", json=schemas)
        body = {"name": name, "data": dict(data), "block_type_id": found["id"], "block_schema_id": schema["id"]}
        await self.ask("POST", "/block_documents/", json=body)

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

    async def ended(self, run_id: str) -> dict[str, Any]:
        """A run once it is over."""

        async def over() -> dict[str, Any] | None:
            found: dict[str, Any] = await self.ask("GET", f"/flow_runs/{run_id}")
            return found if found["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

        found: dict[str, Any] = await until(f"run {run_id} is over", over)
        return found

    async def without_schedules(self, *names: str) -> None:
        """Let nothing of these (none: all) start by itself, where no test waits for it: a run a minute costs a test."""
        for name in names or ("promote", "recover"):
            one = await self.deployment(f"{name}/{name}")
            for schedule in one["schedules"]:
                path = f"/deployments/{one['id']}/schedules/{schedule['id']}"
                await self.ask("PATCH", path, json={"active": False})

    async def cheaper(self, *names: str) -> None:
        """Let what runs each minute start as one process: a worker else starts one before it that prepares its folder.

        Importing Prefect once more takes as long as all that such a run does.
        """
        for name in names:
            one = await self.deployment(f"{name}/{name}")
            variables = {**one["job_variables"], "command": f"{sys.executable} -m prefect.engine"}
            await self.ask("PATCH", f"/deployments/{one['id']}", json={"job_variables": variables})

    async def stop(self) -> None:
        """End everything, the newest first."""
        with self.ends:
            for one in (*reversed(self.others), self.server.running):
                await prefect.stop(one)

    async def start_server_again(self) -> None:
        """Start the server, which was stopped, on its address and its database."""
        port = httpx.URL(self.server.url).port
        self.server = await prefect.start_server(self.server.home, port, settings=database_settings(self.postgres))


async def answers(url: str) -> bool:
    """Whether somebody answers there, and well."""
    try:
        async with httpx.AsyncClient(verify=PLAIN, trust_env=False) as http:
            return (await http.get(url)).is_success
    except httpx.HTTPError:
        return False


DATABASES = ("sqlite", "postgresql")


def database_settings(postgres: Postgres | None) -> dict[str, str]:
    """What tells Prefect's server where its database is, as our guide has it; SQLite needs nothing."""
    if postgres is None:
        return {}
    url = postgres.url("asyncpg", "prefect")
    return {"PREFECT_API_DATABASE_CONNECTION_URL": url, "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "20"}


async def start(folder: Path, database: str = "") -> Stack:
    """A fresh server in ``folder``, on this database, or on what GOPUB_TEST_DATABASE says; SQLite by default."""
    database = database or os.environ.get("GOPUB_TEST_DATABASE", DATABASES[0])
    assert database in DATABASES, f"GOPUB_TEST_DATABASE={database} is none of {', '.join(DATABASES)}"
    with ExitStack() as ends:
        postgres = None
        if database == "postgresql":
            postgres = ends.enter_context(postgres_server())
            postgres.create("prefect")
        server = await prefect.start_server(folder / "prefect", free_port(), settings=database_settings(postgres))
        return Stack(folder, server, postgres, ends.pop_all())


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
