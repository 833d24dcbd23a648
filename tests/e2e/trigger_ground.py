"""What the tests of the triggers stand on: every part is the real one, and is ended at the end.

A service in git, MinIO, a Prefect server that `gopub setup` set up, a worker, `gopub serve`, the lab. The repository
is known by its address only, as a webhook knows it: nothing but git leads from a run to its files.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deployments import server as prefect
from gopub.clock import SystemClock
from gopub.journal.projects import last_project
from gopub.journal.reading import read_env_state, read_state
from gopub.journal.state import EnvState, State
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import stream_of
from gopub.lab.lab import Lab
from gopub.lab.traffic import Load, Traffic
from gopub.process import Result, run
from gopub.release.loading import load_by_id
from gopub.release.model import Release
from gopub.store.backends.s3 import S3Store
from gopub.store.keys import blob_key, version_key
from tests.e2e.conftest import aside
from tests.e2e.release_kit import a_repository
from tests.flows.serverkit import PLAIN, ROOT, Stack, changes, start, until
from tests.minio_server import Minio, minio_server

APP = "clock"
SERVICE = """// Clock tells the time, and which version tells it.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

var version = "dev"

func main() {
	http.HandleFunc("/healthz", func(_ http.ResponseWriter, request *http.Request) {
		log.Println("asked for its health, traceparent", request.Header.Get("Traceparent"))
	})
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, version, time.Now().UTC().Format(time.TimeOnly))
	})
	server := &http.Server{Addr: ":" + os.Getenv("PORT"), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
"""
SPEC = """app: clock
build: {{ldflags: "-X main.version={{{{ version }}}}"}}
publish: {{store: artifacts}}
environments:
  prod:
    inventory: lab
    hosts: role=app,zone=a
    instance: clock-prod
    health: {{http: "http://127.0.0.1:18130/healthz", within: 10s}}
    service: {{env: {{PORT: "18130"}}}}
    max_load: 2
    traffic: {{router: edge-lab, upstream: clock-prod, sticky: "header:x-user-id", drain: 2s, warmup: 0s}}
    rollout: {{steps: [{{hosts: 1, weight: 50%, bake: {bake}}}]}}
    judge: {{slo: {{latency_p95: 500ms, error_rate: 1%}}, min_requests: 30, look: 500ms, score: {{memory_growth: 0}}}}
  night:
    inventory: lab
    hosts: role=app,zone=b
    instance: clock-night
    health: {{http: "http://127.0.0.1:18131/healthz", within: 10s}}
    service: {{env: {{PORT: "18131"}}}}
    rollout: {{window: ["{window}"], steps: [{{bake: 1s}}]}}
"""
_TRACES = """
sed -n 's/.* trace=\\([0-9a-f]*\\) .*/\\1/p' /opt/clock-prod/.gopub/history | tail -n 3
echo --
journalctl --output=cat --no-pager | sed -n 's/.*gopub switch of clock-prod, trace \\([0-9a-f]*\\).*/\\1/p' | tail -n 1
echo --
journalctl --output=cat --no-pager -u clock-prod | sed -n 's/.*traceparent 00-\\([0-9a-f]*\\)-.*/\\1/p' | tail -n 1
"""
TOKEN, HOOK = secrets.token_hex(16), secrets.token_hex(16)
TAG_PUSH = ROOT / "tests" / "unit" / "webhooks" / "tag_push.json"
_UNIT = "clock-{env}"
_LOOK = """
pid=$(systemctl show -p MainPID --value {unit}.service)
sha256sum /proc/$pid/exe 2>/dev/null | cut -d' ' -f1
"""


@dataclass
class Triggers:
    """The stack, the address of `gopub serve`, the repository, and what can be looked at without Prefect."""

    lab: Lab
    folder: Path
    stack: Stack
    minio: Minio
    serving: str = ""

    # --- made once

    async def begin(self) -> None:
        """Bucket, connections, `gopub setup`, worker, `gopub serve`."""
        await self.store.prepare()
        keys = f"access_key: {{file: {self.minio.access_key}}}, secret_key: {{file: {self.minio.secret_key}}}"
        line = f'artifacts: {{kind: s3, endpoint: "{self.minio.endpoint}", bucket: clock, secure: false, {keys}}}\n'
        self.connections.write_text(self.lab.connections.read_text() + line)
        made = changes(await self.stack.gopub("setup", "--server", self.stack.server.ui, "--json"))
        assert "deployment deploy/deploy" in made["created"]
        await self.stack.without_schedules("recover")  # no driver dies here
        extra = {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONPATH": str(ROOT)}
        worker = await prefect.start_worker(
            self.stack.server, name="worker", root=ROOT, extra=extra | {"GOPUB_CONNECTIONS": str(self.connections)}
        )
        self.stack.others.append(worker)
        projects = self.folder / "projects.yaml"
        (self.folder / "hook.token").write_text(HOOK)
        projects.write_text(f"""
apps:
  clock:
    repository: {self.address}
    gitlab_project: trade/clock
    project_ref: refs/heads/main
    envs: [prod, night]
    rules: [{{tag: "v*", env: prod}}]
tokens: {{ci: {{sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}}}}}
gitlab: {{token: {{file: hook.token}}}}
""")
        self.serving = await self.stack.serve(projects, {})

    @property
    def connections(self) -> Path:
        """The worker's connections.yaml: the lab's and the store."""
        return self.folder / "connections.yaml"

    @property
    def repository(self) -> Path:
        """Where the repository is; nobody but git and this test goes there."""
        return self.folder / "repositories" / APP

    @property
    def address(self) -> str:
        """The repository's address."""
        return f"file://{self.repository}"

    @property
    def store(self) -> S3Store:
        """The store in MinIO."""
        return S3Store.open(self.minio.connection("clock"))

    async def tag(self, version: str, *, bake: str = "2s", window: str = "00:00-24:00 UTC") -> str:
        """Commit a version and tag it; gives the commit."""
        files = {
            "go.mod": "module example.org/clock\n\ngo 1.24\n",
            "main.go": f"{SERVICE}\n// {version}\n",
            "gopub.yaml": SPEC.format(bake=bake, window=window),
        }
        await a_repository(self.repository, files, tag=f"v{version}")
        return (await run(["git", "-C", str(self.repository), "rev-parse", "HEAD"])).text

    # --- asking

    async def hook(self, commit: str, version: str, delivery: str, token: str = HOOK) -> httpx.Response:
        """Deliver a tag push as GitLab does."""
        payload = json.loads(TAG_PUSH.read_text())
        project = payload["project"] | {"path_with_namespace": "trade/clock"}
        body = payload | {"ref": f"refs/tags/v{version}", "checkout_sha": commit, "project": project}
        headers = {"X-Gitlab-Token": token, "X-Gitlab-Event": "Tag Push Hook", "Idempotency-Key": delivery}
        return await self._serve("POST", "/v1/hooks/gitlab", json=body, headers=headers)

    async def started(self, taken: httpx.Response) -> list[dict[str, Any]]:
        """The runs of a delivery that was answered, once they are started."""

        async def there() -> Any:
            return (await self.shown(taken.headers["location"]))["runs"]

        runs: list[dict[str, Any]] = await until("the delivery is started", there)
        return runs

    async def deploy(self, body: Mapping[str, Any], key: str, trace: str = "") -> httpx.Response:
        """POST /v1/deploy, in that trace."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
        headers |= {"traceparent": f"00-{trace}-b7ad6b7169203331-01"} if trace else {}
        return await self._serve("POST", "/v1/deploy", json=dict(body), headers=headers)

    async def shown(self, location: str) -> Any:
        """A run, or a delivery, as the REST API shows it."""
        return (await self._serve("GET", location, headers={"Authorization": f"Bearer {TOKEN}"})).json()

    async def from_the_form(self, name: str, **parameters: Any) -> str:
        """Start a deployment as the UI's form does: with every parameter that the form shows; gives the run's id."""
        one = await self.stack.deployment(f"{name}/{name}")
        fields = one["parameter_openapi_schema"]["properties"]
        assert set(parameters) <= set(fields)
        filled = {field: shape["default"] for field, shape in fields.items() if "default" in shape}
        body = {"state": {"type": "SCHEDULED", "message": "Run from the UI"}, "parameters": filled | parameters}
        made = await self.stack.ask("POST", f"/deployments/{one['id']}/create_flow_run", json=body)
        return str(made["id"])

    async def prefect(self, *words: str) -> Result:
        """Prefect's own command."""
        argv = [sys.executable, "-m", "prefect", "--no-prompt", *words]
        return await run(argv, cwd=self.folder, env=self.stack.environment(), timeout=300)

    async def _serve(self, method: str, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.serving, verify=PLAIN, trust_env=False, timeout=120.0) as http:
            return await http.request(method, path, **options)

    @asynccontextmanager
    async def traffic(self) -> AsyncIterator[Traffic]:
        """Requests through the edge, none of them repeated."""
        async with Traffic(Load(self.lab.edge_address, "clock-prod.lab", rate=60)) as traffic:
            yield traffic

    # --- looking

    def journal(self) -> Journal:
        """The worker's journal."""
        return open_journal(str(self.folder / "state" / "gopub" / "journal.db"), SystemClock())

    def known(self, env: str = "prod") -> EnvState:
        """The env as the journal tells it."""
        return read_env_state(self.journal(), APP, env)

    def state(self, rollout: str) -> State:
        """A rollout as the journal tells it."""
        return read_state(self.journal(), rollout)

    def last_folder(self) -> str:
        """Where the worker checked the repository out, as the journal tells it."""
        return last_project(self.journal(), APP, "prod")

    async def release(self, version: str) -> Release:
        """What MinIO holds under a version."""
        release_id = await self.store.get(version_key(APP, version), limit=64)
        return (await load_by_id(self.store, release_id.decode())).release

    async def run_of(self, env: str) -> set[str]:
        """The digests of what an env's hosts run, read from /proc."""
        names = [host.name for host in self.lab.hosts][0 if env == "prod" else 1 :: 2]
        script = ("sh", "-c", _LOOK.format(unit=_UNIT.format(env=env)))
        said = await asyncio.gather(*(self.lab.exec(name, script, check=False) for name in names))
        return {one.text for one in said}

    async def runs(self, version: str, env: str = "prod") -> bool:
        """Whether every host of an env runs the signed bytes of a version."""
        return await self.run_of(env) == {(await self.release(version)).targets["linux/amd64"].binary.digest}

    async def answers(self) -> str:
        """The version that answers through the edge."""
        async with httpx.AsyncClient(verify=PLAIN, trust_env=False) as http:
            answer = await http.get(f"http://{self.lab.edge_address}/", headers={"host": "clock-prod.lab"})
        return answer.text.split()[0]

    async def table(self) -> dict[str, Any]:
        """The route table on the edge's disk."""
        found = await self.lab.exec(self.lab.edges[0].name, ("cat", "/var/lib/gopub/edge/clock-prod.json"))
        table: dict[str, Any] = json.loads(found.text)
        return table

    async def traces(self, version: str, rollout: str, run_id: str) -> dict[str, set[str]]:
        """The traces that each of seven places names for a version's release and rollout, asked independently."""
        runs = (await self.stack.ask("GET", f"/flow_runs/{run_id}"))["tags"]
        stated = (await self.release(version)).targets["linux/amd64"].evidence["provenance"]
        statement = await self.store.get(blob_key(stated.digest), limit=1 << 20)
        envelope = json.loads(statement)["dsseEnvelope"]
        built = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["buildDefinition"]
        edge = await self.lab.exec(self.lab.edges[0].name, ("cat", "/var/lib/gopub/edge/.clock-prod.trace"))
        host = self.lab.hosts[0].name
        said = await self.lab.exec(host, ("sh", "-c", _TRACES))
        orders, jobs, service = (set(part.split()) for part in said.text.split("\n--\n"))
        return {
            "the REST API": {(await self.shown(f"/v1/runs/{run_id}"))["trace"]},
            "Prefect": {tag.removeprefix("trace:") for tag in runs if tag.startswith("trace:")},
            "the journal": {entry.trace for entry in self.journal().read(stream_of(rollout))},
            "the provenance in the store": {built["internalParameters"]["trace"]},
            "the host's orders": orders,
            "the host's systemd": jobs,
            "the service's own log": service,
            "the edge": {edge.text},
        }

    async def wakes(self) -> list[dict[str, Any]]:
        """The runs that were made to wake what waits; a machine whose Prefect is too slow to make one says so."""
        found = [one for one in await self.stack.runs_of("promote/promote") if "gopub-wake" in one["tags"]]
        warnings = await self.stack.ask("POST", "/logs/filter", json={"logs": {"level": {"ge_": 30}}})
        assert found or any("Prefect does not answer" in one["message"] for one in warnings), warnings
        return found

    async def clean(self) -> None:
        """Take the service off the hosts."""
        script = "; ".join(
            f"systemctl disable --now {unit}; rm -rf /opt/{unit} /etc/systemd/system/{unit}.service"
            for unit in (_UNIT.format(env="prod"), _UNIT.format(env="night"))
        )
        await asyncio.gather(*(self.lab.exec(h.name, ("sh", "-c", script), check=False) for h in self.lab.hosts))


@contextmanager
def triggers_on(lab: Lab, folder: Path) -> Iterator[Triggers]:
    """Everything, begun; the hosts download from MinIO, so it listens where they reach it."""
    (folder / "minio").mkdir()
    with minio_server(folder / "minio", host=lab.gateway) as minio:
        made = Triggers(lab, folder, aside(lambda: start(folder)), minio)
        try:
            aside(made.begin)
            yield made
        finally:
            aside(made.stack.stop)
            aside(made.clean)
