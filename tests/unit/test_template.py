"""A migrated database that is kept for the next one: used whole or not at all, by one process at a time."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from deployments.template import keep, prepare
from gopub.process import base_environment, spawn

ROOT = Path(__file__).parents[2]


class Migration:
    """Makes what is missing, as Prefect's does, and counts how often something was."""

    def __init__(self, database: Path, lasts: float = 0.0) -> None:
        self.database, self.lasts = database, lasts
        self.from_nothing = 0
        self.under_way: list[int] = []
        self.most = 0

    def __call__(self) -> None:
        self.under_way.append(1)
        self.most = max(self.most, len(self.under_way))
        with closing(sqlite3.connect(self.database)) as db, db:
            if not tables(self.database):
                self.from_nothing += 1
                time.sleep(self.lasts)
                db.execute("CREATE TABLE flow_run (id TEXT)")
        self.under_way.pop()


def tables(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as db:
        return [name for (name,) in db.execute("SELECT name FROM sqlite_master")]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The folder of kept databases."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    return folder


def made(folder: Path, cache: Path) -> int:
    """How often a new database in ``folder`` was migrated from nothing."""
    folder.mkdir()
    migration = Migration(folder / "prefect.db")
    prepare(migration.database, cache, migration)
    assert tables(migration.database) == ["flow_run"]
    return migration.from_nothing


def test_only_the_first_database_is_migrated_from_nothing(tmp_path: Path, cache: Path) -> None:
    assert [made(tmp_path / name, cache) for name in "abc"] == [1, 0, 0]
    assert len(list(cache.iterdir())) == 1
    assert (tmp_path / "b/prefect.db").stat().st_mode & 0o777 == 0o600


def test_what_a_server_wrote_later_is_in_no_other_database(tmp_path: Path, cache: Path) -> None:
    made(tmp_path / "a", cache)
    with closing(sqlite3.connect(tmp_path / "a/prefect.db")) as db, db:
        db.execute("INSERT INTO flow_run VALUES ('secret')")
    made(tmp_path / "b", cache)
    with closing(sqlite3.connect(tmp_path / "b/prefect.db")) as db:
        assert db.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)


def cut(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-100])


def flip(kept: Path) -> None:
    content = bytearray(kept.read_bytes())
    content[200] ^= 1
    kept.write_bytes(content)


def empty(kept: Path) -> None:
    kept.write_bytes(b"")


def age(kept: Path) -> None:
    kept.rename(kept.with_name("0.0.1-" + kept.name.partition("-")[2]))


@pytest.mark.parametrize("spoil", [cut, flip, empty, age])
def test_one_that_is_damaged_or_of_another_prefect_is_made_again(spoil, tmp_path: Path, cache: Path) -> None:
    made(tmp_path / "a", cache)
    (kept,) = cache.iterdir()
    name = kept.name
    spoil(kept)
    assert made(tmp_path / "b", cache) == 1
    assert [file.name for file in cache.iterdir()] == [name]
    assert made(tmp_path / "c", cache) == 0


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755])
def test_a_folder_that_others_may_enter_is_not_trusted(mode: int, tmp_path: Path, cache: Path) -> None:
    made(tmp_path / "a", cache)
    cache.chmod(mode)
    assert made(tmp_path / "b", cache) == 1


def test_a_link_is_not_trusted(tmp_path: Path, cache: Path) -> None:
    made(tmp_path / "a", cache)
    (tmp_path / "link").symlink_to(cache)
    assert made(tmp_path / "b", tmp_path / "link") == 1


def test_a_database_that_is_there_is_left_as_it_is(tmp_path: Path, cache: Path) -> None:
    made(tmp_path / "a", cache)
    database = tmp_path / "prefect.db"
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE theirs (id TEXT)")
    prepare(database, cache, Migration(database))
    assert tables(database) == ["theirs"]


def test_two_at_once_migrate_one_after_the_other(tmp_path: Path, cache: Path) -> None:
    migration = Migration(tmp_path / "prefect.db", lasts=0.2)
    threads = [threading.Thread(target=prepare, args=(migration.database, cache, migration)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (migration.from_nothing, migration.most) == (1, 1)


def test_whoever_is_killed_meanwhile_holds_nobody_up(tmp_path: Path, cache: Path) -> None:
    child = (
        "import sys, time; from pathlib import Path; from deployments.template import prepare\n"
        "def stuck(): print('migrates', flush=True); time.sleep(600)\n"
        "prepare(Path(sys.argv[1]), Path(sys.argv[2]), stuck)"
    )
    database, log = tmp_path / "prefect.db", tmp_path / "log"
    argv = [sys.executable, "-c", child, str(database), str(cache)]
    pid = spawn(argv, log=log, env=base_environment(extra={"PYTHONPATH": str(ROOT)}))
    while "migrates" not in log.read_text():
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    migration = Migration(database)
    prepare(database, cache, migration)
    assert migration.from_nothing == 1


def test_a_copy_is_whole_though_much_still_lies_beside_the_database(tmp_path: Path, cache: Path) -> None:
    """A write-ahead log that nobody has written back yet."""
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE flow_run (id TEXT)")
        db.commit()
        kept = keep(tmp_path / "prefect.db", cache)
    assert tables(kept) == ["flow_run"]
    assert [file.name for file in cache.iterdir()] == [kept.name]
