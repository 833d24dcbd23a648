"""What people ask of a driver is written for the step that they mean, however many ask at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gopub.errors import LockedError
from gopub.journal import events as ev
from gopub.journal.store import Journal
from gopub.plan.model import Plan
from gopub.usecases.ask import TRIES, ask, ask_promote
from tests.support.rollout_world import World, in_memory, reach


class Gated(World):
    """Both steps need an approval, the first one a window as well."""

    def plan(self) -> Plan:
        plan = super().plan()
        return replace(plan, steps=tuple(replace(step, approve="trade-oncall") for step in plan.steps))


class Interrupted(Journal):
    """Somebody else asks between our look and our own entry, ``times`` times."""

    def __init__(self, journal: Journal, times: int) -> None:
        super().__init__(journal._engine, journal._clock)
        self.other, self.times = journal, times

    def append(self, stream, *args, **options):
        if self.times:
            self.times -= 1
            ask(self.other, "r1", "abort", "somebody else")
        return super().append(stream, *args, **options)


@pytest.fixture(autouse=True)
def _memory(monkeypatch):
    in_memory(monkeypatch)


def test_who_asks_while_others_ask_is_heard_as_well(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    ask(Interrupted(world.journal, TRIES - 1), "r1", "abort", "me")
    assert [asked.reason for asked in run.asked()] == ["somebody else"] * (TRIES - 1) + ["me"]
    with pytest.raises(LockedError, match="GP704"):
        ask(Interrupted(world.journal, TRIES), "r1", "abort", "never")


def test_promote_means_the_first_step_before_its_driver_wrote_that_it_waits(tmp_path):
    world = Gated(tmp_path)
    run = world.driver()  # planned; it dies before it writes Waiting
    ask_promote(world.journal, "r1", "go", world.clock)
    assert [asked.what for asked in run.asked()] == ["promote:0"]


def test_promote_means_the_first_step_while_it_waits_and_the_second_one_while_the_first_bakes(tmp_path):
    world = Gated(tmp_path)
    run = world.driver()
    run.record(ev.Waiting(0, "step 1 waits for the approval of trade-oncall"))
    ask_promote(world.journal, "r1", "go", world.clock)
    run.record(ev.Woken(0, "its time has come"))
    asyncio.run(reach(run))
    ask_promote(world.journal, "r1", "and on", world.clock)
    assert [asked.what for asked in run.asked()] == ["promote:0", "promote:1"]


def test_promote_while_the_first_step_waits_for_its_window_promotes_no_other_step(tmp_path):
    world = World(tmp_path)
    before = world.plan
    world.plan = lambda: replace(before(), windows=("02:00-02:01 UTC",))
    run = world.driver()
    ask_promote(world.journal, "r1", "go", world.clock)
    assert [asked.what for asked in run.asked()] == ["promote:0"]


def test_promote_with_open_gates_means_the_step_after_the_one_that_begins(tmp_path):
    world = World(tmp_path)
    run = world.driver()
    ask_promote(world.journal, "r1", "go", world.clock)
    assert [asked.what for asked in run.asked()] == ["promote:1"]
