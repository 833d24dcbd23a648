"""Ctrl-C, SIGTERM and SIGHUP stop what this process does, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from prefect.utilities.engine import capture_sigterm

from gopub.cli import control, driving, engine
from gopub.cli.signals import NAMES
from gopub.cli.stopping import stop
from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.fleet.orders import Order, Record
from gopub.journal import events as ev
from gopub.journal.store import Journal
from gopub.process import base_environment, run
from gopub.traffic.protocol import EdgeAck
from gopub.traffic.table import RouteTable
from gopub.views.follow import Follower
from tests.support.doubles import MemoryHost, MemoryRouter
from tests.support.rollout_world import World, chart, in_memory
from tests.unit.test_rollback import Canary

ROOT = Path(__file__).parents[2]
COLLEAGUE = "colleague"


@pytest.fixture
def world(tmp_path, monkeypatch) -> Iterator[World]:
    in_memory(monkeypatch)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # none is started, and none is asked
    hung_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which gopub respects
    before = {number: signal.getsignal(number) for number in NAMES}
    yield World(tmp_path)
    after = {number: signal.getsignal(number) for number in NAMES}
    signal.signal(signal.SIGHUP, hung_up)
    assert after == before


def driven_by(world: World, who: str, monkeypatch):
    """Begun by a process of another user's."""
    with monkeypatch.context() as there:
        there.setattr("getpass.getuser", lambda: who)
        return world.driver()


def run_as_flow(monkeypatch, flow, how=driving.drive, **options):
    """Run it as the command runs a flow, one of the tests' own: with a loop, signals and all, without Prefect."""
    monkeypatch.setitem(sys.modules, "flows.of_the_tests", SimpleNamespace(of_the_tests=flow))
    with pytest.raises((GopubError, typer.Exit)) as caught:
        how("of_the_tests", "hello", "lab", {}, as_json=False, **options)
    return caught.value


async def ctrl_c(number: int = signal.SIGINT, heard: Callable[[], object] = bool) -> None:
    """Press it, and go on with one's work until that is ended or what was ``heard`` says so: far less than a minute."""
    os.kill(os.getpid(), number)
    end = time.monotonic() + 60
    while not heard() and time.monotonic() < end:  # noqa: ASYNC110 - another thread ends it
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", NAMES)
def test_ctrl_c_before_a_rollout_was_begun_begins_none(world, monkeypatch, capsys, number):
    async def build_then_roll_out():
        await ctrl_c(number)
        await chart(world.driver(), "good")

    error = run_as_flow(monkeypatch, build_then_roll_out)
    assert (error.code, int(error.exit)) == ("GP952", 130)
    assert "no rollout was begun here" in capsys.readouterr().err
    assert world.journal.streams("") == []
    assert set(world.running().values()) == {world.old}


@pytest.mark.usefixtures("world")
def test_a_flow_alone_that_was_stopped_says_so_and_claims_nothing(monkeypatch):
    """It does not know how far it had come: a demo stood on three of four hosts when it said that nothing was done."""

    async def flow() -> None:
        await ctrl_c()

    error = run_as_flow(monkeypatch, flow, how=lambda name, *_, **__: engine.run_flow(name, {}))
    assert str(error).startswith("GP952 the of_the_tests was stopped before its end")
    assert "nothing" not in str(error)


@pytest.mark.parametrize("when", ["before us", "after us"])
def test_ctrl_c_leaves_a_rollout_alone_that_somebody_else_drives(world, monkeypatch, when):
    theirs = [driven_by(world, COLLEAGUE, monkeypatch)] if when == "before us" else []

    async def wait_for_hosts():
        if not theirs:
            theirs.append(driven_by(world, COLLEAGUE, monkeypatch))
        await ctrl_c()
        raise GopubError("GP708", "rollout r1 is active")

    assert run_as_flow(monkeypatch, wait_for_hosts).code == "GP952"
    assert theirs[0].asked() == ()
    asyncio.run(chart(theirs[0], "good"))
    assert theirs[0].state.closed.outcome.value == "promoted"


@pytest.mark.parametrize("number", NAMES)
def test_ctrl_c_takes_back_what_this_process_rolls_out(world, monkeypatch, capsys, number):
    async def roll_out():
        run = world.driver()
        with capture_sigterm():  # as Prefect does around every flow
            await ctrl_c(number, run.asked)
        await chart(run, "good")
        return {"app": "hello", "env": "lab", "version": "2", "outcome": run.state.closed.outcome.value,
                "reason": run.state.closed.reason}  # fmt: skip

    assert run_as_flow(monkeypatch, roll_out).exit_code == 130
    said = capsys.readouterr()
    assert f"hello 2 in lab: withdrawn (aborted: {NAMES[number]})" in said.out
    assert "stopping safely: r1 goes back" in said.err
    assert set(world.running().values()) == {world.old}


def test_prefect_would_take_sigterm_from_the_main_thread():
    """The control: why flows run in a thread of their own."""
    mine = signal.getsignal(signal.SIGTERM)
    with capture_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not mine
    seen = []

    def elsewhere() -> None:
        with capture_sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [mine]


class Patient(MemoryRouter):
    """An edge that takes a table when it may."""

    def __init__(self, may: Callable[[], object]) -> None:
        super().__init__()
        self.may = may

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        while not self.may():
            await SystemClock().sleep(0.01)
        return await super().put(table)


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("when", ["staged", "switched", "reached", "going back"])
def test_sigterm_again_and_again_interrupts_no_way_back(world, monkeypatch, when, again):
    """A supervisor sends it to the process and to its group, whatever is being done: the way back goes to its end."""
    waits = {
        "staged": ev.HostStaged,
        "switched": ev.SwitchIntended,
        "reached": ev.StepReached,
        "going back": ev.GoingBack,
    }

    async def roll_out():
        sent: list[None] = []

        def heard() -> bool:
            """The main thread asks in its own time, and the world in memory may be quicker: so it waits at the end."""
            last = len(sent) == 3 or (sent and run.state.back)
            return bool(run.asked()) or not last

        world.router = Patient(heard)
        run = world.driver()
        record = run.record

        def recording(*events, must=True):
            record(*events, must=must)
            if isinstance(events[-1], waits[when]) and len(sent) < 3:
                sent.append(os.kill(os.getpid(), again if sent else signal.SIGTERM))

        run.record = recording
        with capture_sigterm():
            await chart(run, "bad")
        assert [one.what for one in run.asked()] == ["abort"]
        return {"app": "hello", "env": "lab", "version": "2", "outcome": run.state.closed.outcome.value, "reason": ""}

    assert run_as_flow(monkeypatch, roll_out).exit_code == 130
    assert set(world.running().values()) == {world.old}
    assert world.router.table.canary is None
    assert world.env().active == ""


class Interrupting(MemoryHost):
    """Signals come while it does what it was ordered to."""

    def answer(self, order: Order) -> Record:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        return super().answer(order)


def test_gopub_rollback_is_not_stopped_half_way(tmp_path, monkeypatch, capsys):
    in_memory(monkeypatch)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    world = Canary(tmp_path)
    world.machines = {name: Interrupting(**vars(machine)) for name, machine in world.machines.items()}
    assert world.running()["app1"] == world.new
    with pytest.raises(typer.Exit) as ended:
        control.rollback("hello", "lab")
    assert (set(world.running().values()), ended.value.exit_code) == ({world.old}, 0)
    assert capsys.readouterr().err.count("going back is not stopped half-way") == 1


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    """In a process of its own: the first signal is heeded, Ctrl-C after it kills; SIGTERM after it does not."""
    script = """
import os, signal, sys
from gopub.cli.signals import heeded
with heeded(lambda why: print(why, flush=True)):
    for name in sys.argv[1:]:
        os.kill(os.getpid(), getattr(signal, name))
print("whole")
"""
    ends = {}
    for second in ("SIGTERM", "SIGHUP", "SIGINT"):
        argv = [sys.executable, "-c", script, "SIGTERM", second]
        result = asyncio.run(
            run(argv, cwd=tmp_path, env=base_environment(extra={"PYTHONPATH": str(ROOT)}), check=False)
        )
        ends[second] = (result.code, result.text.split())
    assert ends["SIGTERM"] == ends["SIGHUP"] == (0, ["SIGTERM", "whole"])
    assert ends["SIGINT"] == (-signal.SIGINT, ["SIGTERM"])


def test_ctrl_c_asks_nothing_of_whoever_took_the_seat_from_us(world, monkeypatch):
    follower = Follower(world.journal, "hello", "lab", lambda _entry: None)
    world.driver()
    assert follower.ours().rollout == "r1"
    driven_by(world, COLLEAGUE, monkeypatch)
    assert follower.ours() is None


class Away(Journal):
    """A journal that does not answer for its first ``times`` reads."""

    def __init__(self, journal: Journal, times: int) -> None:
        super().__init__(journal._engine, journal._clock)
        self.times = times

    def read(self, stream):
        if self.times:
            self.times -= 1
            raise GopubError("GP701", "the journal cannot be read: disk I/O error")
        return super().read(stream)


def test_ctrl_c_while_the_journal_is_away_is_heard_when_it_is_back(world):
    said: list[str] = []
    follower = Follower(world.journal, "hello", "lab", lambda _entry: None)
    run = world.driver()
    follower._journal = Away(world.journal, 2)
    asyncio.run(stop(world.journal, follower, lambda: said.append("cancelled"), said.append))
    assert [line.partition(":")[0] for line in said] == ["cannot stop yet, asking again", "stopping safely"]
    assert [one.what for one in run.asked()] == ["abort"]


def test_a_flow_that_begins_a_rollout_although_it_was_cancelled_takes_it_back(world):
    follower = Follower(world.journal, "hello", "lab", lambda _entry: None)
    runs = []
    asyncio.run(stop(world.journal, follower, lambda: runs.append(world.driver()), lambda _text: None))
    assert [one.what for one in runs[0].asked()] == ["abort"]
