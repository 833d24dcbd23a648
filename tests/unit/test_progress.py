"""A release is never silent: stages begin and end with a line, and what takes long is named again."""

from __future__ import annotations

import ast
import asyncio
import logging
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gopub.cli.lines import awaited
from gopub.clock import SILENT
from gopub.release.progress import Progress, say_took

BOXES = Path(__file__).parents[2] / "tasks" / "release.py"


class Hand:
    """A clock moved by hand: who sleeps wakes in order, at its time."""

    def __init__(self) -> None:
        self.time, self.sleepers = 0.0, []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.time + seconds, wake))
        await wake

    async def pass_by(self, seconds: float) -> None:
        end = self.time + seconds
        await settle()
        while due := [one for one in self.sleepers if one[0] <= end]:
            at, wake = min(due, key=lambda one: one[0])
            self.sleepers.remove((at, wake))
            self.time = max(self.time, at)
            if not wake.done():
                wake.set_result(None)
            await settle()
        self.time = end


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Told:
    """Lines with the second at which each was said."""

    def __init__(self) -> None:
        self.clock = Hand()
        self.lines: list[tuple[float, str]] = []
        self.progress = Progress(lambda text: self.lines.append((self.clock.now(), text)), self.clock)


async def test_a_stage_begins_with_a_line_and_ends_with_its_time() -> None:
    told = Told()
    async with told.progress.stage("checking the modules"):
        assert told.lines == [(0.0, "checking the modules …")]
        await told.clock.pass_by(3.21)
    assert told.lines[1:] == [(3.21, "checking the modules: done after 3.2s")]


async def test_what_takes_long_is_named_every_ten_seconds_for_all_that_goes_on() -> None:
    told = Told()
    async with told.progress.stage("compiling linux/amd64"):
        await told.clock.pass_by(4)
        async with told.progress.stage("compiling linux/arm64"):
            await told.clock.pass_by(25)
        await told.clock.pass_by(9)
    assert told.lines == [
        (0.0, "compiling linux/amd64 …"),
        (4.0, "compiling linux/arm64 …"),
        (14.0, "still compiling linux/amd64, 14s; compiling linux/arm64, 10s"),
        (24.0, "still compiling linux/amd64, 24s; compiling linux/arm64, 20s"),
        (29.0, "compiling linux/arm64: done after 25s"),
        (38.0, "compiling linux/amd64: done after 38s"),
    ]
    times = [at for at, _ in told.lines]
    assert max(later - at for at, later in pairwise(times)) <= SILENT


async def test_a_brief_stage_is_told_only_where_it_was_not_brief() -> None:
    told = Told()
    async with told.progress.stage("looking in the store", brief=True):
        await told.clock.pass_by(9)
    assert told.lines == []
    told = Told()
    async with told.progress.stage("looking in the store", brief=True):
        await told.clock.pass_by(12)
    assert told.lines == [
        (10.0, "still looking in the store, 10s"),
        (12.0, "looking in the store: done after 12s"),
    ]


@pytest.mark.parametrize(("raised", "word"), [(ValueError("no"), "failed"), (asyncio.CancelledError(), "stopped")])
async def test_how_it_ended_is_told_and_what_was_raised_goes_on(raised: BaseException, word: str) -> None:
    told = Told()
    with pytest.raises(type(raised)):
        async with told.progress.stage("signing"):
            raise raised
    assert told.lines[-1] == (0.0, f"signing: {word} after 0s")
    await told.clock.pass_by(60)
    assert len(told.lines) == 2  # nothing goes on any more


def test_times_have_no_more_digits_than_anybody_wants() -> None:
    assert [say_took(x) for x in (0.04, 3.21, 9.96, 20.4, 125.2)] == ["0s", "3.2s", "10s", "20s", "2m5s"]


def test_every_box_of_a_release_says_what_it_does() -> None:
    tree = ast.parse(BOXES.read_text("utf-8"))
    boxes = {
        node.name: ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef) and any("box(" in ast.unparse(one) for one in node.decorator_list)
    }
    assert len(boxes) > 8
    assert {name for name, text in boxes.items() if "_told.stage(" not in text} == set()


class Kept(logging.Handler):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def kept() -> Iterator[list[str]]:
    """What releases say from here on, whatever else is set up to listen in this process."""
    handler, logger = Kept(), logging.getLogger("gopub.release")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_whoever_waits_before_anybody_can_speak_is_told_so(kept: list[str]) -> None:
    passed, said = [], threading.Event()

    def wait(over: threading.Event, seconds: float) -> bool:
        passed.append(seconds)
        if len(passed) <= 2:
            return False
        said.set()
        return over.wait()

    with awaited("starting the engine", wait):
        assert said.wait(30)
    assert kept == ["still starting the engine, 10s", "still starting the engine, 20s"]
    assert passed[:2] == [SILENT, SILENT]
