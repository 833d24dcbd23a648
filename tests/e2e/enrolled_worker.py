"""A Prefect server whose worker reaches enrolled hosts by Blocks alone: what the story of it stands on.

The key of orders has a passphrase: the worker has it in a variable, the Block names that.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from deployments import server as prefect
from gopub.evidence.keys import private_key_in
from gopub.process import run
from tests.e2e.conftest import aside
from tests.e2e.enrolled_ground import Enrolled
from tests.e2e.release_kit import a_repository
from tests.e2e.trigger_ground import HOOK, SERVICE, TOKEN, Triggers
from tests.flows.serverkit import Stack, changes, start, until
from tests.minio_server import Minio, minio_server

VARIABLE = "CONTROLLER_PASSPHRASE"
SPEC = """app: clock
build: {{ldflags: "-X main.version={{{{ version }}}}", test: false}}
evidence: {{sign: {{key: release-key}}}}
publish: {{store: artifacts}}
environments:
  prod:
    inventory: fleet
    hosts: role=app
    require: enrolled
    admit: {{key: {keys}/release/gopub.pub, statement: {{key: admission-key}}}}
    instance: clock-prod
    health: {{http: "http://127.0.0.1:18131/healthz", within: 10s}}
    service: {{env: {{PORT: "18131"}}}}
    max_load: 2
    traffic: {{router: edges-of-blocks, upstream: clock-prod, sticky: "header:x-user-id", drain: 1s, warmup: 0s}}
    rollout: {{window: ["{window}"], steps: [{steps}]}}
    judge: {{slo: {{latency_p95: 500ms, error_rate: 1%}}, min_requests: 10, look: 500ms, score: {{memory_growth: 0}}}}
"""
CANARY = "{hosts: 1, weight: 50%, bake: 2s}"
ASKS = CANARY + ", {weight: 100%, approve: trade-oncall, bake: 1s}"
_LOOK = "pid=$(systemctl show -p MainPID --value clock-prod.service); sha256sum /proc/$pid/exe | cut -d' ' -f1"
ALWAYS = "00:00-24:00 UTC"


class ByBlocks(Triggers):
    """The stack on enrolled hosts; the worker has no connections.yaml and no keys of its own."""

    def __init__(self, enrolled: Enrolled, folder: Path, stack: Stack, minio: Minio) -> None:
        super().__init__(enrolled.lab, folder, stack, minio)
        self.enrolled = enrolled
        self.passphrase = secrets.token_hex(16)

    @property
    def key(self) -> Path:
        """The key of orders, under its passphrase."""
        return self.folder / "controller.key"

    def shut(self) -> None:
        """Write it, beside nothing that opens it."""
        key = serialization.load_pem_private_key((self.enrolled.keys / "controller/gopub.key").read_bytes(), None)
        sealed = serialization.BestAvailableEncryption(self.passphrase.encode())
        form = serialization.PrivateFormat.PKCS8
        self.key.touch(mode=0o600)
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, sealed))

    async def begin(self) -> None:
        """Bucket, Blocks, `gopub setup`, `gopub serve`; the worker comes later."""
        await self.store.prepare()
        self.shut()
        changes(await self.stack.gopub("setup", "--server", self.stack.server.ui, "--json"))
        await self.stack.without_schedules("recover")
        for kind, name, data in self.blocks():
            await self.stack.block(kind, name, data)
        projects = self.folder / "projects.yaml"
        (self.folder / "hook.token").write_text(HOOK)
        projects.write_text(
            f"apps:\n  clock:\n    repository: {self.address}\n    gitlab_project: trade/clock\n"
            '    project_ref: refs/heads/main\n    envs: [prod]\n    rules: [{tag: "v*", env: prod}]\n'
            f"tokens: {{ci: {{sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}}}}}\n"
            "gitlab: {token: {file: hook.token}}\n"
        )
        self.serving = await self.stack.serve(projects, {})

    def blocks(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Kind, name and fields of each, as a person enters them."""
        lab, enrolled = self.lab, self.enrolled
        yield "inventory", "fleet", {"path": str(enrolled.orders.with_name("hosts.ini"))}
        edges = {"inventory": "fleet", "hosts": "role=edge", "metrics": "numbers", "logs": "journald"}
        yield "nginx", "edges-of-blocks", {**edges, "socket": "/run/gopub/edge.sock"}
        yield "prometheus", "numbers", {"url": lab.layout.prometheus_url}
        opens = {name: getattr(self.minio, name).read_text().strip() for name in ("access_key", "secret_key")}
        yield "s3", "artifacts", {"endpoint": self.minio.endpoint, "bucket": "clock", "secure": False, **opens}
        for role in ("release", "admission"):
            pair = private_key_in(enrolled.keys / role)
            yield "key", f"{role}-key", {"private": pair.private.read_text(), "public": str(pair.public)}
        sign = {"key": str(self.key), "passphrase": {"env": VARIABLE}, "roles": str(enrolled.roles)}
        way = {"user": "gopub", "key": str(enrolled.login), "known_hosts": str(lab.layout.known_hosts)}
        yield "ssh", "ssh", {**way, "sign": sign}

    async def work(self, name: str, **more: str) -> prefect.Running:
        """A worker, with what its unit's environment says besides."""
        return await self.stack.worker(name, {"XDG_CONFIG_HOME": str(self.folder / "config"), **more})

    async def tagged(self, version: str, **given: str) -> str:
        """Commit a version with these words in its gopub.yaml, and tag it; gives the commit."""
        said = {"keys": self.enrolled.keys, "window": ALWAYS, "steps": CANARY, **given}
        files = {
            "go.mod": "module example.org/clock\n\ngo 1.24\n",
            "main.go": f"{SERVICE}\n// {version}\n",
            "gopub.yaml": SPEC.format(**said),
        }
        await a_repository(self.repository, files, tag=f"v{version}")
        return (await run(["git", "-C", str(self.repository), "rev-parse", "HEAD"])).text

    async def every_host_runs(self, version: str) -> bool:
        """Whether each runs the signed bytes of a version."""
        look = ("sh", "-c", _LOOK)
        said = await asyncio.gather(*(self.lab.exec(host.name, look, check=False) for host in self.lab.hosts))
        return {one.text for one in said} == {(await self.release(version)).targets["linux/amd64"].binary.digest}

    async def asked(self) -> dict[str, Any]:
        """The paused run with the form for an approval, once it is there."""

        async def there() -> Any:
            runs = await self.stack.runs_of("approve/approve")
            return next((one for one in runs if one["state_type"] == "PAUSED"), None)

        found: dict[str, Any] = await until("it asks for an approval", there)
        return found


@contextmanager
def by_blocks(enrolled: Enrolled, folder: Path) -> Iterator[ByBlocks]:
    """Everything, begun, but for the worker; the hosts download from MinIO, so it listens where they reach it."""
    (folder / "minio").mkdir()
    with minio_server(folder / "minio", host=enrolled.lab.gateway) as minio:
        made = ByBlocks(enrolled, folder, aside(lambda: start(folder)), minio)
        try:
            aside(made.begin)
            yield made
        finally:
            aside(made.stack.stop)
            aside(made.clean)
