"""Prefect with nothing single but its database and its Redis: as docs/guides/prefect-ha.md says, by its very files."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deployments import server as prefect
from gopub.process import base_environment, run, spawn, which
from tests.flows.serverkit import ROOT, Stack, answers, until
from tests.postgres_server import Postgres, postgres_server
from tests.redis_server import Redis, redis_server
from tests.support.ports import free_port

GUIDE = ROOT / "docs" / "guides" / "prefect-ha.md"
PORT = 4200
APIS = ("api1", "api2")


def block(kind: str) -> str:
    """The one block of this kind in the guide."""
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE.read_text(), flags=re.DOTALL | re.MULTILINE)
    return str(found)


def said() -> dict[str, str]:
    """The settings in the guide."""
    lines = [line for line in block("sh").splitlines() if line and not line.startswith("#")]
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}


def balanced(port: int, hosts: Sequence[str]) -> str:
    """The guide's site for nginx, on a port of this machine, before API servers there."""
    site = block("nginx").replace("listen 127.0.0.1:4200;", f"listen 127.0.0.1:{port};")
    for name, there in zip(APIS, hosts, strict=True):
        site = site.replace(f"{name}.example.net", there)
    return site


def settings(postgres: Postgres, redis: Redis) -> dict[str, str]:
    """The guide's settings, with the addresses of this test."""
    here = {
        "PREFECT_API_DATABASE_CONNECTION_URL": postgres.url("asyncpg", "prefect"),
        "PREFECT_REDIS_MESSAGING_URL": redis.url(0),
        "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": redis.url(0),
        "PREFECT_SERVER_DOCKET_URL": redis.url(1),
    }
    assert here.keys() <= said().keys()
    return {**said(), **here, "PREFECT_LOGGING_SERVER_LEVEL": "WARNING"}


@dataclass
class Cluster:
    """What runs; each part can be killed and started by its name."""

    stack: Stack
    postgres: Postgres
    redis: Redis
    settings: Mapping[str, str]
    parts: dict[str, prefect.Running] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start an API server or ``services``."""
        self.parts[name] = self._spawn(name, self.argv(name))

    async def answers(self, name: str) -> None:
        """Wait until an API server answers by itself."""
        await until(f"{name} answers", lambda: self.up(name))

    async def up(self, name: str) -> bool:
        """Whether an API server answers, asked past the load balancer."""
        return await answers(f"http://{host(APIS.index(name))}:{PORT}/api/health")

    async def worker(self, name: str) -> None:
        """Start a worker and wait until Prefect has seen it."""
        self.parts[name] = await self.stack.worker(name)

        async def seen() -> bool:
            path = f"/work_pools/{prefect.POOL}/workers/filter"
            return name in {one["name"] for one in await self.stack.ask("POST", path, json={})}

        await until(f"{name} polls", seen)

    async def migrate(self) -> None:
        """Make the tables, once, before anything starts."""
        argv = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        await run(argv, cwd=self.stack.folder, env=self._environment(), timeout=300)

    def argv(self, name: str) -> list[str]:
        """As the guide says."""
        python = [sys.executable, "-m"]
        if name == "services":
            return [*python, "prefect", "server", "services", "start"]
        module = [*python, "deployments.prefect_server", "--no-services"]
        return [*module, "--host", host(APIS.index(name)), "--port", str(PORT)]

    def kill(self, name: str) -> None:
        """What the loss of its machine does: it and all that it started are gone at once."""
        part = self.parts[name]
        for pid in (part.pid, *prefect.descendants(part.pid)):
            os.kill(pid, signal.SIGKILL)

    def worker_of(self, pid: int) -> str:
        """The worker whose process this is."""
        return next(name for name, part in self.parts.items() if pid in prefect.descendants(part.pid))

    def _spawn(self, name: str, argv: list[str]) -> prefect.Running:
        log = self.stack.folder / f"{name}.log"
        made = prefect.Running(name, spawn(argv, log=log, cwd=self.stack.folder, env=self._environment()), log)
        self.stack.others.append(made)
        return made

    def _environment(self) -> dict[str, str]:
        client = prefect.client_environment(self.stack.server.home, self.stack.server.url)
        return base_environment(extra={**client, "PYTHONPATH": str(ROOT), **self.settings})


def host(number: int) -> str:
    """An address of the loopback network that is this process's own: nobody takes its ports while a server is away."""
    pid = os.getpid()
    return f"127.{64 * (number + 1) + pid // 65536}.{pid // 256 % 256}.{pid % 256}"


def balancer(folder: Path, port: int) -> prefect.Running:
    """The guide's nginx on a port of this machine."""
    folder.mkdir(parents=True)
    site = balanced(port, [host(number) for number in range(len(APIS))])
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    main = f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; events {{}} "
    user = "user root; " if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"{user}{main}http {{ access_log {folder}/access.log; {places}\n{site} }}\n")
    program = which("nginx") or Path("/usr/sbin/nginx")
    log = folder / "nginx.log"
    argv = [str(program), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    return prefect.Running("nginx", spawn(argv, log=log, cwd=folder, env=base_environment()), log)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """PostgreSQL, Redis and nginx; the rest is started by whoever asked."""
    with ExitStack() as ends:
        postgres = ends.enter_context(postgres_server())
        for database in ("prefect", "gopub"):
            postgres.create(database)
        redis = ends.enter_context(redis_server(folder / "redis"))
        port = free_port()
        home = folder / "prefect"
        home.mkdir()
        front = prefect.Server(balancer(folder / "nginx", port), home, f"http://127.0.0.1:{port}/api")
        yield Cluster(Stack(folder, front, postgres), postgres, redis, settings(postgres, redis))
