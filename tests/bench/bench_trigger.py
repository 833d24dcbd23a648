"""How long it takes from a webhook's delivery to the first box of its run, on a real server with a warm worker.

    PYTHONPATH=. python tests/bench/bench_trigger.py [--deliveries 50] [--poll 2]

The worker has run one delivery before. Each delivery is sent at a moment drawn at random, after the run before it has
ended: nothing queues, and the worker's poll is met at any time. The time ends when the first task of the run is
Running. It consists of the answer (the row is on disk), the start (the repository was asked, the server has the run),
the poll (the worker took it), the process (Python, Prefect and the flow are loaded, the run is Running) and the box.
87 ms is what an article names for event routing to a warm process; this starts a process for each run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from gopub.clock import SystemClock
from gopub.process import run
from gopub.spec.projects import FILE
from tests.flows.serverkit import ROOT, Stack, changes, git_repository, start, until

ARTICLE = 0.087
TOKEN = "bench-token"
WITHIN = 300.0
PAYLOAD = json.loads((ROOT / "tests/unit/webhooks/push.json").read_text())
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one delivery, part by part; each begins where the one before it ends."""

    answer: float
    start: float
    poll: float
    process: float
    box: float

    @property
    def whole(self) -> float:
        """From the delivery to the first box."""
        return sum(astuple(self))


def between(moments: Sequence[datetime]) -> Took:
    """The parts between moments in a row."""
    return Took(*((after - before).total_seconds() for before, after in pairwise(moments)))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered)) - 1)]


async def deliver(stack: Stack, address: str, commit: str, name: str) -> Took:
    """One delivery, until its run has a task that runs; then until the run is over."""
    headers = {"X-Gitlab-Token": TOKEN, "Idempotency-Key": name}
    body = PAYLOAD | {"ref": "refs/heads/main", "after": commit, "checkout_sha": commit}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        sent = datetime.now(UTC)
        answer = await http.post(f"{address}/v1/hooks/gitlab", json=body, headers=headers)
        answered = datetime.now(UTC)
    assert answer.status_code == 202, answer.text

    async def begun() -> tuple[str, dict[str, Any]] | None:
        for one in await stack.runs_of("deploy/deploy"):
            if one["idempotency_key"] == f"gitlab:{name}:orders:prod":
                wanted = {"flow_runs": {"id": {"any_": [one["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
                tasks = await stack.ask("POST", "/task_runs/filter", json=wanted)
                first = next((task for task in tasks if task["start_time"]), None)
                if first:
                    return one["id"], first
        return None

    run_id, task = await until(f"the first box of {name}", begun, WITHIN)
    await stack.ended(run_id)
    states = await stack.ask("GET", "/flow_run_states/", params={"flow_run_id": run_id})
    at: dict[str, datetime] = {}
    for state in states:
        at.setdefault(state["type"], datetime.fromisoformat(state["timestamp"]))
    return between([sent, answered, at["SCHEDULED"], at["PENDING"], at["RUNNING"],
                    datetime.fromisoformat(task["start_time"])])  # fmt: skip


async def prepared(folder: Path, poll: float) -> tuple[Stack, str, str]:
    """A server that is set up, a worker, and `gopub serve`; its address and the commit that is pushed."""
    repository = folder / "orders"
    commit = await git_repository(repository)
    await run(["git", "clone", "-q", "--bare", str(repository), str(folder / "orders.git")])
    (folder / FILE).write_text(
        f"apps: {{orders: {{repository: {folder}/orders.git, gitlab_project: trade/orders, project: {folder}/orders,\n"
        "  envs: [prod], rules: [{when: {source: gitlab, type: push, match: {ref: refs/heads/main}}, env: prod}]}}\n"
        "gitlab: {token: {env: BENCH_HOOK}}\n"
    )
    stack = await start(folder)
    changes(await stack.gopub("setup", "--server", stack.server.ui, "--json"))
    await stack.without_schedules()
    await stack.worker("worker", {"PREFECT_WORKER_QUERY_SECONDS": str(poll)})
    return stack, await stack.serve(folder / FILE, {"BENCH_HOOK": TOKEN}), commit


async def bench(folder: Path, count: int, poll: float, drawn: random.Random) -> list[Took]:
    """Deliveries one after the other."""
    stack, address, commit = await prepared(folder, poll)
    try:
        await deliver(stack, address, commit, "warm")
        took = []
        for number in range(count):
            await CLOCK.sleep(drawn.uniform(0.0, max(poll, 1.0)))
            took.append(await deliver(stack, address, commit, f"d-{number}"))
            parts = "  ".join(f"{value:6.2f}" for value in astuple(took[-1]))
            print(f"{number + 1:3} {took[-1].whole:6.2f} s = {parts}", flush=True)
        return took
    finally:
        await stack.stop()


def told(took: Sequence[Took]) -> str:
    """The percentiles of the whole and of its parts, and the ratio to the article's figure."""
    lines = [
        f"{one.name:8} p50 {statistics.median(values):6.2f} s   p99 {quantile(values, 0.99):6.2f} s"
        for one in fields(Took)
        if (values := [getattr(each, one.name) for each in took])
    ]
    whole = [each.whole for each in took]
    middle, high = statistics.median(whole), quantile(whole, 0.99)
    lines.append(f"{'whole':8} p50 {middle:6.2f} s   p99 {high:6.2f} s   of {len(whole)} deliveries")
    lines.append(f"against {ARTICLE * 1000:.0f} ms: p50 {middle / ARTICLE:.0f} times, p99 {high / ARTICLE:.0f} times")
    return "\n".join(lines)


def main() -> None:
    """Print the times, their parts, and how busy the machine was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=50)
    parser.add_argument("--poll", type=float, default=2.0, help="seconds between two questions of the worker")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}, worker asks every {options.poll:g} s, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="gopub-bench-", ignore_cleanup_errors=True) as folder:
        made = bench(Path(folder), options.deliveries, options.poll, random.Random(options.seed))
        print(told(asyncio.run(made)))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
