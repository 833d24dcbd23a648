"""The journal on a real PostgreSQL: what it wrote is there after a crash, and a connection from before is no error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.store import Journal, open_journal
from tests.postgres_server import WITHIN, Postgres, postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as made:
        made.create("gopub")
        yield made


@pytest.fixture
def journal(server: Postgres) -> Iterator[Journal]:
    with closing(open_journal(server.url("psycopg", "gopub"), SystemClock(), patience=WITHIN, away=WITHIN)) as made:
        yield made


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restarted_database_is_no_lost_journal(server: Postgres, journal: Journal, how: str) -> None:
    stream = f"env/hello/{how}"
    opened = ev.EnvOpened("r1", "a" * 64)
    journal.append(stream, 0, [opened], actor="ann")
    server.restart(how)
    assert [entry.event for entry in journal.read(stream)] == [opened]
    server.restart(how)
    assert journal.append(stream, 1, [opened], actor="ann") == 2


T = TypeVar("T")


def while_away(server: Postgres, work: Callable[[], T]) -> T:
    """What is asked of the database while it is gone; it comes back after somebody has tried in vain.

    Only this thread may start it: it ends with the one that did.
    """
    server.stop("immediate")
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(work)
        time.sleep(1.0)
        assert not asked.done(), "control: it waits"
        server.start()
        return asked.result()


def test_a_database_that_is_away_for_a_moment_is_waited_for(server: Postgres, journal: Journal) -> None:
    """As in a failover: without this the rollout under way was taken back, whole and for nothing."""
    opened = ev.EnvOpened("r1", "a" * 64)
    journal.append("env/hello/away", 0, [opened], actor="ann")
    read = while_away(server, lambda: journal.read("env/hello/away"))
    assert [entry.event for entry in read] == [opened]
    assert while_away(server, lambda: journal.append("env/hello/away", 1, [opened], actor="ann")) == 2


def test_control_who_is_in_a_hurry_does_not_wait(server: Postgres, journal: Journal) -> None:
    """On the way back edges and hosts come first; and a command that opens a journal says at once that it is away."""
    journal.wait_at_most(0.0)
    server.stop("immediate")
    try:
        with pytest.raises(GopubError, match="GP701"):
            journal.append("env/hello/hurry", 0, [ev.EnvOpened("r1", "a" * 64)], actor="ann")
        with pytest.raises(GopubError, match="GP701"):
            open_journal(server.url("psycopg", "gopub"), SystemClock())
    finally:
        server.start()


def test_who_waits_for_somebody_who_writes_waits_as_long_as_it_is_told(server: Postgres, journal: Journal) -> None:
    """A driver that goes back waits for a second; on PostgreSQL it waited for ever."""
    engine = sa.create_engine(server.url("psycopg", "gopub"))
    try:
        with engine.begin() as db:
            db.execute(sa.text("LOCK TABLE journal IN EXCLUSIVE MODE"))
            for seconds in (0.0, 0.5):
                journal.wait_at_most(seconds)
                with pytest.raises(GopubError, match="GP701"):
                    journal.append("env/hello/held", 0, [ev.EnvOpened("r1", "a" * 64)], actor="ann")
            with pytest.raises(GopubError, match="GP701"):
                journal.try_to_write()
    finally:
        engine.dispose()
    journal.wait_at_most(WITHIN)
    journal.try_to_write()
    assert journal.append("env/hello/held", 0, [ev.EnvOpened("r1", "a" * 64)], actor="ann") == 1, "control"


def test_control_a_connection_from_before_is_dead(server: Postgres) -> None:
    engine = sa.create_engine(server.url("psycopg", "gopub"))
    try:
        with engine.connect() as db:
            db.execute(sa.text("SELECT 1"))
        server.restart()
        with pytest.raises(OperationalError), engine.connect() as db:
            db.execute(sa.text("SELECT 1"))
    finally:
        engine.dispose()
