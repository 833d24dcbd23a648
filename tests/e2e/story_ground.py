"""What the rollout tests stand on: services in git, an environment for each story, warm drivers, a Prefect server.

A release is built once for the whole run and rolled out many times: every environment has its own instance, port,
upstream and journal, so that stories do not meet.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deployments import server as prefect
from gopub.evidence.keys import KeyFiles, generate
from gopub.lab.lab import Lab
from gopub.process import Result, base_environment, run, spawn
from gopub.release.model import Release
from tests.e2e.release_kit import EXAMPLES, a_repository

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("story_driver.py")
STEPS = "[{weight: 25%, bake: 3s}, {hosts: 50%, bake: 2s}]"
HELLO = """schema: gopub/v1
app: hello
build: {ldflags: "-X main.version={{ version }}", test: false}
environments:
"""
HTTPBIN = """schema: gopub/v1
app: httpbin
build: {test: false}
environments:
"""


@dataclass(frozen=True, slots=True)
class Env:
    """An environment of a story; ``more`` are lines of gopub.yaml that replace the usual ones by key."""

    name: str
    port: int
    app: str = "hello"
    more: Mapping[str, str] = field(default_factory=dict)
    drain: str = "5s"
    warmup: str = "0s"
    alone: bool = False
    """Its connections name no Prometheus at all."""
    signs: bool = False
    """Its tables are signed; see ``believed``."""

    @property
    def upstream(self) -> str:
        """The instance, too."""
        return f"{self.app}-{self.name}"

    def yaml(self) -> str:
        """Its part of gopub.yaml."""
        lines = {
            "inventory": "lab",
            "hosts": "role=app",
            "instance": self.upstream,
            "health": f'{{http: "http://127.0.0.1:{self.port}/healthz", within: 15s}}',
            "service": '{args: ["--config", "config.yaml"], env: {GOMAXPROCS: "1"}}',
            "config": f"[{{template: config-{self.name}.tmpl, to: config.yaml}}]",
            "traffic": f'{{router: edge-lab, upstream: {self.upstream}, sticky: "header:x-user-id", '
            f"drain: {self.drain}, warmup: {self.warmup}}}",
            "rollout": f"{{steps: {STEPS}, deadline: 10m}}",
            "judge": "{slo: {latency_p95: 100ms, error_rate: 1%}, min_requests: 30, look: 500ms, "
            "score: {memory_growth: 0}}",  # bakes of a second are too short for a slope, and would be held for it
        }
        if self.app == "httpbin":
            del lines["config"]
            lines["health"] = f'{{http: "http://127.0.0.1:{self.port}/status/200", within: 15s}}'
            lines["service"] = f'{{env: {{PORT: "{self.port}"}}}}'
        lines |= self.more
        return f"  {self.name}:\n" + "".join(f"    {key}: {text}\n" for key, text in lines.items() if text)


LIMIT = 300.0
"""Seconds after which what must come does not: far more than it takes, since other parts of the tests run beside."""


async def until(holds: Callable[[], Awaitable[Any]], what: str, said: Callable[[], str] = str) -> Any:
    """Ask until the answer is true; gives it. ``said`` tells more where it never is."""
    try:
        async with asyncio.timeout(LIMIT):
            while not (answer := await holds()):  # noqa: ASYNC110 - it happens in other processes
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {LIMIT:g}s: {what}\n{said()}") from None
    return answer


def without_prometheus(connections: str) -> str:
    """The lab's connections without the one that scrapes, and without its name at the edges."""
    kept = [line for line in connections.splitlines() if "prometheus" not in line]
    assert len(kept) == len(connections.splitlines()) - 2, connections
    return "\n".join([*kept, ""])


def with_key(connections: str, key: KeyFiles) -> str:
    """The lab's connections with a key that signs route tables."""
    edges = "  kind: nginx\n"
    assert edges in connections
    return connections.replace(edges, f"{edges}  sign: {key.private}\n")


def httpbin_main(main: str, version: str, config: str) -> str:
    """The example with a port from outside, and with a check that takes two files: ``good`` and the one named here."""
    check = (
        "func init() {\n\tif len(os.Args) < 3 {\n\t\treturn\n\t}\n\ttext, _ := os.ReadFile(os.Args[2])\n"
        f'\tif string(text) != "good\\n" && string(text) != "{config}\\n" {{\n'
        f'\t\tlog.Fatalf("{version} does not know %q", text)\n\t}}\n\tos.Exit(0)\n}}\n'
    )
    made = main.replace('":8081"', '":" + os.Getenv("PORT")').replace('"net/http"', '"net/http"\n\t"os"')
    return f"{made}\n{check}\n// {version}\n"


@dataclass
class Driver:
    """A driver's process; see story_driver.py."""

    pid: int
    folder: Path
    orders: int = 0

    def order(self, flow: str, parameters: Mapping[str, Any], env: Mapping[str, str], **more: Any) -> int:
        """Give an order; the number is what ``answer`` takes."""
        number, self.orders = self.orders, self.orders + 1
        text = json.dumps({"flow": flow, "parameters": parameters, "env": env, **more})
        (self.folder / "order.part").write_text(text)
        (self.folder / "order.part").rename(self.folder / f"{number}.json")
        return number

    def answered(self, number: int) -> dict[str, Any] | None:
        """The answer, if it is there."""
        path = self.folder / f"{number}.answer.json"
        return json.loads(path.read_text()) if path.exists() else None

    async def answer(self, number: int) -> dict[str, Any]:
        """The answer, once it is there."""

        async def look() -> dict[str, Any] | None:
            found = self.answered(number)
            assert found or self.alive(), f"the driver died:\n{self.log()}"
            return found

        found: dict[str, Any] = await until(look, "the driver's answer", self.log)
        return found

    def stands(self) -> str:
        """Where it stands still, waiting to be killed."""
        marker = self.folder / "stands"
        return marker.read_text() if marker.exists() else ""

    def alive(self) -> bool:
        """Whether the process is there."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != self.pid
        except ChildProcessError:
            return False

    def kill(self) -> None:
        """SIGKILL, from outside."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def log(self) -> str:
        """The last lines that it printed."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-60:])


class Ground:
    """The lab and everything beside it that the stories share."""

    def __init__(self, lab: Lab, folder: Path, server: prefect.Server, envs: tuple[Env, ...]) -> None:
        """Nothing is built or started yet."""
        self.lab, self.folder, self.server = lab, folder, server
        self.envs = {env.name: env for env in envs}
        self._drivers = 0
        self._released: dict[tuple[str, str], dict[str, Any]] = {}
        self.digests: dict[str, str] = {}
        self._all: list[Driver] = []
        self._engine: Driver | None = None

    # --- settings

    @property
    def table_key(self) -> KeyFiles:
        """Signs the route tables of envs that sign."""
        return generate(self.folder / "table-key")

    @asynccontextmanager
    async def believed(self) -> AsyncIterator[None]:
        """The edge believes that key, and takes nothing unsigned, as long as the block lasts.

        Past `gopub route install`, which would not do so: the tables of other stories stand there unsigned.
        """
        public = self.table_key.public_key()
        folder, name = "/etc/nginx/gopub/keys", f"{public.fingerprint}.pem"
        edge = self.lab.edges[0].name
        lay = f"mkdir -p {folder}; cat >{folder}/{name}; nginx -s reload"
        await self.lab.exec(edge, ("sh", "-c", lay), stdin=public.pem)
        try:
            yield
        finally:
            await self.lab.exec(edge, ("sh", "-c", f"rm {folder}/{name}; nginx -s reload"))

    def settings(self, env: str, **more: str) -> dict[str, str]:
        """The environment variables of a story: a journal of its own, one store and one key for all."""
        (self.folder / env).mkdir(exist_ok=True)
        connections = self.lab.connections
        if env in self.envs and (self.envs[env].alone or self.envs[env].signs):
            connections, text = self.folder / env / "connections.yaml", self.lab.connections.read_text()
            text = without_prometheus(text) if self.envs[env].alone else text
            text = with_key(text, self.table_key) if self.envs[env].signs else text
            if not connections.exists() or connections.read_text() != text:  # a driver may be reading it
                connections.write_text(text)
        return {
            **prefect.client_environment(self.server.home, self.server.url),
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
            "GOPUB_JOURNAL": str(self.folder / env / "journal.db"),
            "GOPUB_CONNECTIONS": str(connections),
            "XDG_STATE_HOME": str(self.folder / "state"),
            **more,
        }

    async def cli(self, env: str, *words: str, project: Path | None = None, **settings: str) -> Result:
        """Run the command line in the service's repository."""
        project = project or self.repository(self.envs[env].app if env in self.envs else "hello")
        mine = {"PYTHONPATH": str(ROOT), "GOPUB_HOME": str(ROOT), **self.settings(env, **settings)}
        argv = [sys.executable, "-m", "gopub.cli.main", *words]
        return await run(argv, cwd=project, env=base_environment(extra=mine), timeout=300, check=False)

    # --- drivers

    def driver(self) -> Driver:
        """Start a driver."""
        self._drivers += 1
        folder = self.folder / "drivers" / str(self._drivers)
        folder.mkdir(parents=True)
        extra = {"PYTHONPATH": str(ROOT), "GOPUB_HOME": str(ROOT), **self.settings("none")}
        argv = [sys.executable, str(DRIVER), str(folder)]
        pid = spawn(argv, log=folder / "log", cwd=folder, env=base_environment(extra=extra))
        self._all.append(Driver(pid, folder))
        return self._all[-1]

    @property
    def engine(self) -> Driver:
        """The driver that nobody kills."""
        if self._engine is None or not self._engine.alive():
            self._engine = self.driver()
        return self._engine

    async def flow(self, env: str, name: str, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Run a flow on the engine and give its answer."""
        engine = self.engine
        return await engine.answer(engine.order(name, parameters, self.settings(env), **more))

    # --- releases

    def repository(self, app: str) -> Path:
        """Where the service's repository is."""
        return self.folder / "repositories" / app

    async def release(self, app: str, version: str, behaviour: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Commit and publish a version, once."""
        if (app, version) not in self._released:
            files = self._files(app, version, behaviour or {})
            await a_repository(self.repository(app), files, tag=f"v{version}")
            parameters = {"repository": str(self.repository(app)), "ref": f"v{version}", "version": version}
            answer = await self.flow("none", "release", parameters)
            assert "result" in answer, answer
            print(f"released {app} {version} in {answer['seconds']:.1f}s")
            self._released[app, version] = answer["result"]
            release_id = answer["result"]["release_id"]
            manifest = self.folder / "state" / "gopub" / "store" / "releases" / release_id / "release.json"
            self.digests[release_id] = Release.parse(manifest.read_bytes()).targets["linux/amd64"].binary.digest
        return self._released[app, version]

    def _files(self, app: str, version: str, behaviour: Mapping[str, Any]) -> dict[str, str]:
        folder = self.repository(app)
        if not folder.exists():
            shutil.copytree(EXAMPLES / app, folder)
        envs = [env for env in self.envs.values() if env.app == app]
        if not (hosts := folder / "hosts-hot.ini").exists():
            hosts.write_text(Path(self.lab.inventory).read_text())
        if app == "httpbin":
            config = behaviour.get("config", "good")
            moved = behaviour.get("port")  # another one than that of the version before
            envs = [replace(env, port=moved) if moved and env.name == "moved" else env for env in envs]
            return {
                "main.go": httpbin_main((EXAMPLES / app / "main.go").read_text(), version, config),
                "gopub.yaml": HTTPBIN + "".join(env.yaml() for env in envs),
                "config-crossed.tmpl": f"{config}\n",
            }
        good = json.loads((EXAMPLES / app / "behaviour.json").read_text())
        configs = {f"config-{env.name}.tmpl": f"listen: 0.0.0.0:{env.port}\nmetrics: 0.0.0.0:{env.port + 1000}\n"
                   for env in envs}  # fmt: skip
        if (hot := "config-hot.tmpl") in configs:
            configs[hot] += (
                "greeting: {{ greeting | default('Hello') }}\nerror_rate: {{ error_rate | default('0') }}\n"
                "extra_latency_ms: {{ extra_latency_ms | default('0') }}\n"
            )
        return {
            "behaviour.json": json.dumps({**good, "version": version, **behaviour}),
            "gopub.yaml": HELLO + "".join(env.yaml() for env in envs),
            **configs,
        }

    # --- the end

    async def doings(self) -> str:
        """The processes of all hosts, for who must find out what one of them was at."""
        ps = ("ps", "-e", "--forest", "-o", "etimes=,stat=,args=")
        asked = [self.lab.exec(host.name, ps, check=False) for host in self.lab.hosts]
        found = [one.text for one in await asyncio.gather(*asked)]
        return "\n".join(f"{host.name}:\n{text}" for host, text in zip(self.lab.hosts, found, strict=True))

    async def clean(self, env: Env) -> None:
        """Take a story's service off the hosts."""
        unit, folder = f"{env.upstream}.service", f"/opt/{env.upstream}"
        script = f"systemctl disable --now {unit}; rm -rf {folder} /etc/systemd/system/{unit}; systemctl daemon-reload"
        await asyncio.gather(*(self.lab.exec(h.name, ("sh", "-c", script), check=False) for h in self.lab.hosts))

    def close(self) -> None:
        """End what was started."""
        for driver in self._all:
            driver.kill()
