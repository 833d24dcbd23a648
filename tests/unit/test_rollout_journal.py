"""The journal keeps events in order, chained, and keeps two drivers apart."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from gopub.clock import ManualClock, new_token
from gopub.errors import GopubError, LockedError
from gopub.journal import events as ev
from gopub.journal import migrations
from gopub.journal.database import PATIENCE
from gopub.journal.seat import LONGEST, Seat
from gopub.journal.store import open_journal
from gopub.plan.model import Outcome

OPENED = ev.Opened("r1", "hello", "lab", "a" * 64, "1.0.0")


@pytest.fixture
def journal(tmp_path):
    return open_journal(str(tmp_path / "journal.db"), ManualClock())


def seat(holder: str) -> Seat:
    return Seat("hello", "lab", 0, new_token(), holder)


def test_events_come_back_as_they_went_in(journal):
    events = [OPENED, ev.Admitted(("signature: ok",)), ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors", 1.5)]
    assert journal.append("rollout/r1", 0, events, actor="me", trace="t") == 3
    assert [entry.event for entry in journal.read("rollout/r1")] == events


def test_a_stale_version_cannot_append(journal):
    journal.append("rollout/r1", 0, [OPENED], actor="me")
    with pytest.raises(LockedError, match="GP704"):
        journal.append("rollout/r1", 0, [ev.Settling()], actor="me")
    assert len(journal.read("rollout/r1")) == 1


def test_several_streams_are_appended_to_together_or_not_at_all(journal):
    parts = [("env/hello/lab", 0, [ev.EnvOpened("r1", "a" * 64)]), ("rollout/r1", 0, [OPENED])]
    assert journal.append_all(parts, actor="me") == [1, 1]
    again = [("env/hello/lab", 1, [ev.EnvOpened("r2", "a" * 64)]), ("rollout/r1", 0, [OPENED])]
    with pytest.raises(LockedError, match="GP704"):
        journal.append_all(again, actor="me")
    assert [len(journal.read(stream)) for stream in ("env/hello/lab", "rollout/r1")] == [1, 1]
    assert journal.verify() == 2


def test_an_altered_or_removed_entry_breaks_the_chain(journal, tmp_path):
    for version in range(4):
        journal.append("rollout/r1", version, [OPENED], actor="me")
    assert journal.verify() == 4
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("UPDATE journal SET actor = 'somebody else' WHERE seq = 2")
    with pytest.raises(GopubError, match="breaks at entry 2"):
        journal.verify()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("DELETE FROM journal WHERE seq = 2")
    with pytest.raises(GopubError, match="breaks at entry 2"):
        journal.verify()


def test_what_was_written_or_read_last_is_known_by_number_and_hash(journal, tmp_path):
    assert journal.head.said() == "", "of an empty journal nothing is said"
    for version in range(3):
        journal.append("rollout/r1", version, [OPENED], actor="me")
    head = journal.head
    assert (head.seq, head.said("r1")) == (3, f"3:{head.hash}:r1")
    assert journal.chain([2, 3, 9]).hashes[3] == head.hash, "what is remembered of it is found again"
    with pytest.raises(LockedError):
        journal.append("rollout/r1", 0, [OPENED], actor="me")
    assert journal.head == head, "what was not written is nothing to remember"
    with closing(open_journal(str(tmp_path / "journal.db"), ManualClock())) as other:
        other.append("env/hello/lab", 0, [ev.EnvOpened("r1", "a" * 64)], actor="me")
        assert journal.head == head
        assert [entry.seq for entry in journal.read("env/hello/lab")] == [4]
        assert journal.head == other.head, "what another wrote counts once it was read"


def test_a_chain_that_breaks_is_walked_as_far_as_it_holds(journal, tmp_path):
    for version in range(4):
        journal.append("rollout/r1", version, [OPENED], actor="me")
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("UPDATE journal SET actor = 'somebody else' WHERE seq = 3")
    chain = journal.chain([1, 2, 3, 4])
    assert (chain.entries, sorted(chain.hashes), chain.breaks) == (2, [1, 2], "entry 3 (rollout/r1)")


def test_a_live_lease_keeps_others_out_and_says_who_sits_there(journal):
    first = journal.take_seat(seat("alice@a"), rollout="r1", lease=30)
    with pytest.raises(LockedError, match=r"held by alice@a \(rollout r1, epoch 1"):
        journal.take_seat(seat("bob@b"), rollout="r2", lease=30)
    journal.renew_seat(first, 0)
    assert journal.take_seat(seat("bob@b"), rollout="r2", lease=30).epoch == 2


@pytest.mark.parametrize(("lease", "lives"), [(LONGEST - 60, True), (LONGEST + 60, False), (365 * 86400.0, False)])
def test_a_lease_that_a_clock_ahead_of_time_wrote_is_a_dead_one_s(journal, lease, lives):
    """A driver died, and the machine's clock was set right: its canary would have stayed until the lease's end."""
    first = journal.take_seat(seat("alice@a"), rollout="r1", lease=lease)
    _, seen = journal.seated(first.app, first.env)
    assert seen is lives
    with pytest.raises(LockedError, match="alice@a") if lives else nullcontext():
        assert journal.take_seat(seat("bob@b"), rollout="r2", lease=30).epoch == 2


def test_whoever_lost_the_seat_cannot_write(journal):
    first = journal.take_seat(seat("alice@a"), rollout="r1", lease=30)
    second = journal.take_seat(seat("bob@b"), rollout="r1", lease=30, force=True)
    with pytest.raises(LockedError, match="GP705"):
        journal.append("rollout/r1", 0, [OPENED], actor="alice", seat=first)
    with pytest.raises(LockedError, match="GP705"):
        journal.renew_seat(first, 30)
    journal.append("rollout/r1", 0, [OPENED], actor="bob", seat=second)


def test_an_epoch_seen_on_the_hosts_is_never_taken_again(journal):
    seen = Seat("hello", "lab", 41, new_token(), "alice@a")
    assert journal.take_seat(seen, rollout="r1", lease=30).epoch == 42


def test_an_unknown_event_is_named(journal, tmp_path):
    journal.append("rollout/r1", 0, [OPENED], actor="me")
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("UPDATE journal SET type = 'Teleported'")
    with pytest.raises(GopubError, match="'Teleported'"):
        journal.read("rollout/r1")


def test_a_journal_that_cannot_be_opened_is_an_error_for_people(tmp_path):
    (tmp_path / "journal.db").write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(GopubError, match="GP701"):
        open_journal(str(tmp_path / "journal.db"), ManualClock())


def test_a_damaged_entry_is_named(journal, tmp_path):
    journal.append("rollout/r1", 0, [OPENED], actor="me")
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("UPDATE journal SET data = substr(data, 1, 10)")
    with pytest.raises(GopubError, match="GP703 the journal's entry 1 is damaged"):
        journal.read("rollout/r1")


def test_a_journal_of_a_later_gopub_is_left_alone(journal, tmp_path):
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("UPDATE gopub_schema SET version_num = 'of the future'")
    with pytest.raises(GopubError, match="GP701 the journal's schema is not one that this gopub knows"):
        open_journal(str(tmp_path / "journal.db"), ManualClock())


def test_the_newest_migration_is_the_last_that_alembic_knows():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.NEWEST]


ALEMBIC = """
import sys
from gopub.clock import ManualClock
from gopub.journal.store import open_journal
open_journal(sys.argv[1], ManualClock())
print("alembic" in sys.modules)
"""


def test_alembic_is_imported_for_a_database_that_lacks_a_migration_alone(tmp_path):
    opening = (sys.executable, "-c", ALEMBIC, str(tmp_path / "journal.db"))
    said = [subprocess.run(opening, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert said == ["True\n", "False\n"]


def test_what_the_database_refuses_is_told_without_the_statement_and_its_values(tmp_path):
    """The values of a statement about a seat have its token: who knows it may give orders to hosts."""
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock(), patience=0.05)
    wanted = seat("alice@a")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        with pytest.raises(GopubError) as caught:
            journal.take_seat(wanted, rollout="r1", lease=30)
    assert str(caught.value).startswith("GP701 the journal cannot be written: database is locked")
    assert wanted.token not in str(caught.value)


def test_it_waits_for_a_lock_as_long_as_it_was_opened_for(tmp_path):
    """A rollback of a night has a few seconds for a journal that somebody holds locked, not half a minute."""

    def waits(**given: float) -> float:
        journal = open_journal(str(tmp_path / "journal.db"), ManualClock(), **given)
        with journal._transaction() as db:
            return float(db.exec_driver_sql("PRAGMA busy_timeout").scalar() or 0) / 1000

    assert (waits(patience=0.05), waits(patience=5.0), waits()) == (0.05, 5.0, PATIENCE)


def test_who_only_reads_waits_for_nobody_and_keeps_nobody_waiting(journal, tmp_path):
    journal.append("rollout/r1", 0, [OPENED], actor="me")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as somebody:
        somebody.execute("BEGIN IMMEDIATE")  # in the middle of a write
        reader = open_journal(str(tmp_path / "journal.db"), ManualClock(), patience=0.05)
        assert [entry.event for entry in reader.read("rollout/r1")] == [OPENED]
        assert reader.seated("hello", "lab") is None
        with pytest.raises(GopubError, match="GP701 the journal cannot be written: database is locked"):
            reader.append("rollout/r1", 1, [ev.Settling()], actor="me")
    with reader._connection() as db:
        db.execute(sa.text("SELECT count(*) FROM journal"))  # in the middle of a read
        journal.append("rollout/r1", 1, [ev.Settling()], actor="me")
