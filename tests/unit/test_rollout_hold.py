"""A hold stops growth, never the way back: in every box, across drivers, until it is resumed or withdrawn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gopub.clock import ManualClock
from gopub.errors import RefusedError, UsageError
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.state import fold, to_stage
from gopub.journal.streams import stream_of
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome, Plan
from gopub.rollout import back, settle, stage, switch, wait
from gopub.rollout import bake as baking
from gopub.rollout import reach as reach_box
from gopub.rollout.close import close
from gopub.rollout.judging import judging
from gopub.rollout.run import Run
from gopub.usecases.ask import ask, ask_hold, ask_promote, ask_resume, standing_hold
from gopub.usecases.recover import orphans, ready
from gopub.views.events import tell
from tests.support.rollout_world import World, in_memory, reach

ANN = "ann@desk:1"


class Clock(ManualClock):
    """Does what is planned for a moment when somebody sleeps past it."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[tuple[float, Callable[[], object]]] = []

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        self.plans.append((self.now() + seconds, what))

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        due = [one for one in self.plans if one[0] <= self.now()]
        self.plans = [one for one in self.plans if one not in due]
        for _, what in due:
            what()


class Desk(World):
    """Long bakes, a clock with plans, hosts whose process can turn bad."""

    clock: Clock

    def __init__(self, path, windows: tuple[str, ...] = ()) -> None:
        super().__init__(path)
        self.clock = Clock()
        self.journal._clock = self.clock
        self.windows = windows

    def turn_bad(self) -> None:
        """The release that runs on the canary no longer answers."""
        for machine in self.machines.values():
            machine.bad = frozenset({self.new})

    def plan(self) -> Plan:
        plan = super().plan()
        steps = tuple(replace(step, bake=30.0) for step in plan.steps)
        return replace(plan, steps=steps, deadline=600.0, windows=self.windows)

    def hold(self) -> None:
        ask_hold(self.journal, "r1", "the exchange opens", actor=ANN, clock=self.clock)

    def resume(self) -> None:
        ask_resume(self.journal, "r1", "quiet again", actor=ANN, clock=self.clock)

    def state(self):
        return read_state(self.journal, "r1")

    def tables(self) -> list[ev.TableIntended]:
        found = [entry.event for entry in self.journal.read(stream_of("r1"))]
        return [event for event in found if isinstance(event, ev.TableIntended)]


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Desk:
    in_memory(monkeypatch)
    return Desk(tmp_path)


async def chart(run: Run) -> None:
    """The chart of flows/rollout.py."""
    await reach_box.take_over(run)
    if await wait.must_wait(run):
        return
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)
    for step in run.plan.steps:
        if run.state.back:
            break
        for batch in switch.switch_batches(run, step):
            await switch.switch(run, step, batch)
        await reach_box.reach(run, step)
        await baking.bake(run, step, judging(run))
    await settle.settle(run)
    if run.state.phase is Phase.SETTLING:
        close(run, Outcome.PROMOTED, "")
    await back.go_back(run)


def drive(desk: Desk) -> Run:
    run = desk.driver()
    asyncio.run(chart(run))
    return run


def test_without_a_hold_it_is_promoted_before_the_hold_would_end(desk):
    """The control of all that follows."""
    begun = desk.clock.now()
    assert drive(desk).state.closed.outcome is Outcome.PROMOTED
    assert desk.clock.now() - begun < 200


def test_a_held_bake_is_not_passed_and_goes_on_when_it_is_resumed(desk):
    seen = []
    desk.clock.after(5, desk.hold)
    desk.clock.after(300, lambda: seen.append((desk.state().passed, desk.state().held)))
    desk.clock.after(301, desk.resume)
    run = drive(desk)
    [(passed, held)] = seen
    assert (passed, held.by, held.reason) == (frozenset(), ANN, "the exchange opens")
    assert run.state.closed.outcome is Outcome.PROMOTED
    told = [tell(entry.event) for entry in desk.journal.read(stream_of("r1"))]
    assert any(text and text.startswith(f"held by {ANN}: the exchange opens; goes back at 2023") for text in told)
    assert f"resumed by {ANN}: quiet again" in told
    verdicts = [e.event for e in desk.journal.read(stream_of("r1")) if isinstance(e.event, ev.Judged)]
    held_ones = [one for one in verdicts if f"held by {ANN} since 2023-11-14" in one.reason]
    assert {one.kind for one in held_ones} == {"HOLD"}


def test_a_hold_never_stops_the_way_back(desk):
    desk.clock.after(5, desk.hold)
    desk.clock.after(60, desk.turn_bad)
    run = drive(desk)
    assert (run.state.closed.outcome, run.state.back.rule) == (Outcome.ROLLED_BACK, 1)
    assert desk.clock.now() < 1_700_000_000 + 100
    assert set(desk.running().values()) == {desk.old}


def test_an_abort_is_obeyed_while_it_is_held(desk):
    desk.clock.after(5, desk.hold)
    desk.clock.after(60, lambda: ask(desk.journal, "r1", "abort", "enough", clock=desk.clock))
    assert drive(desk).state.closed.reason == "aborted: enough"


def test_a_held_rollout_is_withdrawn_at_the_deadline(desk):
    desk.clock.after(5, desk.hold)
    run = drive(desk)
    assert run.state.closed.outcome is Outcome.WITHDRAWN
    assert "the deadline is over" in run.state.closed.reason
    assert ANN in run.state.closed.reason
    assert 600 <= desk.clock.now() - 1_700_000_000 < 700
    assert run.state.release not in desk.env().quarantine


BOXES = {"stage": ev.StageIntended, "switch": ev.SwitchIntended, "shift": ev.StepReached, "settle": ev.Settling}


@pytest.mark.parametrize("box", list(BOXES))
def test_no_box_goes_forward_while_it_is_held(desk, box):
    """Held at the moment before the box; what it would write is not written before somebody resumes."""
    run = desk.driver()
    first = {"stage": (), "switch": (ev.HostStaged,), "shift": (ev.HostSwitched,), "settle": (ev.StepPassed,)}[box]
    record = run.record

    def recording(*events, must=True):
        record(*events, must=must)
        if first and isinstance(events[-1], first) and not hold_asked(desk) and _due(box, run):
            desk.hold()
            desk.clock.after(100, desk.resume)

    run.record = run.recorder.record = recording
    if not first:
        desk.hold()
        run.recorder.state = replace(run.state, touched=True)  # past the gate of what waits without a driver
        desk.clock.after(100, desk.resume)
    asyncio.run(chart(run))
    entries = desk.journal.read(stream_of("r1"))
    kinds = [type(entry.event) for entry in entries]
    held, resumed = kinds.index(ev.Held), kinds.index(ev.Resumed)
    assert entries[resumed].at - entries[held].at >= 99
    assert set(kinds[held:resumed]) <= {ev.Held, ev.Judged}
    assert BOXES[box] in kinds[resumed:]
    assert run.state.closed.outcome is Outcome.PROMOTED


def hold_asked(desk: Desk) -> bool:
    return standing_hold(desk.journal, "r1") is not None or any(
        entry.event.what == "resume" for entry in desk.journal.read("asked/r1")
    )


def _due(box: str, run: Run) -> bool:
    """The last event before the box: all staged, the last step passed."""
    return not (box == "switch" and to_stage(run.state)) and not (box == "settle" and run.state.step)


def test_recover_goes_on_with_a_held_rollout_and_only_guards_it(desk):
    run = desk.driver()
    asyncio.run(reach(run))
    desk.hold()
    del run  # killed in the bake of the first step, before it saw the hold
    assert [one.rollout for one in orphans(desk.journal)] == ["r1"]
    seen = []
    desk.clock.after(199, lambda: seen.append((desk.state().passed, desk.router.table.weight)))
    desk.clock.after(200, desk.resume)
    assert drive(desk).state.closed.outcome is Outcome.PROMOTED
    assert seen == [(frozenset(), 2500)]


def test_promote_is_refused_while_it_is_held(desk):
    desk.driver()
    desk.hold()
    with pytest.raises(RefusedError, match=f"GP745 rollout r1 is held by {ANN} since 2023-11-14 .*: the ex"):
        ask_promote(desk.journal, "r1", "now", desk.clock)
    desk.resume()
    ask_promote(desk.journal, "r1", "now", desk.clock)


def test_one_that_touched_nothing_waits_without_a_driver_and_is_withdrawn_at_the_deadline(desk):
    run = desk.driver()
    desk.hold()
    asyncio.run(chart(run))
    assert run.state.waiting.startswith(f"held by {ANN}")
    assert not run.state.touched
    assert ready(desk.journal, desk.clock.now()) == []
    at_the_end = desk.clock.now() + 601
    assert [one.rollout for one in ready(desk.journal, at_the_end)] == ["r1"]
    desk.clock._now = at_the_end
    assert drive(desk).state.closed.outcome is Outcome.WITHDRAWN


def test_one_that_touched_nothing_is_woken_when_it_is_resumed(desk):
    run = desk.driver()
    desk.hold()
    asyncio.run(chart(run))
    desk.resume()
    assert [one.rollout for one in ready(desk.journal, desk.clock.now())] == ["r1"]
    assert drive(desk).state.closed.outcome is Outcome.PROMOTED


def test_the_first_hold_stands_and_only_it_is_ended(desk):
    desk.driver()
    desk.hold()
    stands = ask_hold(desk.journal, "r1", "mine", actor="bob", run="run-1", clock=desk.clock)
    assert (stands.actor, stands.run) == (ANN, "")
    assert len(desk.journal.read("asked/r1")) == 1
    desk.resume()
    with pytest.raises(UsageError, match="GP746 rollout r1 is not held"):
        desk.resume()


def test_nothing_is_held_that_is_over_or_goes_back(desk):
    drive(desk)
    with pytest.raises(UsageError, match=r"GP943 rollout r1 is over \(promoted\)"):
        desk.hold()


def test_journals_of_the_version_before_fold_as_ever():
    old = ev.decode("Asked", {"what": "abort", "reason": "x", "actor": "ann"})
    seat = ev.decode("SeatTaken", {"epoch": 1, "driver": "ann", "why": "start"})
    assert (old.at, old.run, seat.run) == (0.0, "", "")
    assert fold([ev.Opened("r1", "a", "e", "b" * 64, "1"), seat]).held is None
