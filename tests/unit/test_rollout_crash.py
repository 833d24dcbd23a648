"""A driver that dies at any journal append, or whose hosts fail, leaves a rollout that another driver ends whole.

The core's own functions run against doubles that fence like the real hosts and edges. Each seed is printed; the
whole chart is killed before and after every append in turn, and at random ones.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.state import next_action
from gopub.journal.streams import stream_of
from gopub.plan.model import FULL, Outcome, Plan, PlannedStep
from gopub.rollout import back, reach, stage, switch
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from tests.support.chance import seed as chance_seed
from tests.support.doubles import MemoryFleet
from tests.support.rollout_world import NEW, OLD, Killed, MortalJournal, World, chart, drive, in_memory


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


def check_whole(world: World, verdict: str) -> None:
    """Every host is on one and the same whole release, the edges agree, and so does the journal."""
    wanted = world.old if verdict == "bad" else world.new
    assert set(world.running().values()) == {wanted}
    table = world.router.table
    assert table is not None and table.canary is None and table.stable is not None
    assert sorted(peer.host for peer in table.stable.peers) == world.names
    assert table.stable.release == (OLD if verdict == "bad" else NEW)
    env = world.env()
    assert env.active == ""
    assert env.stable == (OLD if verdict == "bad" else NEW)
    assert (NEW in env.quarantine) == (verdict == "bad")
    world.journal.verify()
    assert world.refused() == [], "no host refused its own side"


def appends(tmp_path, verdict: str) -> int:
    journal = MortalJournal(World(tmp_path).journal, 0, after=False)
    drive(World(tmp_path), verdict, journal)
    return -journal.left


def go_on(world: World, verdict: str) -> None:
    """What a person or `recover` does then; a rollout that is over is left alone."""
    over = world.journal.read(stream_of("r1")) and not world.env().active
    if not over:
        drive(world, verdict)


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_an_undisturbed_rollout_ends_whole(tmp_path, verdict):
    world = World(tmp_path)
    run = drive(world, verdict)
    check_whole(world, verdict)
    assert run.state.closed and run.state.closed.outcome is (
        Outcome.ROLLED_BACK if verdict == "bad" else Outcome.PROMOTED
    )


@pytest.mark.parametrize("verdict", ["good", "bad"])
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_append_another_driver_ends_it_whole(tmp_path, verdict, after):
    (tmp_path / "count").mkdir()
    for at in range(1, appends(tmp_path / "count", verdict) + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = World(folder)
        with pytest.raises(Killed):
            drive(world, verdict, MortalJournal(world.journal, at, after=after))
        for name in world.running().values():
            assert name in (world.old, world.new)
        go_on(world, verdict)
        check_whole(world, verdict)


def test_killed_again_and_again_it_still_ends(tmp_path):
    seed = chance_seed()
    chance = random.Random(seed)
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        world, verdict = World(folder), chance.choice(["good", "bad"])
        for _ in range(chance.randrange(1, 6)):
            journal = MortalJournal(world.journal, chance.randrange(1, 12), after=chance.random() < 0.5)
            try:
                drive(world, verdict, journal)
            except Killed:
                continue
            break
        else:
            go_on(world, verdict)
        check_whole(world, verdict)


def test_the_old_driver_can_order_nothing_once_the_seat_is_taken(tmp_path):
    world = World(tmp_path)
    first = world.driver()
    second = world.driver()
    with pytest.raises(GopubError, match="GP705"):
        first.record(ev.StageIntended(("app1",)))
    asyncio.run(chart(second, "good"))
    check_whole(world, "good")


def test_a_release_that_does_not_answer_goes_back_and_is_quarantined(tmp_path):
    world = World(tmp_path)
    world.machines["app1"].bad = frozenset({world.new})
    run = drive(world, "good")
    check_whole(world, "bad")
    assert run.state.back and "GP446" in run.state.back.reason


def test_a_host_that_cannot_be_reached_on_the_way_back_is_owed_and_out_of_the_pool(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    asyncio.run(_to_second_step(run))
    world.machines["app2"].reachable = False
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(run))
    assert run.state.owed == ("app2",)
    assert world.router.table is not None and world.router.table.stable is not None
    assert [peer.host for peer in world.router.table.stable.peers] == ["app1", "app3", "app4"]


def test_an_edge_that_does_not_answer_stops_growth_and_a_rollback_goes_on(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    world.router.down = True
    asyncio.run(chart(run, "good"))
    assert run.state.closed and run.state.closed.outcome is Outcome.WITHDRAWN
    assert set(world.running().values()) == {world.old}
    assert any("edge" in alarm for alarm in run.alarms)


@pytest.mark.parametrize("skew", [45.0, -45.0])
def test_an_edge_with_another_time_is_refused_before_anything_is_touched(tmp_path, skew):
    world = World(tmp_path)
    world.router.skew = skew
    run = drive(world, "good")
    assert run.state.closed and run.state.closed.outcome is Outcome.WITHDRAWN
    side = "ahead of" if skew > 0 else "behind"
    assert f"GP509 the clocks of edges and driver differ by more than 5s (edge's is 45s {side} ours)" in (
        run.state.closed.reason
    )
    assert not run.state.touched
    assert world.router.tables == []
    assert all(machine.history == [] for machine in world.machines.values())


class ByHeader(World):
    """The same with a latency that edges of older versions do not know."""

    def plan(self) -> Plan:
        return replace(super().plan(), latency="header")


def test_an_older_edge_is_refused_before_anything_is_touched_where_the_table_needs_a_newer_one(tmp_path):
    world = ByHeader(tmp_path / "old")
    run = drive(world, "good")
    assert run.state.closed and run.state.closed.outcome is Outcome.WITHDRAWN
    assert "GP512 edge: an edge of an older gopub" in run.state.closed.reason
    assert not run.state.touched
    assert world.router.tables == []
    world = ByHeader(tmp_path / "new")  # control: the same with an edge that says who it is
    world.router.identity = "0123456789abcdef"
    run = drive(world, "good")
    assert run.state.closed and run.state.closed.outcome is Outcome.PROMOTED
    assert {table.latency for table in world.router.tables} == {"header"}


@pytest.mark.parametrize("skew", [None, 4.9, -4.9])
def test_an_edge_with_about_the_same_time_or_none_is_not_refused(tmp_path, skew):
    """Control; an edge of an older gopub does not say what its clock shows."""
    world = World(tmp_path)
    world.router.skew = skew
    assert drive(world, "good").state.closed.outcome is Outcome.PROMOTED
    check_whole(world, "good")


async def test_a_clock_that_goes_wrong_under_way_stops_growth_and_no_way_back(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    await _to_second_step(run)
    before = len(world.router.tables)
    world.router.skew = -60.0
    await run.edges.renew_term()
    assert run.alarms == ["the clock of edge edge is 1m behind this machine's"]
    await run.edges.renew_term()
    assert len(run.alarms) == 1
    late = PlannedStep(2, tuple(world.names), FULL, 1.0)
    await switch.switch(run, late, ("app3",))
    assert run.state.back and run.state.back.reason.startswith("GP509 ")
    assert world.running()["app3"] == world.old
    await back.go_back(run)
    assert run.state.closed and run.state.closed.outcome is Outcome.WITHDRAWN
    assert set(world.running().values()) == {world.old}
    assert len(world.router.tables) > before + 2
    assert world.router.table is not None and world.router.table.canary is None


async def test_a_rollout_whose_driver_died_is_taken_over_and_back_with_a_wrong_clock(tmp_path):
    world = World(tmp_path)
    await _to_second_step(world.driver())
    world.router.skew = 300.0
    run = world.driver()
    await chart(run, "good")
    assert run.state.closed and run.state.closed.outcome is Outcome.WITHDRAWN
    assert set(world.running().values()) == {world.old}


def test_the_canary_never_shrinks_while_it_goes_forward(tmp_path):
    world = World(tmp_path)
    drive(world, "good")
    weights = [table.weight for table in world.router.tables if table.canary]
    assert weights == sorted(weights)
    assert max(weights) <= FULL


def test_nothing_is_left_to_do_when_it_is_over(tmp_path):
    world = World(tmp_path)
    run = drive(world, "good")
    assert next_action(run.state).value == "nothing"


async def _to_second_step(run: Run) -> None:
    await run.edges.claim()
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)
    for step in run.plan.steps:
        for batch in switch.switch_batches(run, step):
            await switch.switch(run, step, batch)
        await reach.reach(run, step)
        run.record(ev.StepPassed(step.index))


async def test_a_look_does_not_wait_for_a_host_that_cannot_be_connected(tmp_path, monkeypatch):
    """The others are judged meanwhile: the error is that of a host without an answer, not that of a bad release."""
    from gopub.rollout import hosts

    class Deaf(MemoryFleet):
        async def channel(self, host):
            await asyncio.Event().wait()

    monkeypatch.setattr(hosts, "REACH", 0.05)
    run = World(tmp_path).driver()
    run.ports = replace(run.ports, fleet=Deaf({}))
    with pytest.raises(GopubError, match="GP415 app1: no connection within"):
        await hosts.process_health(run, "app1")
    assert await hosts.log_targets(run) == ()
