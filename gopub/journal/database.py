"""The database of the journal: how it is opened, waited for, and told of when it is away."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from gopub.clock import tries
from gopub.paths import private_database

METADATA = sa.MetaData()
WRITES = {"gopub_writes": True}
"""Execution options of a connection that writes: on SQLite it takes the write lock before it reads."""
PATIENCE = 30.0
"""Seconds to wait for another process that is writing."""
AWAY = 10.0
"""Seconds to wait for a server that was there and is not: a restart or a failover. Meanwhile nothing is renewed, and
edges keep a canary's traffic for 30 s (`gopub.rollout.lease`), of which 5 may be over."""


def engine_of(url: str, patience: float) -> sa.Engine:
    """The engine of a URL or a path; a file of ours is made private."""
    named = url
    if "://" not in url:
        private_database(Path(url))
        url = f"sqlite:///{url}"
    if url.startswith("sqlite"):
        engine = sa.create_engine(url, connect_args={"timeout": patience})
    else:  # a server that was restarted, or failed over, has closed what the pool still holds
        engine = sa.create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        file = Path(engine.url.database or ":memory:")
        if "://" in named and file.parent.is_dir() and file.name != ":memory:" and "uri" not in engine.url.query:
            private_database(file)
        _make_sqlite_strict(engine)
    return engine


def connected(engine: sa.Engine, patience: float) -> sa.Connection:
    """A connection; a server that does not take one just now is asked again: nothing was begun that could be half done.

    Raises:
        SQLAlchemyError: there is none within so many seconds.
    """
    if engine.dialect.name == "sqlite":  # which waits by itself, for whoever holds the file
        return engine.connect()
    for is_last in tries(patience):
        try:
            return engine.connect()
        except OperationalError:
            if is_last:
                raise
    raise RuntimeError("the last try gives a connection, or raises")


def file_of(url: str) -> Path | None:
    """The file of a journal that is one."""
    if "://" not in url:
        return Path(url)
    try:
        known = sa.make_url(url)
    except SQLAlchemyError:
        return None
    return Path(known.database) if known.get_backend_name() == "sqlite" and known.database else None


def shown(url: str) -> str:
    """The place without its password; of what is no URL the beginning only: nobody knows where a password stands."""
    if "://" not in url:
        return url
    try:
        return sa.make_url(url).render_as_string()
    except SQLAlchemyError:
        return f"{url.partition(':')[0]}:…"


def advice(url: str, error: Exception) -> str:
    """What to do about a journal that cannot be opened."""
    if url.startswith("postgres") and isinstance(error, ImportError | NoSuchModuleError):
        return "PostgreSQL needs psycopg (the extra gopub[postgres]) and a URL like postgresql+psycopg://USER@HOST/NAME"
    if isinstance(error, ImportError | ArgumentError):
        return "give a path, or a URL such as sqlite:////var/lib/gopub/journal.db, in GOPUB_JOURNAL"
    return "is the path writable, or the database up?"


def _make_sqlite_strict(engine: sa.Engine) -> None:
    """Durable and serialised: WAL with a sync at each commit; who writes takes the lock at the start.

    Who only reads takes none: readers keep neither each other nor a writer waiting.
    """

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined] # sqlite3's own name: we say BEGIN ourselves
        cursor = connection.cursor()  # type: ignore[attr-defined] # a DB-API connection
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(db: sa.Connection) -> None:
        options = db.get_execution_options()
        patience = options.get("patience")
        if patience is not None:
            db.exec_driver_sql(f"PRAGMA busy_timeout = {round(patience * 1000)}")
        db.exec_driver_sql("BEGIN IMMEDIATE" if options.get("gopub_writes") else "BEGIN")


def cause(error: Exception) -> str:
    """What the database says; the statement and its parameters (a seat's token) are nobody's business."""
    return str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]


def database_now(db: sa.Connection) -> float:
    """The database's clock: leases must not depend on a driver's."""
    if db.dialect.name == "sqlite":
        return float(db.scalar(sa.text("SELECT (julianday('now') - 2440587.5) * 86400.0")) or 0.0)
    return float(db.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")) or 0.0)
