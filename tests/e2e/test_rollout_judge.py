"""The judge on the lab: bad releases drawn from a printed seed are caught, and without data nothing is promoted."""

from __future__ import annotations

import asyncio
import random
from contextlib import nullcontext
from typing import Any

import pytest

from gopub.journal import events as ev
from gopub.lab.faults import without_prometheus
from gopub.lab.lab import Lab
from tests.e2e.story import STORY, a_fleet
from tests.e2e.story_ground import Ground
from tests.support.chance import seed

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY


def drawn(kind: str) -> dict[str, Any]:
    chance = random.Random(f"{seed()}{kind}")
    after = chance.randrange(200)
    faults = {
        "errors": {"error_rate": round(chance.uniform(0.05, 0.6), 3), "log_errors": chance.random() < 0.5},
        "cut": {"cut_rate": round(chance.uniform(0.1, 1.0), 3)},
        "slow": {"extra_latency_ms": chance.randrange(130, 600)},
        "crash": {"crash_after_s": round(chance.uniform(0.5, 5.0), 2)},
    }
    return faults[kind] | {"after_requests": after}


@pytest.mark.parametrize("kind", ["errors", "cut", "slow", "crash"])
async def test_a_bad_release_is_caught(ground: Ground, lab: Lab, kind: str):
    """That it fails is seen with no Prometheus at all: the edges are asked themselves."""
    async with without_prometheus(lab) if kind == "errors" else nullcontext():
        await caught(ground, kind)


async def caught(ground: Ground, kind: str) -> None:
    behaviour = drawn(kind)
    print(behaviour)
    version = {"errors": "3.0.0", "slow": "3.1.0", "crash": "3.2.0", "cut": "3.3.0"}[kind]
    story = await a_fleet(ground, "judge").given_stable("1.0.0").given_releases(version, **behaviour)
    await (
        story.when_releasing(version)
        .then_it_was("rolled back", 1, 3, 4)
        .then_every_host_runs("1.0.0")
        .when_releasing(version)
        .then_it_was_refused("GP721", 3)
    )


MANY = 8


async def test_clients_that_leave_blame_nobody(ground: Ground):
    """The control of answers that are cut: the client closes, and the release is as good as stable."""
    story = await a_fleet(ground, "judge").given_stable("1.0.0").given_releases("1.1.0")
    address, name = ground.lab.edge_address, f"{story.env.upstream}.lab"
    left = 0

    async def leave() -> None:
        nonlocal left
        while True:
            _, writer = await asyncio.open_connection(address, 80)
            try:
                user = f"X-User-Id: user-{left % 500}"
                writer.write(f"GET /work HTTP/1.1\r\nHost: {name}\r\n{user}\r\n\r\n".encode())
                await asyncio.sleep(0.005)
            finally:  # also where the test ends meanwhile: nobody else knows of this connection
                writer.transport.abort()
            left += 1
            await asyncio.sleep(0.05)

    leaving = asyncio.gather(*(leave() for _ in range(MANY)))  # a busy machine lets each of them come to little
    try:
        await (
            story.when_releasing("1.1.0")
            .then_it_was("promoted")
            .then_every_host_runs("1.1.0")
            .then_no_request_was_lost()
        )
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    assert left > 50
    assert all(
        verdict.record["record"]["observation"]["step_totals"]["canary_errors"] == 0
        for verdict in story.events(ev.Judged)
    )


async def test_without_data_nothing_is_promoted(ground: Ground, lab: Lab):
    """Of an env that is judged by what Prometheus shows."""
    story = await a_fleet(ground, "blind").given_stable("1.0.0").given_releases("1.1.0")
    async with without_prometheus(lab):
        await story.when_releasing("1.1.0").then_it_was("withdrawn", 2).then_every_host_runs("1.0.0")
    assert {one.kind for one in story.events(ev.Judged)} == {"HOLD", "WITHDRAW"}
    assert not story.known().quarantine
    await story.then_no_request_was_lost()
