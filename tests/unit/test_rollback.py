"""`gopub rollback` with a journal or a host that is in the way, and what the journal makes of it afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.fleet.orders import Order, Record
from gopub.journal import events as ev
from gopub.journal.adopt import adopt, spools
from gopub.journal.kit import Kit, read_kit, write_kit
from gopub.journal.reading import read_state
from gopub.journal.seat import Seat
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream
from gopub.plan.model import Outcome, Plan
from gopub.rollout import bake as bake_box
from gopub.rollout import reach, stage, switch
from gopub.rollout.back import go_back
from gopub.rollout.judging import judging
from gopub.rollout.run import Run
from gopub.rollout.seat import start
from gopub.rollout.wish import Wish
from gopub.usecases import rollback
from gopub.usecases.audit import judged, memories
from gopub.usecases.recover import active
from gopub.wiring import settings
from gopub.wiring.backends import BACKENDS
from tests.support.doubles import MemoryHost
from tests.support.rollout_world import NEW, OLD, World, chart, in_memory

PROJECT = "/srv/hello"


class Canary(World):
    """app1 is the canary and has its share of the traffic; its driver is gone."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.project = PROJECT
        run = self.driver()
        asyncio.run(_first_step(run))
        hosts, edges = self.ports().hosts, (Host("edge1", "198.18.0.100"),)
        kit = Kit(run.seat.epoch, run.plan, hosts, self.environment, edges, self.edges_known, (("1", OLD), ("2", NEW)),
                  fleet=self.way)  # fmt: skip
        write_kit(self.kits, kit)
        self.journal.close()


class Fatal(MemoryHost):
    """Whoever orders it anything is killed."""

    def answer(self, order: Order) -> Record:
        raise KeyboardInterrupt


async def _first_step(run: Run) -> None:
    first = run.plan.steps[0]
    for batch in stage.stage_batches(run):
        await stage.stage(run, batch)
    for batch in switch.switch_batches(run, first):
        await switch.switch(run, first, batch)
    await reach.reach(run, first)


@pytest.fixture
def world(tmp_path, monkeypatch) -> Canary:
    in_memory(monkeypatch)
    made = Canary(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setattr(rollback, "LOCKED", 0.1)
    assert made.running()["app1"] == made.new
    return made


def back(world: World, **options: str) -> dict:
    """The command, and that it did its work."""
    result = asyncio.run(rollback.take_back("hello", "lab", **options))
    assert set(world.running().values()) == {world.old}
    assert world.router.table is not None and world.router.table.canary is None
    assert (result["outcome"], result["owed"]) == ("rolled back", [])
    return result


def damage(journal: Path, statement: str) -> None:
    with closing(sqlite3.connect(journal)) as db:
        db.execute(statement)
        db.commit()


def garbage(journal: Path) -> None:
    for left in journal.parent.glob("journal.db-*"):
        left.unlink()
    journal.write_text("the disk ate it\n" * 1000)


@pytest.mark.parametrize(
    "harm",
    [
        garbage,
        lambda journal: damage(journal, "UPDATE journal SET data = '{\"app\": '"),
        lambda journal: damage(journal, "UPDATE journal SET type = 'Nonsense' WHERE stream LIKE 'env/%'"),
        lambda journal: damage(journal, "UPDATE journal SET type = 'Settling', data = '{}' WHERE type = 'Admitted'"),
        lambda journal: damage(
            journal, "UPDATE journal SET data = replace(data, 'app1', 'x') WHERE type = 'HostStaged'"
        ),
        lambda journal: damage(journal, "DROP TABLE seats"),
        lambda journal: damage(journal, "UPDATE gopub_schema SET version_num = 'of the future'"),
    ],
    ids=[
        "no database",
        "cut off",
        "unknown event",
        "what cannot follow",
        "unknown host",
        "a table is gone",
        "made by a later gopub",
    ],
)
def test_a_damaged_journal_does_not_keep_a_canary_in_traffic(world: Canary, tmp_path: Path, harm: Callable):
    harm(tmp_path / "journal.db")
    (alarm,) = back(world)["alarms"]
    assert alarm.startswith("the journal is down (")
    assert len(spools(world.kits)) == 1


def test_a_journal_that_somebody_holds_locked_is_told_later(world: Canary, tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        (alarm,) = back(world)["alarms"]
        assert "locked" in alarm
        somebody.rollback()
    journal = settings.journal()
    assert adopt(journal, world.kits) == 1
    assert world.env().active == ""
    assert _outcome(journal) is Outcome.ROLLED_BACK
    assert world.env().quarantine == {NEW}, "the canary was the bad one, though most hosts ran the other"


class Enrolled(Canary):
    """The same, on hosts that remember the journal."""

    enrolled = True


@pytest.mark.parametrize("telling", [False, True], ids=["of a spool nothing is told", "control: it is"])
def test_a_rollback_beside_the_journal_is_no_history_that_was_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, telling: bool
) -> None:
    in_memory(monkeypatch)
    world = Enrolled(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setattr(rollback, "LOCKED", 0.1)
    if telling:
        monkeypatch.setattr(rollback, "UNTOLD", False)
    remembered = len(world.machines["app1"].memory)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        back(world)
        somebody.rollback()
    assert (len(world.machines["app1"].memory) > remembered) is telling
    journal = settings.journal()
    assert adopt(journal, world.kits) == 1
    found = judged(journal, asyncio.run(memories(world.ports(), "hello", "lab")))
    assert bool(found.failed) is telling, found.lines()
    journal.close()


def test_control_a_journal_in_order_is_written_itself(world: Canary):
    assert back(world)["alarms"] == []
    assert spools(world.kits) == []
    assert (world.env().active, _outcome(world.journal)) == ("", Outcome.ROLLED_BACK)


def test_what_refuses_a_rollback_is_no_reason_to_go_without_the_journal(world: Canary):
    with pytest.raises(GopubError, match="GP726"):
        back(world, to="1")
    assert spools(world.kits) == []


def promoted(world: Canary, *late: str) -> None:
    """The new release is stable everywhere; the late hosts never had the old one."""
    asyncio.run(chart(world.driver(), "good"))
    for name in late:
        del world.machines[name].folders[world.old]
    assert set(world.running().values()) == {world.new}


def test_a_host_that_came_late_does_not_keep_the_others_from_going_back(world: Canary):
    promoted(world, "app4")
    result = asyncio.run(rollback.take_back("hello", "lab"))
    assert (result["outcome"], result["owed"]) == ("rolled back", ["app4"])
    (alarm,) = result["alarms"]
    assert alarm == "app4 is owed: it does not hold 1; the next rollout brings it in"
    assert list(world.running().values()) == [world.old] * 3 + [world.new]
    assert world.router.table is not None and world.router.table.stable is not None
    assert [peer.host for peer in world.router.table.stable.peers] == ["app1", "app2", "app3"]


def test_where_too_few_hold_it_nothing_is_touched(world: Canary):
    promoted(world, "app3", "app4")
    with pytest.raises(GopubError, match="GP725 release 1 is not on app3, app4"):
        asyncio.run(rollback.take_back("hello", "lab"))
    assert set(world.running().values()) == {world.new}
    assert world.env().active == ""


def test_a_rollout_that_has_no_plan_yet_ends_and_nothing_else_happens(world: Canary, monkeypatch):
    """What is stable has nothing to do with a release that is still being admitted."""
    promoted(world)
    ports, facts = world.ports(), {name: machine.facts() for name, machine in world.machines.items()}
    start(ports, Wish(app="hello", env="lab", release=OLD, version="1", rollout="r2"), facts, 99)
    result = asyncio.run(rollback.take_back("hello", "lab"))
    assert (result["rollout"], result["outcome"]) == ("r2", "withdrawn")
    assert set(world.running().values()) == {world.new}
    assert (world.env().active, world.env().stable, world.env().quarantine) == ("", NEW, frozenset())


def test_a_silent_host_is_not_stopped_for_want_of_knowledge(world: Canary):
    """It holds what is wanted, but nobody could ask it."""
    promoted(world)
    late = world.machines["app4"]
    late.deaf = 1
    result = asyncio.run(rollback.take_back("hello", "lab", to="1"))
    assert late.current == world.old, "control: the last plan knew its folder"
    asyncio.run(rollback.take_back("hello", "lab", to="2"))
    write_kit(world.kits, replace(read_kit(world.kits, "hello", "lab", BACKENDS), plan=_knows_nothing(world)))
    late.deaf = 1
    result = asyncio.run(rollback.take_back("hello", "lab", to="1"))
    assert (late.current, result["owed"]) == (world.new, ["app4"])


def _knows_nothing(world: World) -> Plan:
    plan = read_kit(world.kits, "hello", "lab", BACKENDS).plan
    return replace(plan, hosts=tuple(replace(host, before="") for host in plan.hosts))


@pytest.fixture
def died(world: Canary, tmp_path: Path) -> Canary:
    """The rollback without the journal was killed before it had changed a host; the journal is there again."""
    journal = tmp_path / "journal.db"
    kept = journal.read_bytes()
    garbage(journal)
    machine = world.machines["app1"]
    world.machines["app1"] = Fatal(**vars(machine))
    with pytest.raises(KeyboardInterrupt):
        back(world)
    world.machines["app1"] = machine
    for left in tmp_path.glob("journal.db*"):
        left.unlink()
    journal.write_bytes(kept)
    assert world.running()["app1"] == world.new
    return world


def test_recover_finds_the_rollback_that_died_and_its_project(died: Canary):
    journal = settings.journal()
    assert adopt(journal, died.kits) == 1
    (found,) = active(journal)
    assert (found.state.back is not None, found.project) == (True, PROJECT)
    assert _outcome(journal) is Outcome.ROLLED_BACK, "the rollout that it takes back is over"


def test_whoever_goes_on_brings_every_host_back(died: Canary):
    adopt(settings.journal(), died.kits)
    run = died.driver(rollout=died.env().active)
    asyncio.run(_go_on(run))
    assert set(died.running().values()) == {died.old}
    assert died.env().active == ""


def test_it_is_adopted_once(died: Canary):
    journal = settings.journal()
    adopt(journal, died.kits)
    (spool,) = died.kits.glob("offline-*.adopted")
    known = died.env()
    spool.rename(spool.with_suffix(".db"))  # we died between the last append and the new name
    assert adopt(journal, died.kits) == 1
    assert died.env() == known
    assert spools(died.kits) == []


def offline(world: Canary, tmp_path: Path) -> Journal:
    """A rollback is made without the journal, which is there again after it."""
    journal = tmp_path / "journal.db"
    kept = journal.read_bytes()
    garbage(journal)
    back(world)
    for left in tmp_path.glob("journal.db*"):
        left.unlink()
    journal.write_bytes(kept)
    return settings.journal()


def test_what_others_did_since_stands(world: Canary, tmp_path: Path):
    """Somebody released again before the spool was found: its rollback is no news about the env."""
    journal = offline(world, tmp_path)
    env = env_stream("hello", "lab")
    version = len(journal.read(env))
    since: list[ev.Event] = [ev.EnvClosed("r1", Outcome.WITHDRAWN), ev.EnvOpened("r3", "3" * 64)]
    journal.append(env, version, since, actor="a colleague")
    known = world.env()
    assert adopt(journal, world.kits) == 1
    assert (world.env(), world.env().active) == (known, "r3")


def test_edges_that_missed_a_rollback_without_the_journal_stay_owed(world: Canary, tmp_path: Path):
    journal = tmp_path / "journal.db"
    kept = journal.read_bytes()
    garbage(journal)
    world.router.down = True
    assert asyncio.run(rollback.take_back("hello", "lab"))["owed_edges"] == ["edge"]
    for left in tmp_path.glob("journal.db*"):
        left.unlink()
    journal.write_bytes(kept)
    assert adopt(settings.journal(), world.kits) == 1
    assert (world.env().owed_edges, world.env().owed_by) == (("edge",), "r1")


def test_a_spool_waits_while_the_driver_that_was_overtaken_has_its_lease(world: Canary, tmp_path: Path, monkeypatch):
    journal = offline(world, tmp_path)
    seat = Seat("hello", "lab", 0, "5" * 32, "the old driver")
    journal.take_seat(seat, rollout="r1", lease=3600, force=True)
    assert (adopt(journal, world.kits), len(spools(world.kits)), world.env().active) == (0, 1, "r1")
    journal.take_seat(seat, rollout="r1", lease=0, force=True)
    assert (adopt(journal, world.kits), len(spools(world.kits)), world.env().active) == (1, 0, "")


def test_a_spool_that_cannot_be_read_stops_nobody(world: Canary, tmp_path: Path):
    journal = offline(world, tmp_path)
    (world.kits / "offline-another-app-20260101T000000.db").write_text("the disk ate it\n" * 1000)
    assert adopt(journal, world.kits) == 1
    assert world.env().active == ""


def test_a_kit_keeps_no_variable_of_the_inventory(world: Canary):
    kit = read_kit(world.kits, "hello", "lab", BACKENDS)
    secret = replace(kit.hosts[0], labels={"role": "app"}, variables={"db_password": "hunter2"})
    path = write_kit(world.kits, replace(kit, hosts=(secret,), edges=(secret,)))
    assert "hunter2" not in path.read_text()
    assert read_kit(world.kits, "hello", "lab", BACKENDS).hosts[0].address == secret.address, (
        "control: the rest is there"
    )


async def _go_on(run: Run) -> None:
    await run.edges.claim()
    await go_back(run)


def _outcome(journal: Journal) -> Outcome | None:
    closed = read_state(journal, "r1").closed
    return closed.outcome if closed else None


async def _bake_on(run: Run) -> None:
    await reach.take_over(run)
    await bake_box.bake(run, run.plan.steps[0], judging(run))
    await go_back(run)


def test_who_resumes_from_a_journal_that_never_heard_of_the_rollback_blames_nobody(world: Canary, tmp_path: Path):
    """The spool lies on another machine: the old journal still tells of a canary, and a person took it back."""
    journal = offline(world, tmp_path)
    for spool in spools(world.kits):
        spool.rename(tmp_path / "elsewhere.db")
    assert adopt(journal, world.kits) == 0
    asyncio.run(_bake_on(world.driver(journal)))
    closed = read_state(journal, "r1").closed
    assert closed is not None
    assert closed.outcome is Outcome.WITHDRAWN
    assert f"current is {world.old} on app1" in closed.reason
    assert "a rollback that was made without this journal" in closed.reason
    assert world.env().quarantine == frozenset()
    assert set(world.running().values()) == {world.old}
