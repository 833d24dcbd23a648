"""Webhooks under load against the same load on /healthz, as ratios of one run; none lost, every start once.

    PYTHONPATH=. python tests/bench/bench_hooks.py [--rate 100] [--seconds 60] [--starting 0.05] [--engine slow|prefect]
                                             [--forge gitlab|github]

The server is a process of its own with the program's routes, file and starter. Its engine is a slow double, which is
also away for a while in the middle, or a real Prefect server. Requests are sent when their time has come, whether or
not those before them were answered, and are measured from that time. /healthz is measured before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

from deployments import server as prefect
from deployments.api.app import create_app
from deployments.api.parts import Parts
from deployments.deliveries import Deliveries
from deployments.engine import PrefectStarter
from deployments.hooks.signing import HookSecrets
from deployments.starter import RunOrder, RunView, Starter
from gopub.canon import sha256
from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.paths import project_root
from gopub.process import base_environment, spawn
from gopub.spec.projects import parse_projects

APPS, TOKEN = 10, "bench-token"
START_TAKES, AWAY = 1.0, (15.0, 25.0)
DRAIN = 600.0
PROGRAM = str(Path(__file__).resolve())
PAYLOADS = {
    "gitlab": json.loads((project_root() / "tests/unit/webhooks/push.json").read_text()),
    "github": json.loads((project_root() / "tests/unit/webhooks/github/push.json").read_text()),
}
SECRETS = {"gitlab": HookSecrets(tokens=(TOKEN,)), "github": HookSecrets(signing=(TOKEN,))}
SECTIONS = {"gitlab": "gitlab: {token: {env: BENCH}}", "github": "github: {secret: {env: BENCH}}"}
ENTRY = """
  app{n}: {{repository: "https://{forge}.example/trade/app{n}.git", forge_project: trade/app{n}, project: /srv/x,
    envs: [staging], rules: [{{branch: release/*, env: staging}}]}}"""


class AllThere:
    """Repositories that have whatever is asked for, after a moment."""

    async def named(self, repository: str, names: Sequence[str]) -> tuple[str, ...]:
        """All of them."""
        await asyncio.sleep(0.1)
        return tuple(names)

    async def holding(self, repository: str, commit: str) -> tuple[str, ...]:
        """A branch."""
        await asyncio.sleep(0.1)
        return ("refs/heads/release/v2.3",)


@dataclass
class SlowEngine:
    """Takes its time for each start, is away for a while, and writes down every run; the same key is the same run."""

    file: Path
    since: float = 0.0
    known: set[str] = field(default_factory=set)

    async def start(self, order: RunOrder) -> RunView:
        """Start it once."""
        self.since = self.since or time.monotonic()
        await asyncio.sleep(START_TAKES)
        if AWAY[0] < time.monotonic() - self.since < AWAY[1]:
            raise GopubError("GP918", "the engine is away")
        if order.key not in self.known:
            self.known.add(order.key)
            with self.file.open("a") as runs:
                runs.write(order.key + "\n")
        return RunView(order.key, order.key, "Scheduled", order.app, order.env)

    async def run(self, run_id: str) -> RunView | None:
        """Nobody asks."""
        raise NotImplementedError(run_id)


def delivery(forge: str, n: int, app: str, ref: str) -> tuple[bytes, dict[str, str], str]:
    """The ``n``-th delivery of a forge: its body, what proves and names it, and the key that it is known by.

    Each is a push of a commit of its own: the same commit would get the run that is there already.
    """
    commit = f"{n + 1:040x}"
    pushed = {"ref": ref, "after": commit}
    if forge == "gitlab":
        project = PAYLOADS[forge]["project"] | {"path_with_namespace": f"trade/{app}"}
        body = json.dumps(PAYLOADS[forge] | pushed | {"checkout_sha": commit, "project": project}).encode()
        return body, {"X-Gitlab-Token": TOKEN, "Idempotency-Key": f"d-{n}"}, f"gitlab:d-{n}"
    repository = PAYLOADS[forge]["repository"] | {"full_name": f"trade/{app}"}
    body = json.dumps(PAYLOADS[forge] | pushed | {"head_commit": {"id": commit}, "repository": repository}).encode()
    mac = hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={mac}"}
    return body, headers, f"github:{sha256(body)}"


def serve(folder: Path, port: int, engine: str, forge: str) -> None:
    """The server's process."""
    apps = "".join(ENTRY.format(n=n, forge=forge) for n in range(APPS))
    projects = parse_projects(f"apps:{apps}\n{SECTIONS[forge]}\n", "projects.yaml")
    starter: Starter = PrefectStarter() if engine == "prefect" else SlowEngine(folder / "runs")
    secrets = dict.fromkeys(projects.apps, SECRETS[forge])
    deliveries = Deliveries(folder / "deliveries.sqlite")
    parts = Parts(projects, {}, secrets, deliveries, starter, AllThere(), SystemClock())
    uvicorn.run(create_app(parts), host="127.0.0.1", port=port, log_config=None, access_log=False)


@dataclass
class Found:
    """Answers of one kind: seconds from the time to send to the answer; and the answers by status."""

    took: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def p99(self) -> float:
        """Of the times."""
        return statistics.quantiles(self.took, n=100)[98]

    def line(self, name: str) -> str:
        """For people."""
        low, high = statistics.median(self.took) * 1000, max(self.took) * 1000
        return f"{name:18} p50 {low:7.1f} ms  p99 {self.p99 * 1000:7.1f} ms  most {high:7.1f} ms  {dict(self.codes)}"


async def at_rate(rate: float, seconds: float, send: Callable[[int], Awaitable[tuple[Found, httpx.Response]]]) -> None:
    """Send each when its time has come; where an answer does not come, it is said at the end how many were lost."""
    lost = []
    begin = time.perf_counter()

    async def one(n: int) -> None:
        due = begin + n / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        try:
            found, answer = await send(n)
        except httpx.HTTPError as error:
            lost.append(f"{n}: {error!r}")
            return
        found.took.append(time.perf_counter() - due)
        found.codes[f"{answer.status_code} {answer.json()['status']}"] += 1

    await asyncio.gather(*(one(n) for n in range(int(rate * seconds))))
    if lost:
        raise SystemExit(f"{len(lost)} lost, the first {lost[0]}")


@asynccontextmanager
async def server(folder: Path, engine: str, forge: str) -> AsyncIterator[str]:
    """The server as a child; its address."""
    async with AsyncExitStack() as stack:
        extra = {"PYTHONPATH": str(project_root())}
        if engine == "prefect":
            extra |= await with_prefect(folder / "prefect", stack)
        port = prefect.free_port()
        argv = [sys.executable, PROGRAM, "--serve", str(folder), "--port", str(port), "--engine", engine,
                "--forge", forge]  # fmt: skip
        log = folder / "serve.log"
        pid = spawn(argv, log=log, cwd=folder, env=base_environment(extra=extra))
        stack.push_async_callback(prefect.stop, prefect.Running("server", pid, log))
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(120):
            while True:
                try:
                    await http.get(f"{url}/healthz")
                    break
                except httpx.HTTPError:
                    if not prefect.alive(prefect.Running("server", pid, log)):
                        raise SystemExit(log.read_text()) from None
                    await asyncio.sleep(0.2)
        yield url


async def with_prefect(home: Path, stack: AsyncExitStack) -> dict[str, str]:
    """A real server that knows the deployment; how a client finds it."""
    made = await prefect.start_server(home)
    stack.push_async_callback(prefect.stop, made.running)
    async with httpx.AsyncClient(base_url=made.url, trust_env=False, timeout=60) as http:
        flow = (await http.post("/flows/", json={"name": "deploy"})).json()["id"]
        body = {"name": "deploy", "flow_id": flow, "enforce_parameter_schema": False}
        for _ in range(60):
            answer = await http.post("/deployments/", json=body)
            if answer.status_code != 503:  # its database may still be busy with its own beginning
                break
            await asyncio.sleep(1.0)
        answer.raise_for_status()
    return prefect.client_environment(home, made.url)


async def runs_of(folder: Path, keys: Sequence[str]) -> list[str]:
    """The key of every run: as the double wrote them down; of Prefect's only the rows know, one run each."""
    file = folder / "runs"
    if file.exists():
        return file.read_text().splitlines()
    with closing(Deliveries(folder / "deliveries.sqlite")) as rows:
        found = [rows.find(key.rpartition(":app")[0]) for key in keys]
    ids = [one.outcome["runs"][0]["id"] if one and one.outcome else "" for one in found]
    return [key for key, run in zip(keys, ids, strict=True) if run and ids.count(run) == 1]


async def bench(options: argparse.Namespace, folder: Path) -> None:
    """/healthz, webhooks until all is started, /healthz."""
    health, ignored, starting, keys = Found(), Found(), Found(), []
    drawn = random.Random(options.seed)
    which = [drawn.random() < options.starting for _ in range(int(options.rate * options.seconds))]
    # The server hangs up on a connection that is idle for 5 s: none is used again that is nearly so old.
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=1.0)
    async with server(folder, options.engine, options.forge) as url, httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=60, limits=limits
    ) as http:  # fmt: skip

        async def look(_n: int) -> tuple[Found, httpx.Response]:
            return health, await http.get("/healthz")

        async def hook(n: int) -> tuple[Found, httpx.Response]:
            app, ref = f"app{n % APPS}", "refs/heads/release/v2.3" if which[n] else "refs/heads/main"
            body, headers, key = delivery(options.forge, n, app, ref)
            answer = await http.post(f"/v1/hooks/{options.forge}", content=body, headers=headers)
            if answer.status_code == 202:
                keys.append(f"{key}:{app}:staging")
            return (starting if which[n] else ignored), answer

        await at_rate(options.rate, options.seconds / 2, look)
        await at_rate(options.rate, options.seconds, hook)
        answered = time.perf_counter()
        async with asyncio.timeout(DRAIN):
            while waiting := (await http.get("/healthz")).json()["waiting"]:
                print(f"{waiting} wait to be started", file=sys.stderr)
                await asyncio.sleep(5)
        drained = time.perf_counter() - answered
        await at_rate(options.rate, options.seconds / 2, look)
    runs = await runs_of(folder, keys)
    both = Found(ignored.took + starting.took, ignored.codes + starting.codes)
    print("\n".join(found.line(name) for name, found in
                    {"healthz": health, "webhooks": both, "of these, starting": starting}.items()))  # fmt: skip
    print(f"{len(keys)} to start, {len(runs)} runs of {len(set(runs))} keys, all {drained:.0f} s after the last answer")
    print(f"p99 webhooks/healthz {both.p99 / health.p99:.2f}   starting/healthz {starting.p99 / health.p99:.2f}")
    if sorted(runs) != sorted(keys) or len(keys) != sum(which):
        raise SystemExit("not every start once")


def main() -> None:
    """Print percentiles and ratios; fail where one is lost, or not started once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--starting", type=float, default=0.05, help="the share of deliveries that start a run")
    parser.add_argument("--engine", choices=["slow", "prefect"], default="slow")
    parser.add_argument("--forge", choices=sorted(SECTIONS), default="gitlab")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port, options.engine, options.forge)
        return
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="gopub-bench-", ignore_cleanup_errors=True) as folder:
        asyncio.run(bench(options, Path(folder)))


if __name__ == "__main__":
    main()
