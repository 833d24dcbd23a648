"""What was asked for, kept on disk: the same request, however often it comes, starts its runs once.

A row is written before anything is started and completed after. A webhook's row holds its orders: while the engine
is away it waits there, since GitLab does not send it again. A row of the REST API holds none: its client was told
and asks again. Either may be tried twice: the engine gives the same run for the same key. Rows are kept for a week.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployments.starter import Order
from gopub.errors import GopubError
from gopub.paths import private_database, private_folder

KEPT = 7 * 86400.0
"""Seconds for which a repeated request is recognised."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    key TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    received REAL NOT NULL,
    orders TEXT NOT NULL,
    outcome TEXT
)
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request: its key, the digest of what it asked, the runs to start, and the answer once there is one."""

    key: str
    digest: str
    received: float
    orders: tuple[Order, ...]
    outcome: dict[str, Any] | None


class Deliveries:
    """The table of deliveries in a SQLite file; safe to use from several threads and processes."""

    def __init__(self, file: Path) -> None:
        """Open or create the file.

        Raises:
            GopubError: GP915 the file cannot be used.
        """
        self._lock = threading.Lock()
        try:
            private_folder(file.parent)
            private_database(file)
            self._db = sqlite3.connect(file, timeout=10.0, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise GopubError(
                "GP915",
                f"the file of deliveries, {file}, cannot be used: {error}",
                hint="gopub serve must be able to write there; --state names another folder",
            ) from error

    def begin(self, key: str, digest: str, orders: Sequence[Order], now: float) -> tuple[Delivery, bool]:
        """Record a request before it is acted on; gives the row as it stands and whether it is new."""
        written = json.dumps([asdict(order) for order in orders])
        with self._lock:
            self._db.execute("DELETE FROM deliveries WHERE received < ?", (now - KEPT,))
            made = self._db.execute(
                "INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, NULL)", (key, digest, now, written)
            ).rowcount
            row = self._db.execute("SELECT * FROM deliveries WHERE key = ?", (key,)).fetchone()
        return _delivery(row), bool(made)

    def find(self, key: str) -> Delivery | None:
        """The row of a key, if there is one."""
        with self._lock:
            row = self._db.execute("SELECT * FROM deliveries WHERE key = ?", (key,)).fetchone()
        return _delivery(row) if row else None

    def finish(self, key: str, outcome: dict[str, Any]) -> None:
        """Record the answer; a repeated request gets it again."""
        with self._lock:
            self._db.execute("UPDATE deliveries SET outcome = ? WHERE key = ?", (json.dumps(outcome), key))

    def waiting(self) -> list[Delivery]:
        """Webhooks whose runs are not started yet, oldest first."""
        query = "SELECT * FROM deliveries WHERE outcome IS NULL AND orders <> '[]' ORDER BY received"
        with self._lock:
            rows = self._db.execute(query).fetchall()
        return [_delivery(row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _delivery(row: tuple[str, str, float, str, str | None]) -> Delivery:
    key, digest, received, orders, outcome = row
    made = tuple(Order(**order) for order in json.loads(orders))
    return Delivery(key, digest, received, made, json.loads(outcome) if outcome else None)
