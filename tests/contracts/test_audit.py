"""History that the database's owner writes anew is found by what enrolled hosts remember, on each kind of database."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from gopub.errors import InconclusiveError, RefusedError
from gopub.journal import events as ev
from gopub.journal.database import engine_of
from gopub.journal.store import Journal, open_journal
from gopub.usecases.audit import Audit, Stands, judged, memories
from tests.postgres_server import Postgres, postgres_server
from tests.support.rewriting import Rows, chained, laid, rewritten, rows_of
from tests.support.rollout_world import World, drive, in_memory

NUMBER = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as made:
        yield made


BOTH = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return str(tmp_path / "journal.db")
    made: Postgres = request.getfixturevalue("server")
    name = f"gopub{next(NUMBER)}"
    made.create(name)
    return made.url("psycopg", name)


class Enrolled(World):
    """Its hosts check orders, and remember."""

    enrolled = True


@pytest.fixture
def world(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Four enrolled hosts after a rollout that was promoted, on a journal that somebody else owns."""
    in_memory(monkeypatch)
    made = Enrolled(tmp_path, journal=url)
    drive(made, "good")
    yield made
    made.journal.close()


@pytest.fixture
def owner(world: World, url: str) -> Iterator[sa.Engine]:
    """A way of one's own to the database."""
    engine = engine_of(url, 5.0)
    yield engine
    engine.dispose()


def audited(world: World, journal: Journal | None = None) -> Audit:
    told = asyncio.run(memories(world.ports(), "hello", "lab"))
    return judged(journal or world.journal, told)


def another(rows: Rows) -> Rows:
    return [{**row, "actor": "mallory"} if row["seq"] == 1 else row for row in rows]


def renamed(rows: Rows) -> Rows:
    middle = len(rows) // 2
    return [{**row, "actor": "mallory"} if row["seq"] == middle else row for row in rows]


def without_one(rows: Rows) -> Rows:
    return [row for row in rows if row["type"] != "StepReached"]


def with_one(rows: Rows) -> Rows:
    passed = next(row for row in rows if row["type"] == "StepPassed")
    at = rows.index(passed)
    return [*rows[:at], {**passed, "actor": "mallory"}, *rows[at:]]


def shorter(rows: Rows) -> Rows:
    return rows[:-3]


def only_the_last(rows: Rows) -> Rows:
    return [*rows[:-1], {**rows[-1], "actor": "mallory"}]


def empty(rows: Rows) -> Rows:
    del rows
    return []


CHANGES: dict[str, Callable[[Rows], Rows]] = {
    "written anew from the beginning": another,
    "an entry changed, all hashes made anew": renamed,
    "an entry taken out": without_one,
    "an entry put in": with_one,
    "cut off at the end": shorter,
    "the very last entry changed": only_the_last,
    "emptied": empty,
}


@BOTH
def test_control_a_journal_that_nobody_touched_is_the_one_that_hosts_remember(world: World, owner: sa.Engine) -> None:
    found = audited(world)
    assert found.failed is None
    assert [one.stands for one in found.witnesses] == [Stands.AGREES] * 4
    assert found.vouched == world.journal.verify(), "also the entry of the end, which came after the last order"
    laid(owner, rows_of(owner))
    assert audited(world).failed is None, "control: it is not the writing that is found"


@BOTH
def test_history_that_was_written_anew_is_found(world: World, owner: sa.Engine) -> None:
    whole = rows_of(owner)
    for what, change in CHANGES.items():
        rewritten(owner, change)
        world.journal.verify()  # control: the chain holds in itself, and whoever looks at it alone finds nothing
        found = audited(world)
        assert isinstance(found.failed, RefusedError), what
        assert found.failed.code == "GP488"
        assert [one.stands for one in found.witnesses] == [Stands.DIFFERS] * 4, what
        assert "app1 (lab): remembers entry" in found.failed.problem
        assert "of rollout r1" in found.failed.problem, "of which rollout"
        assert "since 2026-11-30T00:" in found.failed.problem, "since when"
        laid(owner, whole)
        assert audited(world).failed is None, "control"


def test_where_the_past_parts_from_what_hosts_remember_is_told(world: World, owner: sa.Engine) -> None:
    entries = world.journal.verify()
    rewritten(owner, only_the_last)
    said = audited(world).witnesses[0]
    assert said.compared is not None and said.compared.first is not None and said.compared.same is not None
    assert said.compared.first.seq == entries
    assert said.compared.same.seq < entries
    assert "the same until entry" in said.says
    assert "chained anew" in said.says
    rewritten(owner, another)
    assert "written anew from its beginning" in audited(world).witnesses[0].says
    laid(owner, chained([]))
    assert "the journal has no such entry" in audited(world).witnesses[0].says


def test_a_journal_of_yesterday_is_found_and_also_once_it_went_on(world: World, owner: sa.Engine) -> None:
    yesterday = rows_of(owner)[:-4]
    laid(owner, yesterday)
    found = audited(world)
    assert isinstance(found.failed, RefusedError)
    assert "an older state was restored" in found.failed.problem
    for version in range(8):
        world.journal.append("rollout/other", version, [ev.Settling()], actor="me")
    still = audited(world)
    assert isinstance(still.failed, RefusedError), "longer than it was, and another one"
    assert "an older state was restored and went on" in still.failed.problem


def test_what_hosts_are_told_of_a_restored_journal_dates_it_and_can_be_left_out(world: World, owner: sa.Engine) -> None:
    laid(owner, rows_of(owner)[:-4])
    world.journal.append("rollout/other", 0, [ev.Settling()], actor="me")
    restored = world.journal.read("rollout/other")[-1]
    for machine in world.machines.values():
        machine.memory.append(f"2026-12-01T09:00:00Z {restored.seq} {restored.hash} 9 stage - r2")
    found = audited(world)
    assert isinstance(found.failed, RefusedError)
    assert "the journal as it is now is known here since 2026-12-01T09:00:00Z" in found.failed.problem
    told = asyncio.run(memories(world.ports(), "hello", "lab"))
    later = judged(world.journal, told, "2026-12-01T00:00:00Z")
    assert later.failed is None, "somebody restored it, and says so by the time"
    assert any(line.startswith("left out:") for line in later.lines())


def test_another_database_altogether_is_found(world: World, tmp_path: Path) -> None:
    other = open_journal(str(tmp_path / "other.db"), world.clock)
    found = audited(world, other)
    assert isinstance(found.failed, RefusedError), "an empty one"
    for version in range(world.journal.verify() + 5):
        other.append("rollout/r1", version, [ev.Settling()], actor="me")
    assert isinstance(audited(world, other).failed, RefusedError)
    other.close()


def test_a_chain_that_breaks_is_told_besides(world: World, owner: sa.Engine) -> None:
    with owner.begin() as db:
        db.execute(sa.text("UPDATE journal SET actor = 'mallory' WHERE seq = 3"))
    found = audited(world)
    assert isinstance(found.failed, RefusedError)
    assert "the journal's chain breaks at entry 3" in found.failed.problem
    assert found.of(Stands.DIFFERS) == (), "of what is behind the break nothing is said"


def test_hosts_that_say_nothing_are_named_and_one_that_speaks_is_enough(world: World, owner: sa.Engine) -> None:
    world.machines["app2"].reachable = False
    world.machines["app3"].enrolled = False
    world.machines["app4"].memory.clear()
    found = audited(world)
    assert [one.stands for one in found.witnesses] == [Stands.AGREES, Stands.SILENT, Stands.UNPINNED, Stands.NOTHING]
    assert found.failed is None
    assert any("app2 (lab): not asked: GP413" in line for line in found.lines())
    assert any("app3 (lab): unpinned" in line for line in found.lines())
    rewritten(owner, renamed)
    assert isinstance(audited(world).failed, RefusedError)


def test_nobody_who_could_tell_is_no_answer(world: World, owner: sa.Engine) -> None:
    """An owner who cuts hosts off, or a fleet that never was enrolled, must not pass for a past that agrees."""
    rewritten(owner, renamed)
    for machine in world.machines.values():
        machine.reachable = False
    silent = audited(world)
    assert isinstance(silent.failed, InconclusiveError)
    assert silent.failed.code == "GP489"
    for machine in world.machines.values():
        machine.reachable, machine.enrolled = True, False
    assert isinstance(audited(world).failed, InconclusiveError)
    for machine in world.machines.values():
        machine.enrolled, machine.memory = True, []
    assert isinstance(audited(world).failed, InconclusiveError)


def test_entries_that_no_host_was_told_of_are_counted(world: World) -> None:
    before = world.journal.verify()
    world.journal.append("asked/r1", 0, [ev.Settling()], actor="me")
    assert f"1 entry after entry {before}: remembered by no host that was asked" in audited(world).lines()


def test_a_backup_is_the_same_history(world: World, tmp_path: Path, url: str) -> None:
    world.journal.close()
    shutil.copy(url, tmp_path / "copy.db")
    copy = open_journal(str(tmp_path / "copy.db"), world.clock)
    assert audited(world, copy).failed is None
    copy.close()
