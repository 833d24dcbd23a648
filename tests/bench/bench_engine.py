"""What Prefect costs: a rollout as a flow, reporting to a real server, against the same calls without Prefect.

    PYTHONPATH=. python tests/bench/bench_engine.py [--rounds 3] [--hosts 2]

Both ways roll the same two releases out to and fro on the same lab, in turn, in this one warm process: the chart of
flows/rollout.py, once as it is, once with every task replaced by the function in it and without the pages for the UI.
Nothing judges, for evidence takes its own time: steps bake a fixed second. Aim: at most 1.10 times and 3 seconds.
The control is the server's count of task runs: one way adds to it, the other must not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import httpx

from gopub.cli.engine import load
from tests.bench.lab_ground import own_ground
from tests.e2e.story import Story, a_fleet
from tests.e2e.story_ground import Env

FACTOR, SECONDS = 1.10, 3.0
VERSIONS = ("1.0.0", "1.1.0")
ENV = Env(
    "bench",
    18121,
    more={"traffic": "", "judge": "", "rollout": "{steps: [{hosts: 1, bake: 1s}, {hosts: 50%, bake: 1s}]}"},
)


@dataclass(frozen=True)
class Cost:
    """One rollout: seconds, seconds of this process's CPU, and task runs that the server counted."""

    wall: float
    cpu: float
    tasks: int


async def page(*_: object) -> None:
    """Instead of a page in the UI."""


@contextmanager
def without_prefect() -> Iterator[Callable[..., Any]]:
    """The chart, calling the core's functions themselves."""
    boxes, pages = load("tasks:rollout"), load("tasks:pages")
    with ExitStack() as stack:
        for name in boxes.__all__:
            if inside := getattr(getattr(boxes, name), "fn", None):
                stack.enter_context(patch.object(boxes, name, inside))
        for name in ("plan_page",):
            stack.enter_context(patch.object(pages, name, page))
        yield load("flows.rollout:rollout").fn


@contextmanager
def with_prefect() -> Iterator[Callable[..., Any]]:
    """The chart as it is."""
    yield load("flows.rollout:rollout")


WAYS = {"plain": without_prefect, "prefect": with_prefect}


async def task_runs(story: Story) -> int:
    """How many the server knows, once it has told the same twice: runs are reported a moment later."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        known = -1
        while True:
            answer = await http.post(f"{story.ground.server.url}/task_runs/count", json={})
            found = int(answer.raise_for_status().json())
            if found == known:
                return found
            known = found
            await asyncio.sleep(1.5)


async def rollout(story: Story, way: str, version: str) -> Cost:
    """Bring a version to all hosts, one way."""
    parameters = {"app": story.env.app, "env": story.env.name, "version": version, "actor": "bench"}
    project = str(story.ground.repository(story.env.app))
    before = await task_runs(story)
    with WAYS[way]() as chart:
        wall, cpu = time.perf_counter(), time.process_time()
        told = await chart(**parameters, project=project)
        spent = time.perf_counter() - wall, time.process_time() - cpu
    if told["outcome"] != "promoted":
        raise SystemExit(f"{way}: {version} was not promoted: {told}")
    counted = await task_runs(story) - before
    if (counted > 0) != (way == "prefect"):
        raise SystemExit(f"{way} made {counted} task runs: this measures something else")
    return Cost(*spent, counted)


@asynccontextmanager
async def warm_story(hosts: int) -> AsyncIterator[Story]:
    """Two releases, the first one stable, and everything imported and connected once."""
    async with own_ground(ENV, hosts=hosts) as ground:
        story = a_fleet(ground, "bench")
        os.environ.update(story.settings())  # before Prefect is imported
        await story.given_releases(*VERSIONS)
        for way, version in zip(("prefect", "plain"), VERSIONS, strict=True):
            await rollout(story, way, version)
        yield story


async def bench(rounds: int, hosts: int) -> dict[str, list[Cost]]:
    """Rounds of both ways; who goes first, and so who rolls out which version, takes turns."""
    found: dict[str, list[Cost]] = {way: [] for way in WAYS}
    async with warm_story(hosts) as story:
        for at in range(rounds):
            ways = list(WAYS)[:: 1 if at % 2 == 0 else -1]
            for way, version in zip(ways, VERSIONS, strict=True):
                found[way].append(await rollout(story, way, version))
    return found


def main() -> None:
    """Print medians, the ratio, and what is left of the aim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=2)
    options = parser.parse_args()
    found = asyncio.run(bench(options.rounds, options.hosts))
    wall = {way: statistics.median(cost.wall for cost in costs) for way, costs in found.items()}
    cpu = {way: statistics.median(cost.cpu for cost in costs) for way, costs in found.items()}
    for way, costs in found.items():
        each = " ".join(f"{cost.wall:.1f}" for cost in costs)
        print(f"{way:8} {wall[way]:6.2f} s ({each})   {cpu[way]:5.2f} s CPU   {costs[0].tasks} task runs")
    print(f"wall prefect/plain {wall['prefect'] / wall['plain']:.2f}, {wall['prefect'] - wall['plain']:+.2f} s")
    print(f"CPU  prefect/plain {cpu['prefect'] / cpu['plain']:.2f}   (the client's; the server's is its own)")
    allowed = FACTOR * wall["plain"] + SECONDS
    print(f"wall prefect/allowed {wall['prefect'] / allowed:.2f}   (aim {FACTOR:.2f}x + {SECONDS:g} s: at most 1.00)")


if __name__ == "__main__":
    main()
