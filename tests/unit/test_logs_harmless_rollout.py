"""A class of error lines on the canary alone, through a whole bake: it goes back, and marked as harmless it stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from gopub.health.logevents import Classes, Joiner, count, say_left
from gopub.health.samples import LogCounts
from gopub.health.sources import LogTarget
from gopub.plan.model import Outcome
from gopub.rollout.bake import bake
from gopub.rollout.judging import Judging
from gopub.rollout.run import Run
from gopub.usecases.mark_logs import mark_class
from tests.support.rollout_world import Killed, World, in_memory, reach
from tests.unit.test_bake_clock import Served, driver

QUIRK, OTHER = "template:ERROR probe of the old balancer", "template:ERROR order lost"
QUIRKS, LOST = ["ERROR probe of the old balancer"] * 6, ["ERROR order lost"] * 6
BAKE, DEADLINE = 60.0, 80.0


@dataclass
class Lines:
    """What each host says in each reading, classed and counted as the real sources do it; ``then`` runs before each."""

    said: Mapping[str, Sequence[str]]
    then: Callable[[int], None] = lambda _reading: None
    counted: dict[int, int] = field(default_factory=dict)
    """Lines of each reading of the canary that were not left out."""

    async def read(self, target: LogTarget, since: float) -> LogCounts:
        if target.past:
            return LogCounts(target.host, target.release, {}, 0, "")
        found, joiner, left = Classes(), Joiner(), 0
        lines = self.said.get(target.host, ())
        for line in lines:
            left += count(joiner.take(line, 6), found, target.harmless)
        left += count(joiner.end(), found, target.harmless)
        if target.host == "app1":
            self.counted[len(self.counted)] = len(lines) - left
            self.then(len(self.counted))
        return LogCounts(target.host, target.release, dict(found), len(lines), "", say_left(left), found.examples)


@pytest.fixture
def world(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    made = World(tmp_path)
    plan = made.plan()
    steps = (replace(plan.steps[0], bake=BAKE), *plan.steps[1:])
    made.plan = lambda: replace(plan, steps=steps, deadline=DEADLINE)
    return made


def baked(world: World, lines: Lines) -> Run:
    """The first step of a rollout, judged to its end."""

    async def first_step() -> Run:
        run = driver(world, Served(world.clock), 600.0)
        run.ports = replace(run.ports, logs=lines)
        await reach(run)
        with suppress(Killed):
            await bake(run, run.plan.steps[0], Judging(run))
        return run

    return asyncio.run(first_step())


def condemned(run: Run, name: str) -> bool:
    """Whether it went back because of a class, and blamed the release."""
    back = run.state.back
    return (
        back is not None
        and back.outcome is Outcome.ROLLED_BACK
        and f"{name.partition(':')[2]}" in back.reason
        and 0 not in run.state.passed
    )


def promoted(run: Run) -> bool:
    return 0 in run.state.passed and run.state.back is None and run.state.verdict.kind == "PROMOTE"


def mark(world: World, name: str) -> None:
    mark_class(world.journal, "hello", "lab", name, "it asks a path that is gone")


def test_a_class_on_the_canary_alone_goes_back(world):
    run = baked(world, Lines({"app1": QUIRKS}))
    assert condemned(run, QUIRK), run.state.back


def test_a_class_that_is_marked_as_harmless_is_promoted_and_what_was_left_out_is_said(world):
    mark(world, QUIRK)
    lines = Lines({"app1": QUIRKS})
    run = baked(world, lines)
    assert promoted(run), run.state.back
    assert set(lines.counted.values()) == {0}
    assert "6 error lines marked as harmless do not count" in str(run.state.verdict.record)


def test_beside_a_harmless_class_another_one_still_goes_back(world):
    mark(world, QUIRK)
    assert condemned(baked(world, Lines({"app1": [*QUIRKS, *LOST]})), OTHER)


@pytest.mark.parametrize(("name", "helps"), [(QUIRK, True), (OTHER, False)], ids=["of this class", "of another"])
def test_a_mark_in_the_midst_of_a_rollout_counts_from_the_next_look(world, name, helps):
    lines = Lines({"app1": QUIRKS}, then=lambda reading: mark(world, name) if reading == 2 else None)
    run = baked(world, lines)
    counted = [lines.counted[reading] for reading in sorted(lines.counted)]
    assert counted[:2] == [6, 6]
    assert set(counted[2:]) == ({0} if helps else {6})
    assert promoted(run) if helps else condemned(run, QUIRK)


def test_a_mark_that_is_taken_back_counts_no_longer(world):
    mark(world, QUIRK)

    def undo(reading: int) -> None:
        if reading == 2:
            mark_class(world.journal, "hello", "lab", QUIRK, "it loses orders after all", harmless=False)

    lines = Lines({"app1": QUIRKS}, then=undo)
    run = baked(world, lines)
    assert [lines.counted[reading] for reading in range(3)] == [0, 0, 6]
    assert condemned(run, QUIRK)
