"""The file of deliveries: its format stays, and of many who begin the same one is first."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.deliveries import KEPT, Deliveries
from deployments.starter import RunOrder
from gopub.errors import GopubError

ORDER = RunOrder("shop", "staging", "k:shop:staging", {"commit": "abc", "名": "值"})
WRITTEN = json.dumps(
    [
        {
            "app": "shop",
            "env": "staging",
            "key": "k:shop:staging",
            "parameters": {"commit": "abc", "名": "值"},
            "deployment": "deploy/deploy",
        }
    ]
)
FORMAT = """
CREATE TABLE IF NOT EXISTS deliveries (
    key TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    received REAL NOT NULL,
    orders TEXT NOT NULL,
    outcome TEXT
)
"""
"""As the first version of gopub made it."""


def columns(file: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(file)) as db:
        return [(name, kind) for _, name, kind, *_ in db.execute("PRAGMA table_info(deliveries)")]


def test_a_file_of_the_first_version_opens_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "deliveries.sqlite"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(FORMAT)
        db.execute("INSERT INTO deliveries VALUES ('waits', 'd', 1000.0, ?, NULL)", (WRITTEN,))
        db.execute("INSERT INTO deliveries VALUES ('done', 'd', 999.5, '[]', '{\"runs\": []}')")
    with closing(Deliveries(file)) as opened:
        assert [(row.key, row.orders) for row in opened.waiting()] == [("waits", (ORDER,))]
        done = opened.find("done")
        assert done is not None
        assert (done.received, done.orders, done.outcome) == (999.5, (), {"runs": []})
        assert opened.begin("waits", "other", (), 1001.0) == (opened.find("waits"), False)
        opened.finish("waits", {"runs": ["r"]})
        assert opened.waiting() == []


def test_what_is_written_is_what_the_first_version_wrote(tmp_path: Path) -> None:
    file, by_hand = tmp_path / "new.sqlite", tmp_path / "old.sqlite"
    with closing(Deliveries(file)) as made:
        row, new = made.begin("k", "d", [ORDER], 1000.5)
        made.finish("k", {"runs": ["值"]})
    assert (row.orders, new) == ((ORDER,), True)
    with closing(sqlite3.connect(file)) as db:
        rows = db.execute("SELECT * FROM deliveries").fetchall()
    assert rows == [("k", "d", 1000.5, WRITTEN, json.dumps({"runs": ["值"]}))]
    with closing(sqlite3.connect(by_hand)) as db:
        db.execute(FORMAT)
    assert columns(file) == columns(by_hand)


def test_of_many_who_begin_the_same_one_is_first(tmp_path: Path) -> None:
    files = [Deliveries(tmp_path / "deliveries.sqlite") for _ in range(2)]  # as two servers on one folder

    def begin(n: int) -> tuple[str, bool]:
        return f"k{n % 10}", files[n % 3 % 2].begin(f"k{n % 10}", "d", (), 1000.0)[1]

    with ThreadPoolExecutor(16) as threads:
        firsts = Counter(key for key, new in threads.map(begin, range(60)) if new)
    for file in files:
        file.close()
    assert firsts == Counter(f"k{n}" for n in range(10))


def test_rows_that_come_while_others_are_written_share_a_transaction(tmp_path: Path) -> None:
    with closing(Deliveries(tmp_path / "deliveries.sqlite")) as file, ThreadPoolExecutor(16) as threads:
        commits: list[object] = []
        sa.event.listen(file._engine, "commit", commits.append)
        with file._writing:  # as if a slow disk had another one under way
            begun = [threads.submit(file.begin, f"k{n % 8}", "d", [ORDER], 1000.0 + n) for n in range(16)]
            while file._wishes.qsize() < 16:
                wait(begun, timeout=0.001)
        firsts = Counter(one.result()[0].key for one in begun if one.result()[1])
        assert (firsts, len(commits)) == (Counter(f"k{n}" for n in range(8)), 1)
        file.begin("alone", "d", [ORDER], 1000.0)
        assert len(commits) == 2  # the control: a transaction is one commit
        assert file.count() == len(file.waiting()) == 9


def test_each_of_a_transaction_that_failed_is_told(tmp_path: Path) -> None:
    with closing(Deliveries(tmp_path / "deliveries.sqlite")) as file, ThreadPoolExecutor(4) as threads:
        with file._engine.begin() as db:
            db.execute(sa.text("DROP TABLE deliveries"))
        with file._writing:
            begun = [threads.submit(file.begin, f"k{n}", "d", (), 1000.0) for n in range(4)]
        assert [getattr(one.exception(), "code", "") for one in begun] == ["GP915"] * 4


def test_what_waits_is_found_without_reading_what_does_not(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.sqlite"
    Deliveries(path).close()
    query = "EXPLAIN QUERY PLAN SELECT * FROM deliveries WHERE {} ORDER BY received"
    with closing(sqlite3.connect(path)) as db:
        [plan] = db.execute(query.format("outcome IS NULL AND orders != '[]'")).fetchall()
        [control] = db.execute(query.format("orders != '[]'")).fetchall()
    assert "deliveries_waiting" in plan[3]
    assert "deliveries_waiting" not in control[3]


def test_after_a_week_a_request_is_new_again(tmp_path: Path) -> None:
    with closing(Deliveries(tmp_path / "deliveries.sqlite")) as file:
        assert file.begin("k", "d", (), 1000.0)[1]
        assert not file.begin("k", "d", (), 1000.0 + KEPT)[1]
        assert file.begin("k", "other", (), 1000.1 + KEPT)[1]


def test_what_waits_is_kept_however_far_the_clock_leaps(tmp_path: Path) -> None:
    with closing(Deliveries(tmp_path / "deliveries.sqlite")) as file:
        file.begin("waits", "d", [ORDER], 1000.0)
        file.begin("asked", "d", (), 1000.0)
        file.begin("started", "d", [ORDER], 1000.0)
        file.finish("started", {"runs": ["r"]})
        file.begin("later", "d", [ORDER], 1001.0 + KEPT)
        assert [row.key for row in file.waiting()] == ["waits", "later"]
        assert (file.find("asked"), file.find("started")) == (None, None), "control: the others are dropped"


@pytest.mark.parametrize("what", ["file", "folder", "nothing"])
def test_rows_outlive_the_removal_of_the_file(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state" / "deliveries.sqlite"
    with closing(Deliveries(path)) as file:
        file.begin("k1", "d", [ORDER], 1000.0)
        if what == "folder":
            shutil.rmtree(path.parent)
        elif what == "file":
            for one in path.parent.iterdir():
                one.unlink()
        file.begin("k2", "d", [ORDER], 1001.0)
        assert [row.key for row in file.waiting()] == ["k1", "k2"]
    with closing(Deliveries(path)) as again:
        assert [row.key for row in again.waiting()] == ["k1", "k2"], "what was answered with 202 is on disk"
    assert ("was removed or replaced" in caplog.text) == (what != "nothing")


def test_a_locked_file_is_told_within_the_time_of_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.sqlite"
    with closing(Deliveries(path)) as file, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GopubError, match=r"GP915 .*cannot be used: database is locked"):
            file.begin("k", "d", [ORDER], 1000.0)
        other.execute("ROLLBACK")
        assert file.begin("k", "d", [ORDER], 1000.0)[1], "control: it goes on where the lock is gone"


def test_a_file_that_is_no_database_is_said_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "deliveries.sqlite").write_text("not a database " * 100)
    with pytest.raises(GopubError, match="GP915") as caught:
        Deliveries(tmp_path / "deliveries.sqlite")
    assert caught.value.problem.endswith("deliveries.sqlite, cannot be used: file is not a database")
