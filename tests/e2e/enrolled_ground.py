"""A lab of enrolled hosts: three hosts and an edge, enrolled as a user would, and the keys that order them.

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
def test_…(enrolled: Enrolled) -> None: …
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gopub.lab.lab import Lab
from gopub.process import Result, base_environment, run

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
APP = "hello"
ENV = "prod"
PROJECT = f"""schema: gopub/v1
app: {APP}
build: {{test: false}}
environments:
  {ENV}:
    inventory: lab
    hosts: role=app
    instance: hello-prod
    health: {{http: "http://127.0.0.1:18180/healthz", within: 15s}}
    service: {{args: ["--addr", ":18180"], env: {{GOMAXPROCS: "1"}}}}
    traffic: {{router: edge-lab, upstream: hello-prod, drain: 2s}}
    rollout: {{steps: [{{hosts: 1, weight: 50%, bake: 2s}}], deadline: 10m}}
"""


@dataclass(frozen=True)
class Enrolled:
    """The lab, a project on it, and the controller's own folder: keys, journal, connections."""

    lab: Lab
    folder: Path

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def keys(self) -> Path:
        """The local keys: a folder for each role, the list `roles`, and `ssh/gopub`, by which user gopub logs in."""
        return self.folder / "state/gopub/keys"

    @property
    def roles(self) -> Path:
        return self.keys / "roles"

    @property
    def login(self) -> Path:
        return self.keys / "ssh/gopub"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(host.name for host in (*self.lab.hosts, *self.lab.edges))

    @property
    def orders(self) -> Path:
        """Connections by which orders go: as user gopub, signed; root's SSH is in none of them."""
        at = self.folder / "orders"
        at.mkdir(exist_ok=True)
        hosts = self.lab.inventory.read_text()
        (at / "hosts.ini").write_text(f"{hosts}gopub_user=gopub\ngopub_key={self.login}\n")
        lines = self.lab.connections.read_text().replace(str(self.lab.inventory), str(at / "hosts.ini")).splitlines()
        sign = f"sign: {{key: {self.keys}/controller/gopub.key, roles: {self.roles}}}"
        ssh = f"ssh: {{kind: ssh, user: gopub, known_hosts: {self.lab.layout.known_hosts}, {sign}}}"
        (at / "connections.yaml").write_text("\n".join([*(one for one in lines if "kind: ssh" not in one), ssh, ""]))
        return at / "connections.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """What a command of the controller runs with; root's SSH is the lab's inventory's."""
        return {
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "GOPUB_CONNECTIONS": str(self.lab.connections),
            "PYTHONPATH": str(ROOT),
            "GOPUB_HOME": str(ROOT),
        }

    async def gopub(self, *words: str, **more: str) -> Result:
        """The command line, in the project."""
        env = base_environment(extra={**self.environment, **more})
        return await run(
            (sys.executable, "-m", "gopub.cli.main", *words), cwd=self.project, env=env, timeout=300, check=False
        )

    async def enrol(self, *words: str) -> Result:
        """`gopub host enroll`, edges too, with whatever is to be said besides."""
        return await self.gopub("host", "enroll", "--env", ENV, "--edges", "--yes", *words)


def laid_out(lab: Lab, folder: Path) -> Enrolled:
    """A controller's folder for a lab; nothing is enrolled yet."""
    made = Enrolled(lab, folder)
    made.project.mkdir(parents=True)
    (made.project / "gopub.yaml").write_text(PROJECT)
    return made


def aside(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a thread of its own, whatever event loop the tests use."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()
