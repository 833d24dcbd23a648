"""Hooks of a rollout: once, before or after, and taken back on the way back, whoever is killed in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.journal.hooks import HookIntended
from gopub.journal.kit import Kit, write_kit
from gopub.journal.store import Journal, open_journal
from gopub.plan.model import Outcome, Plan, ReleaseRef
from gopub.process import Result
from gopub.rollout import hooks, stage
from gopub.rollout.run import Run
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment
from gopub.usecases import rollback
from gopub.wiring import here
from gopub.wiring.here import here_in
from gopub.wiring.ports import Ports
from tests.support.rollout_world import NEW, OLD, Killed, MortalJournal, World, chart, drive, in_memory, reach

HOOKS = """
      before:
        - {name: expand, run: [hello, expand], undo: [hello, narrow]}
        - {name: fill, run: [hello, fill], undo: none}
      after:
        - {name: contract, run: [hello, contract], undo: [hello, widen]}
"""
OURS = "controller: {before: [{name: tell, run: [tell, begin], undo: [tell, back]}], after: []}"


def with_hooks(text: str) -> Environment:
    spec = (
        "app: hello\nenvironments:\n  lab:\n    inventory: hosts.ini\n    hosts: role=app\n"
        f"    health: http://127.0.0.1:8080/healthz\n    traffic: edge\n    compat:\n{text}"
    )
    return parse_spec(spec, "gopub.yaml").spec.environments["lab"]


class Hooked(World):
    """A release with hooks; what runs beside the driver is noted in ``beside``."""

    hooks = HOOKS

    def __init__(self, path: Path, stable: str = OLD) -> None:
        super().__init__(path, stable=stable)
        self.environment = with_hooks(self.hooks)
        self.beside: list[str] = []
        self.codes: dict[str, int] = {}

    async def here(self, words: Sequence[str], told: Mapping[str, str], within: float) -> Result:
        del within
        self.beside.append(" ".join((*words, told["GOPUB_VERSION"], told["GOPUB_STABLE"])))
        return Result(tuple(words), self.codes.get(words[-1], 0), b"", b"no such table")

    def ports(self, journal: Journal | None = None) -> Ports:
        return replace(super().ports(journal), here=self.here)

    def told(self) -> list[str]:
        """What ran on any host, in order, and the switches of app1."""
        lines = [(name, line) for name, machine in self.machines.items() for line in machine.history]
        return [f"{name} {line}" for name, line in lines if line.startswith("ran ")]


class Ours(Hooked):
    hooks = HOOKS + f"      {OURS}\n"


@pytest.fixture
def world(tmp_path, monkeypatch) -> Hooked:
    in_memory(monkeypatch)
    return Hooked(tmp_path)


def ended(run: Run) -> Outcome:
    assert run.state.closed is not None
    return run.state.closed.outcome


def test_they_run_once_before_the_first_host_and_after_the_last_step(world):
    run = drive(world, "good")
    assert ended(run) is Outcome.PROMOTED
    assert world.told() == ["app1 ran hello expand", "app1 ran hello fill", "app1 ran hello contract"]
    history = world.machines["app1"].history
    assert history.index("ran hello fill") < history.index(f"switch {world.new}") < history.index("ran hello contract")
    assert [one.stands for one in run.state.hooks.values()] == ["done"] * 3


def test_on_the_way_back_what_can_be_taken_back_is_after_the_hosts_and_the_rest_is_told(world):
    run = drive(world, "bad")
    assert ended(run) is Outcome.ROLLED_BACK
    assert world.told() == ["app1 ran hello expand", "app1 ran hello fill", "app1 ran hello narrow"]
    history = world.machines["app1"].history
    assert history.index(f"rollback {world.old}") < history.index("ran hello narrow")
    assert [alarm for alarm in run.alarms if "hook" in alarm] == [
        "the hook fill is not taken back: nothing takes it back (`undo: none`)"
    ]


def test_a_hook_that_fails_touches_no_host_and_blames_no_release(world):
    world.machines["app1"].failing = frozenset({"fill"})
    run = drive(world, "good")
    assert ended(run) is Outcome.WITHDRAWN
    assert "the hook fill (before) failed: GP588" in run.state.closed.reason
    assert world.told()[-1] == "app1 ran hello narrow"
    assert set(world.running().values()) == {world.old}
    assert world.env().quarantine == frozenset()


def test_what_stable_cannot_live_with_is_taken_back_before_it_serves_again(world):
    world.machines["app1"].failing = frozenset({"contract"})
    run = drive(world, "good")
    assert ended(run) is Outcome.WITHDRAWN
    history = world.machines["app1"].history
    assert history.index("ran hello widen") < history.index(f"rollback {world.old}") < history.index("ran hello narrow")


def test_what_the_release_needs_is_not_taken_back_while_a_host_may_still_run_it(world, tmp_path):
    class Lost(Hooked):
        pass

    run = world.driver()
    asyncio.run(_to_the_first_step(run))
    world.machines["app1"].reachable = False
    run = drive(world, "bad")
    assert run.state.owed == ("app1",)
    assert any("the hook expand is not taken back: app1 may still run" in alarm for alarm in run.alarms)
    assert "app1 ran hello narrow" not in world.told()


async def _staged(run: Run) -> None:
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)


async def _to_the_first_step(run: Run) -> None:
    await _staged(run)
    await hooks.run_hooks(run, "before")
    await reach(run)


@pytest.mark.parametrize("after", [False, True], ids=["before it is kept", "after"])
@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_a_driver_killed_at_any_entry_runs_no_hook_twice(tmp_path, monkeypatch, verdict, after):
    """The host knows what ran; the journal knows what began."""
    in_memory(monkeypatch)
    count, died = _entries(tmp_path / "count", verdict), 0
    assert count > 15
    moments = range(2 + after, count + 1, 3)
    for at in moments:
        path = tmp_path / str(at)
        path.mkdir()
        world = Ours(path)
        try:
            drive(world, verdict, MortalJournal(world.journal, at, after=after))
        except Killed:
            died += 1
        if world.env().active:
            asyncio.run(chart(world.driver(), verdict))
        ran = world.told()
        assert len(ran) == len(set(ran)), (at, ran)
        _whole(world, ran)
    assert died > len(moments) * 0.8, "control: it has to die nearly every time"


def _whole(world: Hooked, ran: list[str]) -> None:
    """Promoted with all of them, or back with each that began taken back (or told)."""
    assert world.env().active == ""
    if set(world.running().values()) == {world.new}:
        assert [line.split()[-1] for line in ran] == ["expand", "fill", "contract"]
        assert world.beside == ["tell begin 2 1"]
        return
    assert set(world.running().values()) == {world.old}
    assert ("app1 ran hello expand" in ran) is ("app1 ran hello narrow" in ran), ran
    both = ["tell begin 2 1", "tell back 2 1"]
    assert world.beside in ([], both, both[:1], both[1:])


def _entries(path: Path, verdict: str) -> int:
    path.mkdir()
    world = Ours(path)
    drive(world, verdict)
    return len(world.journal.read("rollout/r1"))


def test_one_beside_the_driver_whose_end_nobody_saw_is_left_to_a_person(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = Ours(tmp_path)
    run = world.driver()

    async def dies(words: Sequence[str], told: Mapping[str, str], within: float) -> Result:
        raise Killed

    run.ports = replace(run.ports, here=dies)
    with pytest.raises(Killed):
        asyncio.run(chart(run, "good"))
    run = drive(world, "good")
    assert ended(run) is Outcome.WITHDRAWN
    assert run.state.closed.reason.startswith("GP589 the hook tell began and nobody saw its end")
    assert world.beside == ["tell back 2 1"], "its undo copes with half of its work"


def test_control_one_that_may_run_twice_is_run_again(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    monkeypatch.setattr(Ours, "hooks", Ours.hooks.replace("run: [tell, begin]", "run: [tell, begin], again: true"))
    world = Ours(tmp_path)
    run = world.driver()
    asyncio.run(_staged(run))
    run.record(HookIntended("tell", "before"))
    run = drive(world, "good")
    assert ended(run) is Outcome.PROMOTED
    assert world.beside == ["tell begin 2 1"]


class Promoted(Ours):
    """It is stable, and its kit lies here."""

    again = False
    """Whether the next plan is for the same release, in other files."""

    def plan(self) -> Plan:
        plan = super().plan()
        hosts = tuple(replace(host, before=self.new, before_digest="9" * 64) for host in plan.hosts)
        return replace(plan, rollout="r2", stable=ReleaseRef(NEW, "2"), hosts=hosts) if self.again else plan

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        run = drive(self, "good")
        known, hosts = (("1", OLD), ("2", NEW)), self.ports().hosts
        write_kit(self.kits, Kit(run.seat.epoch, run.plan, hosts, self.environment, (Host("edge1", "198.18.0.100"),),
                                 self.edges_known, known, fleet=self.way))  # fmt: skip
        self.journal.close()


@pytest.mark.parametrize("journal", [True, False], ids=["with the journal", "without"])
def test_a_rollback_after_the_promotion_takes_back_what_ran_where_the_journal_tells(tmp_path, monkeypatch, journal):
    in_memory(monkeypatch)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setattr(rollback, "LOCKED", 0.1)
    world = Promoted(tmp_path)
    before = len(world.told())
    if not journal:
        for left in tmp_path.glob("journal.db-*"):
            left.unlink()
        (tmp_path / "journal.db").write_text("the disk ate it\n" * 1000)
    result = asyncio.run(rollback.take_back("hello", "lab"))
    assert result["outcome"] == "rolled back"
    assert set(world.running().values()) == {world.old}
    taken_back = world.told()[before:]
    if journal:
        assert taken_back == ["app1 ran hello widen", "app1 ran hello narrow"]
        assert any("tell could not be taken back: GP591" in alarm for alarm in result["alarms"]), result["alarms"]
    else:
        assert taken_back == []
        assert any("whether tell, expand, fill, contract ran is not known here" in alarm for alarm in result["alarms"])


def test_a_command_of_the_project_runs_in_its_folder_with_what_is_told_and_little_else(tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    (tmp_path / "gopub.yaml").write_text("app: hello\n")
    words = ("sh", "-c", 'pwd; echo "$GOPUB_APP ${PGPASSWORD:-none}"; exit 3')
    result = asyncio.run(here_in(tmp_path)(words, {"GOPUB_APP": "hello"}, 30.0))
    assert (result.code, result.text) == (3, f"{tmp_path}\nhello none")


@pytest.mark.parametrize("place", ["folder", "file"])
def test_nothing_runs_of_a_folder_that_everybody_may_write_to(tmp_path, place):
    spec = tmp_path / "gopub.yaml"
    spec.write_text("app: hello\n")
    (tmp_path if place == "folder" else spec).chmod(0o777)
    with pytest.raises(GopubError) as caught:
        asyncio.run(here_in(tmp_path)(("touch", "ran"), {}, 30.0))
    assert caught.value.code == "GP592"
    assert not (tmp_path / "ran").exists()
    (tmp_path if place == "folder" else spec).chmod(0o755)
    asyncio.run(here_in(tmp_path)(("touch", "ran"), {}, 30.0))
    assert (tmp_path / "ran").exists(), "control: of the driver's own it runs"


def test_a_command_that_prints_without_end_is_bounded(tmp_path):
    (tmp_path / "gopub.yaml").write_text("app: hello\n")
    result = asyncio.run(here_in(tmp_path)(("sh", "-c", "yes | head -c 3000000"), {}, 60.0))
    assert len(result.out) <= here.MOST_SAID


@pytest.mark.parametrize("text", ["#!/bin/sh\necho not executable\n", "no format that a kernel knows\n"])
def test_a_command_that_the_kernel_does_not_start_is_a_hook_that_failed_and_the_rollout_ends(
    tmp_path, monkeypatch, text
):
    """Else the undo, which cannot be started either, would stop the way back before its hosts."""
    in_memory(monkeypatch)
    (tmp_path / "gopub.yaml").write_text("app: hello\n")
    script = tmp_path / "tell"
    script.write_text(text)
    script.chmod(0o644 if text.startswith("#!") else 0o755)
    monkeypatch.setattr(Ours, "hooks", Ours.hooks.replace("[tell,", "[./tell,"))
    world = Ours(tmp_path)
    run = world.driver()
    run.ports = replace(run.ports, here=here_in(tmp_path))
    asyncio.run(chart(run, "good"))
    assert ended(run) is Outcome.WITHDRAWN
    assert "GP901 cannot start './tell'" in run.state.closed.reason
    assert any("the hook tell could not be taken back: GP901" in alarm for alarm in run.alarms)
    assert world.env().active == ""


def test_an_undo_with_a_fault_of_ours_keeps_no_host_from_coming_back(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = Ours(tmp_path)
    run = world.driver()

    async def breaks(words: Sequence[str], told: Mapping[str, str], within: float) -> Result:
        if words[-1] == "back":
            raise RuntimeError("never seen")
        return Result(tuple(words), 0, b"", b"")

    run.ports = replace(run.ports, here=breaks)
    asyncio.run(chart(run, "bad"))
    assert ended(run) is Outcome.ROLLED_BACK
    assert set(world.running().values()) == {world.old}
    assert any("the hook tell could not be taken back: internal error" in alarm for alarm in run.alarms)


class Rendered(Ours):
    """The stable release, rendered anew; what ran before has other files on the hosts."""

    def plan(self) -> Plan:
        return replace(super().plan(), stable=ReleaseRef(NEW, "2"))


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_hooks_of_a_release_that_is_stable_already_are_neither_run_nor_taken_back(tmp_path, monkeypatch, verdict):
    """A config that makes a canary worse must not narrow the tables with which the same release serves everywhere."""
    in_memory(monkeypatch)
    world = Rendered(tmp_path, stable=NEW)
    run = drive(world, verdict)
    assert ended(run) is (Outcome.PROMOTED if verdict == "good" else Outcome.ROLLED_BACK)
    assert (world.told(), world.beside, run.state.hooks) == ([], [], {})


def test_a_rollback_takes_hooks_back_though_the_files_were_changed_since(tmp_path, monkeypatch):
    """The newest promotion ran none: the one that brought the release in tells what ran."""
    in_memory(monkeypatch)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setattr(rollback, "LOCKED", 0.1)
    world = Promoted(tmp_path)
    world.journal = open_journal(str(tmp_path / "journal.db"), world.clock)
    world.again = True
    run = world.driver(rollout="r2")
    asyncio.run(chart(run, "good"))
    assert ended(run) is Outcome.PROMOTED
    world.journal.close()
    before = len(world.told())
    result = asyncio.run(rollback.take_back("hello", "lab"))
    assert result["outcome"] == "rolled back"
    assert world.told()[before:] == ["app1 ran hello widen", "app1 ran hello narrow"]
