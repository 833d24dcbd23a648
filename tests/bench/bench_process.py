"""What the start of a run's process costs: as Prefect's worker does it, and with a `command` among the job variables.

    PYTHONPATH=. python tests/bench/bench_process.py [--rounds 10]

A real server, a worker, and two deployments of the same flow, which finds nothing to do; they differ in nothing but
the command, and take turns, so that a busy machine slows both. Without one, Prefect's worker prepares each run in a
process that loads all of Prefect, and which then begins again in its own place. With one there is that one process;
but where such a run is cancelled, the worker enters the flow's folder and loads the flow itself, to ask it for hooks,
so `gopub setup` sets none. The time is from Pending (the worker took the run) to Running (Python, Prefect and the flow
are loaded). What a flow's own modules cost is told beside it, as a share of what Prefect's cost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.flows.serverkit import ROOT, Stack, changes, start

FLOWS = ("deploy", "rollout", "recover")
LOADS = """
import time
begun = time.process_time()
import prefect.engine, prefect.flow_engine
prefect_has = time.process_time()
import flows.{flow}
print(prefect_has - begun, time.process_time() - prefect_has)
"""
GIVEN = ("parameter_openapi_schema", "path", "pull_steps", "work_pool_name", "work_queue_name", "tags", "entrypoint")


COMMAND = (
    """sh -c 'export PYTHONPATH="$GOPUB_HOME${PYTHONPATH:+:$PYTHONPATH}"; """
    """exec setsid -- "$(tr "\\0" "\\n" </proc/$PPID/cmdline | head -n 1)" -m prefect.engine'"""
)
"""The worker's own Python, in a process group of its own, as the worker's runs have without it."""


async def copied(stack: Stack) -> str:
    """A deployment like `recover`, with the command; gives its id."""
    one = await stack.deployment("recover/recover")
    given = {**one["job_variables"], "command": COMMAND}
    body = {**{key: one[key] for key in GIVEN}, "name": "one", "flow_id": one["flow_id"], "job_variables": given}
    return str((await stack.ask("POST", "/deployments/", json=body))["id"])


async def took(stack: Stack, deployment: str) -> float:
    """Seconds from Pending to Running of one run."""
    made: dict[str, Any] = await stack.ask("POST", f"/deployments/{deployment}/create_flow_run", json={})
    ended = await stack.ended(made["id"], 300.0)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    states = await stack.ask("GET", "/flow_run_states/", params={"flow_run_id": made["id"]})
    at = {one["type"]: datetime.fromisoformat(one["timestamp"]) for one in reversed(states)}
    return (at["RUNNING"] - at["PENDING"]).total_seconds()


async def bench(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Both in turn."""
    stack = await start(folder)
    try:
        changes(await stack.gopub("setup", "--server", stack.server.ui, "--json"))
        await stack.without_schedules("promote", "recover", "refresh")
        await stack.worker("worker")
        ways = {"without": (await stack.deployment("recover/recover"))["id"], "with the command": await copied(stack)}
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, deployment in ways.items():
                seconds = await took(stack, deployment)
                if number:  # the first of each warms the disk
                    found[name].append(seconds)
                    print(f"{number:3} {name:16} {seconds:6.2f} s", flush=True)
        return found
    finally:
        await stack.stop()


def loaded(flow: str, rounds: int) -> float:
    """CPU of a flow's own modules as a share of that of Prefect's."""
    shares = []
    for _ in range(rounds):
        argv = [sys.executable, "-c", LOADS.format(flow=flow)]
        done = subprocess.run(argv, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
        theirs, ours = (float(word) for word in done.stdout.split())
        shares.append(ours / theirs)
    return statistics.median(shares)


def told(found: dict[str, list[float]]) -> Sequence[str]:
    """Medians, and their ratio."""
    middle = {name: statistics.median(values) for name, values in found.items()}
    lines = [f"{name:16} p50 {value:6.2f} s of {len(found[name])}" for name, value in middle.items()]
    return [*lines, f"ratio {middle['with the command'] / middle['without']:.2f}"]


def main() -> None:
    """Print both, and how busy the machine was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    for flow in FLOWS:
        print(f"modules of flows/{flow}.py: {loaded(flow, options.rounds):.2f} of what Prefect's cost")
    with tempfile.TemporaryDirectory(prefix="gopub-bench-", ignore_cleanup_errors=True) as folder:
        print("\n".join(told(asyncio.run(bench(Path(folder), options.rounds)))))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
