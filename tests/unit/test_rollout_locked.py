"""A journal that somebody holds delays neither edges nor hosts on the way back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome
from gopub.rollout import back, lease, recorder, switch
from gopub.rollout import close as ends
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from tests.support.rollout_world import World, in_memory, reach

PATIENCE, HURRY = 8.0, 0.05
"""Far apart: a busy machine takes a while for what is not waited for."""


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)
    monkeypatch.setattr(recorder, "HURRY", HURRY)
    monkeypatch.setattr(ends, "LAST_TRY", HURRY)


class Slow(Journal):
    """Counts how often it was asked while it was locked."""

    failures = 0

    def append_all(self, *args, **kwargs):
        try:
            return super().append_all(*args, **kwargs)
        except GopubError:
            self.failures += 1
            raise


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


@pytest.fixture
def driver(world, tmp_path) -> Run:
    opened = open_journal(str(tmp_path / "journal.db"), world.clock, patience=PATIENCE)
    made = world.driver(Slow(opened._engine, world.clock, patience=PATIENCE))
    asyncio.run(reach(made))
    return made


@pytest.fixture
def locked(driver, tmp_path) -> Iterator[sqlite3.Connection]:
    """Somebody holds it from here on."""
    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        yield somebody


@pytest.mark.usefixtures("locked")
def test_the_edges_come_first(world, driver):
    """The step that fails waits as long as a driver may; from then on nobody waits."""
    at: list[float] = []
    put = world.router.put

    async def timed(table):
        at.append(time.monotonic())
        return await put(table)

    world.router.put = timed
    began = time.monotonic()
    asyncio.run(switch.switch(driver, driver.plan.steps[1], ("app2",)))
    assert driver.state.back is not None
    assert at[0] - began < 2 * PATIENCE
    assert world.router.table.weight == 0


@pytest.mark.usefixtures("locked")
def test_the_whole_way_back_does_not_wait_for_it_at_each_entry(world, driver):
    turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
    began = time.monotonic()
    asyncio.run(back.go_back(driver))
    assert time.monotonic() - began < PATIENCE
    assert set(world.running().values()) == {world.old}
    assert world.router.table.canary is None
    assert any("journal down" in alarm for alarm in driver.alarms)
    assert driver.ports.journal.failures <= 4, "it is left alone for a while"


def test_what_was_done_meanwhile_is_written_when_it_is_free(world, driver, locked):
    turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
    assert driver.recorder.unwritten
    locked.rollback()
    asyncio.run(back.go_back(driver))
    assert driver.recorder.unwritten == []
    told = read_state(world.journal, "r1")
    assert told.closed and told.closed.outcome is Outcome.ROLLED_BACK
    assert world.env().active == ""


def test_its_end_is_written_where_it_got_free_on_the_way(world, driver, locked):
    put = world.router.put

    async def freed(table):
        locked.rollback()
        return await put(table)

    world.router.put = freed
    turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(driver))
    assert driver.recorder.unwritten == []
    assert read_state(world.journal, "r1").closed


def test_after_a_rest_it_is_asked_again(world, driver, locked):
    turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
    locked.rollback()
    driver.record(ev.TrafficOff(0.0), must=False)
    assert driver.recorder.unwritten, "control: it rests"
    asyncio.run(world.clock.sleep(recorder.REST))
    driver.record(ev.TrafficOff(1.0), must=False)
    assert driver.recorder.unwritten == []


@pytest.mark.usefixtures("locked")
def test_control_a_step_forward_waits_for_it(driver):
    began = time.monotonic()
    with pytest.raises(GopubError, match="GP701"):
        driver.record(ev.StepPassed(0))
    assert time.monotonic() - began > PATIENCE / 2


@pytest.mark.usefixtures("locked")
def test_a_renewal_of_the_lease_does_not_wait_long(driver, monkeypatch):
    monkeypatch.setattr(lease, "QUICK", HURRY)
    began = time.monotonic()
    with pytest.raises(GopubError, match="GP701"):
        driver.renew_lease()
    assert time.monotonic() - began < PATIENCE / 2


def test_who_goes_on_going_back_is_in_a_hurry_too(world, driver, tmp_path):
    turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
    opened = open_journal(str(tmp_path / "journal.db"), world.clock, patience=PATIENCE)
    again = world.driver(opened)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        again.record(ev.TrafficOff(0.0), must=False)
        assert time.monotonic() - began < PATIENCE / 2
