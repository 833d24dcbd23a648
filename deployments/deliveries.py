"""What was asked for, kept on disk: the same request, however often it comes, starts its runs once.

A row is written before anything is started and completed after. A webhook's row holds its orders: while the engine
is away it waits there, since GitLab does not send it again. A row of the REST API holds none: its client was told
and asks again. Either may be tried twice: the engine gives the same run for the same key. Rows are kept for a week.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from deployments.starter import RunOrder
from gopub.errors import GopubError
from gopub.paths import private_database, private_folder

KEPT = 7 * 86400.0
"""Seconds for which a repeated request is recognised."""

_ROWS = sa.Table(
    "deliveries",
    sa.MetaData(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("received", sa.REAL, nullable=False),
    sa.Column("orders", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request: its key, the digest of what it asked, the runs to start, and the answer once there is one."""

    key: str
    digest: str
    received: float
    orders: tuple[RunOrder, ...]
    outcome: dict[str, Any] | None


class Deliveries:
    """The table of deliveries in a SQLite file; safe to use from several threads and processes."""

    def __init__(self, file: Path) -> None:
        """Open or create the file.

        Raises:
            GopubError: GP915 the file cannot be used.
        """
        try:
            private_folder(file.parent)
            private_database(file)
            url = sa.URL.create("sqlite", database=str(file))
            self._engine = sa.create_engine(url, connect_args={"timeout": 10.0}, hide_parameters=True)
            sa.event.listen(self._engine, "connect", _make_durable)
            with self._engine.begin() as db:
                db.execute(sa.schema.CreateTable(_ROWS, if_not_exists=True))
        except (OSError, SQLAlchemyError) as error:
            raise GopubError(
                "GP915",
                f"the file of deliveries, {file}, cannot be used: {getattr(error, 'orig', error)}",
                hint="gopub serve must be able to write there; --state names another folder",
            ) from error

    def begin(self, key: str, digest: str, orders: Sequence[RunOrder], now: float) -> tuple[Delivery, bool]:
        """Record a request before it is acted on; gives the row as it stands and whether it is new."""
        written = json.dumps([asdict(order) for order in orders])
        new = sqlite.insert(_ROWS).values(key=key, digest=digest, received=now, orders=written)
        with self._engine.begin() as db:
            db.execute(_ROWS.delete().where(_ROWS.c.received < now - KEPT))  # a write first: it waits for its turn
            made = db.execute(new.on_conflict_do_nothing()).rowcount
            return _delivery(db.execute(_of(key)).one()), bool(made)

    def find(self, key: str) -> Delivery | None:
        """The row of a key, if there is one."""
        with self._engine.connect() as db:
            row = db.execute(_of(key)).one_or_none()
        return _delivery(row) if row else None

    def finish(self, key: str, outcome: dict[str, Any]) -> None:
        """Record the answer; a repeated request gets it again."""
        with self._engine.begin() as db:
            db.execute(_ROWS.update().where(_ROWS.c.key == key).values(outcome=json.dumps(outcome)))

    def waiting(self) -> list[Delivery]:
        """Webhooks whose runs are not started yet, oldest first."""
        query = _ROWS.select().where(_ROWS.c.outcome.is_(None), _ROWS.c.orders != "[]").order_by(_ROWS.c.received)
        with self._engine.connect() as db:
            return [_delivery(row) for row in db.execute(query)]

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()


def _make_durable(connection: Any, _record: object) -> None:
    """What was answered with 202 outlives the power; readers keep nobody waiting."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _of(key: str) -> sa.Select[Any]:
    return _ROWS.select().where(_ROWS.c.key == key)


def _delivery(row: sa.Row[Any]) -> Delivery:
    made = tuple(RunOrder(**order) for order in json.loads(row.orders))
    return Delivery(row.key, row.digest, row.received, made, json.loads(row.outcome) if row.outcome else None)
