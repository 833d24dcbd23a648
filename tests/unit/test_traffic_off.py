"""That traffic is off the canary is said where every edge confirmed it; else which have not."""

from __future__ import annotations

import asyncio

import pytest

from gopub.journal import events as ev
from gopub.plan.model import Outcome
from gopub.rollout import back
from gopub.rollout.turn import turn_around
from gopub.views.events import tell
from tests.support.rollout_world import TwoEdges, in_memory, reach

OFF = "traffic is off the canary"


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


def told(world: TwoEdges, *down: str) -> str | None:
    """What is said when it turns around while these edges are away."""
    driver = world.driver()
    asyncio.run(reach(driver, 1))
    for edge in down:
        world.router.edges[edge].down = True
    turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(driver))
    (off,) = [one.event for one in world.journal.read("rollout/r1") if isinstance(one.event, ev.TrafficOff)]
    assert set(off.missed) == set(down)
    return tell(off)


def test_every_edge_has_confirmed_it(tmp_path):
    assert told(TwoEdges(tmp_path)) == OFF


def test_one_that_has_not_is_named(tmp_path):
    said = told(TwoEdges(tmp_path), "edge2") or ""
    assert said.startswith("traffic may still reach the canary through edge2 (")
    assert said.endswith("): 1 of 2 edges confirm that it is off")
    assert "edge1" not in said and OFF not in said


def test_none_has(tmp_path):
    said = told(TwoEdges(tmp_path), "edge1", "edge2") or ""
    assert said.endswith(": 0 of 2 edges confirm that it is off")


def test_what_stable_cannot_carry_and_where_no_edge_is():
    kept = tell(ev.TrafficOff(1.0, 2, {}, 2500))
    assert kept == "the canary keeps 25% of the traffic for now: stable cannot carry that"
    assert tell(ev.TrafficOff(1.0, 0)) is None
    assert tell(ev.TrafficOff(1.0)) == OFF, "an entry of an older gopub"
