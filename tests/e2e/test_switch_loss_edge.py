"""What a client that never tries again loses while hosts are switched: behind the edge, and directly at a host.

GOPUB_SWITCHES says how many switches of each mode; there are few by default. All modes are measured at once.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from gopub.fleet.slots import SIDE
from gopub.lab.lab import Lab
from tests.e2e.conftest import aside
from tests.e2e.loss_ground import LossGround, Outcome, Pool
from tests.support.switched import EVERY, VERSIONS

pytestmark = pytest.mark.e2e

SWITCHES = int(os.environ.get("GOPUB_SWITCHES", "4"))
RATE = 60
"""Requests a second of each client; nothing is said of how many come."""
MODES = ("restart", "socket", "handover", SIDE)
LASTING = {kind for kind in EVERY if "stream" in kind or "deaf" in kind}


async def measured(lab: Lab, folder: Path) -> dict[str, Outcome]:
    """Each mode by its name; "plain" is a restart of one host, without a drain and without an edge."""

    async def one(ground: LossGround, mode: str) -> Outcome:
        rude = mode == "plain"
        async with Pool.opened(ground, "restart" if rude else mode, 1 if rude else 2, rude=rude) as pool:
            return await pool.measure(SWITCHES, RATE)

    async with LossGround.opened(lab, folder) as ground:
        names = (*MODES, "plain")
        return dict(zip(names, await asyncio.gather(*(one(ground, name) for name in names)), strict=True))


@pytest.fixture(scope="module")
def outcomes(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    found = aside(lambda: measured(lab, tmp_path_factory.mktemp("loss")))
    for name, outcome in found.items():
        print(name, outcome)
    return found


def nothing_was_lost(seen: dict[str, Any]) -> None:
    """Nothing of any kind: neither what is asked and answered, nor what lasts."""
    assert seen["lost"] == {}, seen
    assert seen["asked"] == seen["answered"] + sum(seen["told"].get(kind, 0) for kind in seen["kinds"]), seen
    assert set(seen["kinds"]) == set(EVERY) - LASTING, seen
    assert set(seen["by"]) == set(VERSIONS), seen
    assert set(seen["told"]) >= {"stream", "gRPC stream", "WebSocket"}, seen
    assert set(seen["cut"]) <= {"endless stream", "deaf WebSocket"}, seen


@pytest.mark.parametrize("mode", MODES)
def test_behind_the_edge_nothing_is_lost_and_what_is_cut_is_told(outcomes: dict[str, Outcome], mode: str) -> None:
    outcome = outcomes[mode]
    assert (outcome.switches, outcome.restarts, outcome.unasked) == (SWITCHES, 0, 0), outcome
    assert outcome.ways == {mode: SWITCHES}, outcome
    nothing_was_lost(outcome.edge)
    assert set(outcome.mains) <= set(outcome.edge["pids"]), outcome
    for kind, told in (("endless stream", "requests"), ("deaf WebSocket", "taken")):
        cut = [seen["cut"].get(kind, 0) for seen in (outcome.edge, outcome.direct) if seen]
        assert min(cut) > 0 and sum(cut) <= outcome.told[told], outcome


@pytest.mark.parametrize("mode", ["socket", "handover"])
def test_directly_at_the_host_nothing_is_lost(outcomes: dict[str, Outcome], mode: str) -> None:
    nothing_was_lost(outcomes[mode].direct)


@pytest.mark.parametrize("mode", ["restart", "plain"])
def test_control_a_restart_is_seen_to_lose_directly(outcomes: dict[str, Outcome], mode: str) -> None:
    """With a drain those who come meanwhile; without one those who are there, too."""
    lost = outcomes[mode].direct["lost"]
    assert any("refused" in kind for kind in lost), lost
    assert mode == "restart" or outcomes[mode].direct["cut"].get("stream"), outcomes[mode]
