"""A first release that its hosts did not take is no bad one yet: once mended, the same version may be tried again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import RefusedError
from gopub.plan.model import Outcome, Plan, PlannedStep
from gopub.rollout import back
from gopub.rollout.run import Run
from gopub.rollout.seat import refuse_start
from gopub.rollout.turn import turn_around
from gopub.rollout.wish import Wish
from tests.support.rollout_world import NEW, World, chart, drive, in_memory, reach

WISH = Wish(app="hello", env="lab", release=NEW, version="2")


class First(World):
    """Hosts on which nothing runs yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for machine in self.machines.values():
            machine.folders, machine.current = {}, ""

    def plan(self) -> Plan:
        plan = super().plan()
        hosts = tuple(replace(host, before="", before_digest="") for host in plan.hosts)
        return replace(plan, stable=None, hosts=hosts, steps=(PlannedStep(0, tuple(self.names), 10_000, 1.0),))

    def fails_on(self, *names: str) -> None:
        """The release does not answer there: as with a port that somebody else has, or a health path that is wrong."""
        for name, machine in self.machines.items():
            machine.bad = frozenset({self.new} if name in names else ())


@pytest.fixture
def world(tmp_path, monkeypatch) -> First:
    in_memory(monkeypatch)
    return First(tmp_path)


def again(world: World) -> Run:
    refuse_start(world.journal, WISH)
    run = world.driver(rollout="r2")
    asyncio.run(chart(run, "good"))
    return run


def test_what_the_hosts_did_not_take_is_told_and_tried_again_as_the_same_version(world):
    world.fails_on("app2", "app3")
    failed = drive(world, "good").state.closed
    assert failed.outcome is Outcome.ROLLED_BACK
    assert "GP446" in failed.reason
    assert failed.reason.endswith(back.AGAIN)
    assert (world.env().quarantine, world.env().automatic_rollbacks) == (frozenset(), 1)
    assert set(world.running().values()) == {""}

    world.fails_on()  # mended
    assert again(world).state.closed.outcome is Outcome.PROMOTED
    assert set(world.running().values()) == {world.new}
    assert (world.env().stable, world.env().automatic_rollbacks) == (NEW, 0)


def refused(world: World) -> None:
    assert world.env().quarantine == {NEW}
    with pytest.raises(RefusedError, match="GP721") as caught:
        refuse_start(world.journal, WISH)
    assert '--clear-quarantine "why"' in caught.value.hint


@pytest.mark.parametrize("rule", [1, 3])
def test_one_that_was_judged_is_not_tried_again_silently(world, rule):
    run = world.driver()

    async def judged_bad() -> None:
        await reach(run)
        turn_around(run, Outcome.ROLLED_BACK, rule, "its answers fail")
        await back.go_back(run)

    asyncio.run(judged_bad())
    assert run.state.closed.reason == "its answers fail"
    refused(world)


def test_one_that_a_person_rolled_back_is_not_tried_again_silently(world):
    run = world.driver()
    turn_around(run, Outcome.ROLLED_BACK, 0, "rollback asked for")
    asyncio.run(back.go_back(run))
    refused(world)


def test_control_where_something_good_ran_before_the_host_is_not_what_is_wrong(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = World(tmp_path)
    world.machines["app1"].bad = frozenset({world.new})
    closed = drive(world, "good").state.closed
    assert (closed.outcome, back.AGAIN in closed.reason) == (Outcome.ROLLED_BACK, False)
    refused(world)


def test_three_such_failures_stop_what_starts_by_itself(world):
    world.fails_on("app1")
    for number in range(3):
        run = world.driver(rollout=f"r{number}")
        asyncio.run(chart(run, "good"))
    refuse_start(world.journal, WISH)  # a person may
    with pytest.raises(RefusedError, match="GP722"):
        refuse_start(world.journal, replace(WISH, automatic=True))
