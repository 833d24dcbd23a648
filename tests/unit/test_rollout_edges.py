"""Edges that hang, or are down when somebody takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.kit import Kit, write_kit
from gopub.plan.model import Outcome
from gopub.rollout import back, lease, switch
from gopub.rollout.run import Run
from gopub.rollout.turn import edges_first, turn_around
from gopub.rollout.wish import Wish
from gopub.traffic.protocol import EdgeAck
from gopub.usecases import ask, start
from tests.support.rollout_world import TwoEdges, chart, in_memory, reach


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


@pytest.fixture
def world(tmp_path) -> TwoEdges:
    return TwoEdges(tmp_path)


def canary(world: TwoEdges) -> Run:
    driver = world.driver()
    asyncio.run(reach(driver))
    assert world.holds("edge1") == world.holds("edge2") == (2500, True)
    return driver


# Somebody takes over while an edge is down


def taken_over(world: TwoEdges, driver: Run, monkeypatch) -> Run:
    """What `recover` and `abort` do with an orphan: its plan's kit is there, its release is not at hand."""
    world.at_home(monkeypatch)
    kit = Kit(driver.seat.epoch, driver.plan, world.ports().hosts, world.environment, router=world.edges_known,
              fleet=world.way)  # fmt: skip
    write_kit(world.kits, kit)
    held = []

    async def drive() -> None:
        async with start.open_run(Wish(app="hello", env="lab", version="2", rollout="r1")) as run:
            held.append(run)
            await back.go_back(run)

    asyncio.run(drive())
    return held[0]


def test_recover_with_an_edge_down_takes_the_canary_back_at_once(world, monkeypatch):
    left = canary(world)
    world.router.edges["edge2"].down = True
    until = world.router.edges["edge1"].table.canary_until
    known = len(world.router.edges["edge1"].tables)
    driver = taken_over(world, left, monkeypatch)
    assert driver.state.closed and driver.state.closed.outcome is Outcome.WITHDRAWN
    assert "edge2: cannot be reached" in driver.state.closed.reason
    later = world.router.edges["edge1"].tables[known:]
    assert {table.weight for table in later} == {0}, "the canary got new traffic from nobody"
    assert until is not None and world.holds("edge1") == (0, False)
    assert world.env().active == ""


def test_an_abort_is_heard_before_the_canary_is_taken_over(world, monkeypatch):
    left = canary(world)
    ask.ask(world.journal, "r1", "abort", "please stop")
    known = len(world.router.edges["edge1"].tables)
    driver = taken_over(world, left, monkeypatch)
    assert driver.state.closed and driver.state.closed.reason.startswith("aborted: please stop")
    assert {table.weight for table in world.router.edges["edge1"].tables[known:]} == {0}
    assert set(world.running().values()) == {world.old}


def test_control_with_all_edges_the_canary_goes_on(world):
    canary(world)
    asyncio.run(chart(world.driver(), "good"))
    assert set(world.running().values()) == {world.new}


# An edge that hangs

LONG = 60.0


async def until(holds: Callable[[], bool], within: float = LONG) -> None:
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - other tasks, which tell no event
            await asyncio.sleep(0.01)


@pytest.fixture
def hung(world, monkeypatch) -> Run:
    """Driven for real, with renewals close together; edge2 has ceased to answer."""
    monkeypatch.setattr(lease, "RENEW", 0.05)
    monkeypatch.setattr(lease, "QUICK", 0.3)
    world.clock = SystemClock()
    driver = canary(world)
    driver._putting = asyncio.Lock()
    world.router.limit = 20.0
    world.router.hung = {"edge2"}
    return driver


def test_the_table_without_the_canary_does_not_wait_for_a_renewal(world, hung):
    world.router.limit = 100 * LONG  # whoever waits for that does not get there
    off, healthy = asyncio.Event(), world.router.edges["edge1"]
    real = healthy.put

    async def put(table):
        if not table.weight:
            off.set()
        return await real(table)

    healthy.put = put

    async def work() -> None:
        async with hung.driving():
            await asyncio.sleep(0.15)  # a renewal is under way
            turn_around(hung, Outcome.ROLLED_BACK, 3, "errors")
            first = asyncio.create_task(edges_first(hung))
            async with asyncio.timeout(LONG):
                await off.wait()
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    asyncio.run(work())


def test_a_hung_edge_costs_the_driver_no_lease(world, hung, monkeypatch):
    renewed = []
    kept = hung.ports.journal.renew_seat
    monkeypatch.setattr(hung.ports.journal, "renew_seat", lambda *a, **k: (renewed.append(1), kept(*a, **k)))
    monkeypatch.setattr(lease, "QUICK", LONG)  # one renewal of the term takes as long

    async def work() -> None:
        async with hung.driving():
            await until(lambda: len(renewed) > 4, LONG / 2)

    asyncio.run(work())


def test_the_healthy_edges_keep_the_term_meanwhile(world, hung):
    before = world.router.edges["edge1"].table.canary_until

    async def work() -> None:
        async with hung.driving():
            await until(lambda: world.router.edges["edge1"].table.canary_until > before)
            await until(lambda: any("did not all answer" in alarm for alarm in hung.alarms))

    asyncio.run(work())


def test_a_table_overtakes_a_renewal_without_an_alarm(world, hung):
    async def work() -> None:
        renewal = asyncio.create_task(hung.renew_term())
        await asyncio.sleep(0.05)
        put = asyncio.create_task(hung.edges.shift(hung.pools(), 2500, why="again", growing=False))
        await renewal
        put.cancel()
        await asyncio.gather(put, return_exceptions=True)

    asyncio.run(work())


def test_an_edge_known_to_be_silent_is_not_waited_for_again_and_again(world):
    driver = canary(world)
    world.router.edges["edge2"].down = True
    asked = []
    real = world.router.edges["edge2"].put

    async def counted(table):
        asked.append(table.weight)
        return await real(table)

    world.router.edges["edge2"].put = counted
    turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(driver))
    assert len(asked) == 3 + 1 + 1 + 3, "first and last table insist, those between do not"


def test_an_edge_that_failed_once_gets_the_same_order_again(world):
    driver = canary(world)
    fails = [True]
    real = world.router.edges["edge2"].put

    async def flaky(table):
        if fails:
            fails.pop()
            return (EdgeAck("edge", False, 0, "the connection broke"),)
        return await real(table)

    world.router.edges["edge2"].put = flaky
    driver.record(ev.StepPassed(0))
    step = driver.plan.steps[1]
    known = len(world.router.edges["edge1"].tables)
    asyncio.run(switch.switch(driver, step, ("app2",)))
    assert driver.state.back is None
    one, two = (world.router.edges[name].tables for name in ("edge1", "edge2"))
    assert one[known:] == two[known:], "both took each order once, and the same one"


@pytest.mark.parametrize("error", [ValueError("odd answer"), GopubError("GP701", "the disk is full", hint="none")])
def test_no_failure_ends_what_keeps_the_canarys_term(world, monkeypatch, error):
    monkeypatch.setattr(lease, "RENEW", 0.01)
    driver = canary(world)
    driver._putting = asyncio.Lock()
    tried = []

    async def put(table):
        tried.append(table)
        raise error

    monkeypatch.setattr(world.router, "put", put)

    async def work() -> None:
        async with driver.driving():
            await until(lambda: len(tried) > 2)
            await until(lambda: any("could not renew" in alarm for alarm in driver.alarms))

    asyncio.run(work())


def test_a_driver_without_its_seat_prolongs_no_term(world):
    driver = canary(world)
    until = world.router.edges["edge1"].table.canary_until
    world.clock._now += lease.LEASE + 1
    asyncio.run(driver.renew_term())
    assert world.router.edges["edge1"].table.canary_until == until
    driver.renew_lease()
    asyncio.run(driver.renew_term())
    assert world.router.edges["edge1"].table.canary_until > until
