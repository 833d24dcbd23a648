"""A signal breaks into a write of the journal: the entry may be there, and the driver that goes back must know it.

Prefect raises an exception at whatever line runs when a worker ends a flow run. Between the commit and the line after
it the driver took its own entry for somebody else's, and the canary stayed until the watchdog came.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from prefect.exceptions import TerminationSignal

from gopub.errors import GopubError, LockedError
from gopub.journal import events as ev
from gopub.journal.adopt import adopt
from gopub.journal.entry import Entry
from gopub.journal.late import found
from gopub.journal.state import fold
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome
from gopub.rollout import recorder
from gopub.rollout.back import go_back, withdraw
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from tests.support.rollout_world import World, chart, drive, in_memory, reach

REASON = "aborted: its flow run was cancelled"


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


class TornJournal(Journal):
    """Raises ``what`` before or after the commit of its ``at``-th write from now, once."""

    def __init__(self, journal: Journal, at: int, what: BaseException, *, after: bool) -> None:
        super().__init__(journal._engine, journal._clock)
        self.left, self._what, self._after = at, what, after

    def append_all(self, *args: Any, **kwargs: Any) -> list[int]:
        self.left -= 1
        if self.left == 0 and not self._after:
            raise self._what
        versions = super().append_all(*args, **kwargs)
        if self.left == 0:
            raise self._what
        return versions


def torn_run(world: World, at: int, what: BaseException, *, after: bool = True) -> Run:
    """A rollout that was begun, and whose ``at``-th write from here is torn."""
    journal = TornJournal(world.journal, 0, what, after=after)
    run = world.driver(journal)
    journal.left = at
    return run


async def cancelled(run: Run, what: type[BaseException]) -> bool:
    """The flow as it ends when somebody cancels it; whether the write was reached at all."""
    try:
        await chart(run, "good")
    except what:
        await withdraw(run, REASON)
        return True
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before the commit", "after the commit"])
def test_a_cancel_in_the_middle_of_any_write_goes_back_at_once(tmp_path, after):
    ended = []
    for at in range(1, 100):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = World(folder)
        run = torn_run(world, at, TerminationSignal(15), after=after)
        if not asyncio.run(cancelled(run, TerminationSignal)):
            break
        assert run.state.closed is not None
        ended.append(run.state.closed.outcome)
        promoted = run.state.closed.outcome is Outcome.PROMOTED
        assert set(world.running().values()) == {world.new if promoted else world.old}, at
        if world.env().active:  # torn between a rollout's end and its environment's: `recover` writes that
            drive(world, "good")
        assert world.env().active == ""
        world.journal.verify()
        kinds = [type(entry.event) for entry in world.journal.read(stream_of("r1"))]
        assert kinds.count(ev.Closed) == 1
    assert len(ended) > 20
    assert set(ended[:-2]) == {Outcome.WITHDRAWN}, "only what had ended, or was ending, stays as it was"


def test_control_without_a_look_its_own_entry_is_somebody_elses(tmp_path):
    run = torn_run(World(tmp_path), 3, TerminationSignal(15))
    with pytest.raises(TerminationSignal):
        asyncio.run(chart(run, "good"))
    run.recorder._tried.clear()  # as if nothing had been under way
    with pytest.raises(LockedError, match="GP704"):
        asyncio.run(withdraw(run, REASON))


def test_a_database_that_is_lost_after_its_commit_costs_no_rollout(tmp_path):
    world = World(tmp_path)
    run = torn_run(world, 3, GopubError("GP701", "the connection is lost"))
    asyncio.run(chart(run, "good"))  # a box that fails turns the rollout around
    assert run.state.closed and run.state.closed.outcome is Outcome.WITHDRAWN
    assert run.state.back and "GP701" in run.state.back.reason
    assert set(world.running().values()) == {world.old}


def test_who_watches_hears_of_an_entry_that_was_torn(tmp_path):
    run = torn_run(World(tmp_path), 3, TerminationSignal(15))
    heard: list[ev.Event] = []
    run.recorder.heard = heard.append
    with pytest.raises(TerminationSignal):
        asyncio.run(chart(run, "good"))
    asyncio.run(withdraw(run, REASON))
    written = [entry.event for entry in run.ports.journal.read(stream_of("r1"))]
    assert heard == written[-len(heard) :]


def test_a_driver_whose_seat_was_taken_meanwhile_takes_nothing_for_its_own(tmp_path):
    world = World(tmp_path)
    run = torn_run(world, 3, TerminationSignal(15), after=False)
    with pytest.raises(TerminationSignal):
        asyncio.run(chart(run, "good"))
    asyncio.run(chart(world.driver(), "good"))
    with pytest.raises(LockedError):
        asyncio.run(withdraw(run, REASON))
    assert set(world.running().values()) == {world.new}


def broken_in(at: int, work: Callable[[], None]) -> bool:
    """Do the work and raise a signal before the ``at``-th line of the recorder that it comes by; whether it did."""
    left = at

    def line(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        left -= event == "line"
        if event == "line" and left == 0:
            raise TerminationSignal(15)
        return line

    def called(frame: FrameType, _event: str, _arg: object) -> Any:
        return line if frame.f_code.co_filename == recorder.__file__ else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        work()
    except TerminationSignal:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_signal_at_any_line_of_a_write_leaves_a_driver_that_knows_what_is_written(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    asyncio.run(reach(run))
    for at in range(1, 200):
        held = ev.Held("ann", f"{at}", float(at), 1e9)
        broken = broken_in(at, lambda held=held: run.record(held))
        run.record(ev.Resumed("ann") if run.state.held else ev.SeatTaken(run.seat.epoch, "ann"))
        written = [entry.event for entry in world.journal.read(stream_of("r1"))]
        assert fold(written) == run.state, at
        assert written.count(held) <= 1, at
        if not broken:
            break
    assert at > 15, "each line of the way"


class LostAnswers(TornJournal):
    """Commits its ``at``-th write from now and loses the answer; the rollout's stream is not read ``deaf`` times."""

    def __init__(self, journal: Journal, at: int, *, deaf: int = 0) -> None:
        super().__init__(journal, at, GopubError("GP701", "the connection is lost"), after=True)
        self._deaf, self._lost = deaf, False

    def append_all(self, *args: Any, **kwargs: Any) -> list[int]:
        self._lost = self._lost or self.left == 1
        return super().append_all(*args, **kwargs)

    def read(self, stream: str) -> list[Entry]:
        if self._lost and self._deaf and stream == stream_of("r1"):
            self._deaf -= 1
            raise GopubError("GP701", "the connection is lost")
        return super().read(stream)


def answers_lost(path: Path, at: int, deaf: int) -> tuple[World, Run, LostAnswers, list[ev.Event]]:
    """A rollout that is judged bad and goes back, and what whoever watched it heard from then on.

    ``at`` counts from the entry that says that it goes back.
    """
    path.mkdir()
    world, heard = World(path), []
    journal = LostAnswers(world.journal, 0, deaf=deaf)
    run = world.driver(journal)
    asyncio.run(reach(run, 2))
    run.recorder.heard = heard.append
    journal.left = at
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(go_back(run))
    return world, run, journal, heard


@pytest.mark.parametrize("deaf", [0, 2], ids=["read at once", "read later"])
def test_an_answer_that_is_lost_stops_no_way_back(tmp_path, deaf):
    """Each write once is committed and its answer lost; what was written is known, and nothing is written twice."""
    for at in range(1, 100):
        world, run, journal, heard = answers_lost(tmp_path / str(at), at, deaf)
        if journal.left > 0:
            break
        assert run.state.closed is not None, at
        if deaf:  # what nobody could read until the end is told by whoever comes next
            adopt(world.journal, world.kits)
        else:
            assert run.recorder.unwritten == [], at
        assert set(world.running().values()) == {world.old}, at
        assert world.env().active == "", at
        written = [entry.event for entry in world.journal.read(stream_of("r1"))]
        assert fold(written) == run.state, at
        assert heard == written[-len(heard) :], at
        assert list(found(world.kits)) == [], at
        world.journal.verify()
    assert at > 12, "each write on the way back"
