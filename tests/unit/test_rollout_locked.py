"""A journal that somebody holds delays neither edges nor hosts on the way back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

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
from tests.support.pace import in_one_of
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
    return driver_of(world, tmp_path)


def driver_of(world: World, folder: Path) -> Run:
    opened = open_journal(str(folder / "journal.db"), world.clock, patience=PATIENCE)
    made = world.driver(Slow(opened._engine, world.clock, patience=PATIENCE))
    asyncio.run(reach(made))
    return made


@contextmanager
def somebody(folder: Path) -> Iterator[sqlite3.Connection]:
    """Holds the journal within."""
    with closing(sqlite3.connect(folder / "journal.db")) as held:
        held.execute("BEGIN EXCLUSIVE")
        yield held


@pytest.fixture
def locked(driver, tmp_path) -> Iterator[sqlite3.Connection]:
    """Somebody holds it from here on."""
    with somebody(tmp_path) as held:
        yield held


@pytest.fixture
def quickly(tmp_path) -> Callable[[Callable[[World, Run], None]], None]:
    """Tell a story whose seconds count, each try in a world of its own, where somebody holds the journal."""

    def tell(story: Callable[[World, Run], None]) -> None:
        def attempt(number: int) -> None:
            folder = tmp_path / str(number)
            folder.mkdir()
            world = World(folder)
            driver = driver_of(world, folder)
            with somebody(folder):
                story(world, driver)

        in_one_of(4, attempt)

    return tell


def test_the_edges_come_first(quickly):
    """The step that fails waits as long as a driver may; from then on nobody waits."""

    def story(world: World, driver: Run) -> None:
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

    quickly(story)


def test_the_whole_way_back_does_not_wait_for_it_at_each_entry(quickly):
    def story(world: World, driver: Run) -> None:
        turn_around(driver, Outcome.ROLLED_BACK, 3, "errors")
        began = time.monotonic()
        asyncio.run(back.go_back(driver))
        assert time.monotonic() - began < PATIENCE
        assert set(world.running().values()) == {world.old}
        assert world.router.table.canary is None
        assert any("journal down" in alarm for alarm in driver.alarms)
        assert driver.ports.journal.failures <= 4, "it is left alone for a while"

    quickly(story)


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


def test_a_renewal_of_the_lease_does_not_wait_long(quickly, monkeypatch):
    monkeypatch.setattr(lease, "QUICK", HURRY)

    def story(_world: World, driver: Run) -> None:
        began = time.monotonic()
        with pytest.raises(GopubError, match="GP701"):
            driver.renew_lease()
        assert time.monotonic() - began < PATIENCE / 2

    quickly(story)


def test_who_goes_on_going_back_is_in_a_hurry_too(tmp_path):
    def attempt(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(folder)
        turn_around(driver_of(world, folder), Outcome.ROLLED_BACK, 3, "errors")
        again = world.driver(open_journal(str(folder / "journal.db"), world.clock, patience=PATIENCE))
        with somebody(folder):
            began = time.monotonic()
            again.record(ev.TrafficOff(0.0), must=False)
            assert time.monotonic() - began < PATIENCE / 2

    in_one_of(4, attempt)
