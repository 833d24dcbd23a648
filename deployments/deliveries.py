"""What was asked for, kept on disk: the same request, however often it comes, starts its runs once.

A row is written before anything is started and completed after. A webhook's row holds its orders: they wait there
to be started, since GitLab does not send them again. A row of the REST API holds none: its client was told
and asks again. Either may be tried twice: the engine gives the same run for the same key. Rows are kept for a week.

Each row is on disk before its request is answered. Requests that come while others are being written share the next
transaction: a disk that syncs slowly makes them wait for two syncs at most, however many they are.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from deployments.starter import RunOrder
from deployments.tables import DECIDED, INDEXES, LASTS, PLACES, ROWS, STARTS, TABLES, WAITS
from gopub.errors import GopubError
from gopub.paths import private_database, private_folder
from gopub.telemetry import log

KEPT = 7 * 86400.0
"""Seconds for which a repeated request is recognised."""

_LATER = frozenset({"commit", "after", "pushed", "queue", "trace"})
"""Fields of an order that came later than the file."""
_THREADS = 16
_LOCKED_FOR = 4.0
"""Seconds that a locked file is waited for: GitLab gives up on an answer after 10, and one may wait for two tries."""
_LOG = log("deliveries")
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request: its key, the digest of what it asked, the runs to start, and the answer once there is one."""

    key: str
    digest: str
    received: float
    orders: tuple[RunOrder, ...]
    outcome: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Start:
    """The last run that was started for a push, and the key of the order that started it."""

    key: str
    run: str
    name: str


@dataclass(frozen=True, slots=True)
class LastPush:
    """The push that was started last there: its order, the run, and the key of the delivery that it came with."""

    order: RunOrder
    run: str
    delivery: str


Began = tuple[Delivery, bool]


@dataclass(frozen=True, slots=True)
class _Wish:
    """A row to be written, and where whoever asked for it finds the answer."""

    key: str
    digest: str
    orders: str
    now: float
    answer: Future[Began] = field(default_factory=Future)


class Deliveries:
    """The table of deliveries in a SQLite file; safe to use from several threads and processes."""

    def __init__(self, file: Path) -> None:
        """Open or create the file.

        Raises:
            GopubError: GP915 the file cannot be used.
        """
        self._wishes: SimpleQueue[_Wish] = SimpleQueue()
        self._writing = threading.Lock()
        # Threads of its own: whatever else of this process hangs in one, an answer does not wait for it.
        self._threads = ThreadPoolExecutor(_THREADS, "deliveries")
        self._file = file
        self._engine = self._opened()
        self._place = _place(file)

    async def aside(
        self, ask: Callable[_Given, _Found], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Found:  # fmt: skip
        """Call one of the methods below in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: ask(*args, **kwargs))

    def begin(self, key: str, digest: str, orders: Sequence[RunOrder], now: float) -> Began:
        """Record a request before it is acted on; gives the row as it stands and whether it is new."""
        wish = _Wish(key, digest, json.dumps([_kept(order) for order in orders]), now)
        self._wishes.put(wish)
        with self._writing:
            if not wish.answer.done():
                self._write_all()
        return wish.answer.result()

    def _write_all(self) -> None:
        """Write what is wished for up to now in one transaction; only who holds ``_writing`` does."""
        wishes: list[_Wish] = []
        with suppress(Empty):
            while True:
                wishes.append(self._wishes.get_nowait())
        try:
            with self._usable():
                if self._place != _place(self._file):
                    self._go_on_in_a_new_file()
                with self._engine.begin() as db:
                    found = [_written(db, wish) for wish in wishes]
        except Exception as error:  # noqa: BLE001 - each of them is told
            for wish in wishes:
                wish.answer.set_exception(error)
        else:
            for wish, began in zip(wishes, found, strict=True):
                wish.answer.set_result(began)

    def _opened(self) -> sa.Engine:
        with self._usable():
            private_folder(self._file.parent)
            private_database(self._file)
            url = sa.URL.create("sqlite", database=str(self._file))
            engine = sa.create_engine(url, connect_args={"timeout": _LOCKED_FOR}, hide_parameters=True)
            sa.event.listen(engine, "connect", _make_durable)
            with engine.begin() as db:
                for table in TABLES:
                    db.execute(sa.schema.CreateTable(table, if_not_exists=True))
                for index in INDEXES:
                    db.execute(sa.schema.CreateIndex(index, if_not_exists=True))
        return engine

    def _go_on_in_a_new_file(self) -> None:
        """The file was removed or replaced: rows written to the old one would be gone when this process ends."""
        _LOG.error("%s was removed or replaced while it was in use: its rows are written anew", self._file)
        with self._engine.connect() as old:
            kept = {table: [dict(row) for row in old.execute(table.select()).mappings()] for table in TABLES}
        opened = self._opened()
        with opened.begin() as db:
            for table, rows in kept.items():
                if rows:
                    db.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
        before, self._engine, self._place = self._engine, opened, _place(self._file)
        before.dispose()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Tell what the file does as GP915."""
        try:
            yield
        except (OSError, SQLAlchemyError) as error:
            raise GopubError(
                "GP915",
                f"the file of deliveries, {self._file}, cannot be used: {getattr(error, 'orig', error)}",
                hint="gopub serve must be able to write there; --state names another folder",
            ) from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to the file that only reads.

        Raises:
            GopubError: GP915 the file cannot be used.
        """
        with self._usable(), self._engine.connect() as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction of its own.

        Raises:
            GopubError: GP915 the file cannot be used.
        """
        with self._usable(), self._engine.begin() as db:
            yield db

    def find(self, key: str) -> Delivery | None:
        """The row of a key, if there is one."""
        with self.reading() as db:
            row = db.execute(_of(key)).one_or_none()
        return delivery_of(row) if row else None

    def finish(self, key: str, outcome: dict[str, Any]) -> None:
        """Record the answer; a repeated request gets it again."""
        with self.writing() as db:
            db.execute(ROWS.update().where(ROWS.c.key == key).values(outcome=json.dumps(outcome)))

    def start_of(self, order: RunOrder) -> Start | None:
        """The last run that was started for a push there, if it was the same push and this week.

        Where another push has been started since, the branch was put back: the first run's release is not the last.
        """
        with self.reading() as db:
            row, last = (
                db.execute(STARTS.select().where(STARTS.c.same == same)).one_or_none()
                for same in (order.same, _lane(order))
            )
        return Start(row.key, row.run, row.name) if row and (last is None or last.run == row.run) else None

    def last_of(self, order: RunOrder) -> Start | None:
        """The last run of this week that was started there, if it was for a push or followed a rollout as this does."""
        with self.reading() as db:
            row = db.execute(STARTS.select().where(STARTS.c.same == _lane(order))).one_or_none()
        return Start(row.key, row.run, row.name) if row else None

    def started(self, order: RunOrder, run: str, name: str, now: float) -> None:
        """Record the run of an order, for other orders of the same push, or the next that follows a rollout there."""
        names = (order.same, _lane(order)) if order.same else (_lane(order),) if order.after else ()
        values = {"key": order.key, "run": run, "name": name, "at": now}
        with self.writing() as db:
            db.execute(STARTS.delete().where(STARTS.c.at < now - KEPT))
            for same in names:
                new = sqlite.insert(STARTS).values(same=same, **values)
                db.execute(new.on_conflict_do_update(index_elements=["same"], set_=values))

    def decided(self, key: str) -> str | None:
        """What was decided of an order: why it is not started; empty, it is; None, nothing yet."""
        with self.reading() as db:
            return db.scalar(sa.select(DECIDED.c.said).where(DECIDED.c.key == key))

    def decide(self, key: str, said: str, now: float, instead: str = "") -> str:
        """Decide that of an order; gives what was decided, which is another thing where somebody was quicker.

        Nothing is decided, and empty is given, where the order that comes ``instead`` is not started itself.
        """
        with self.writing() as db:
            db.execute(DECIDED.delete().where(DECIDED.c.at < now - 2 * KEPT))  # a write first: it waits for its turn
            if instead and db.scalar(sa.select(DECIDED.c.said).where(DECIDED.c.key == instead)):
                return ""
            db.execute(sqlite.insert(DECIDED).values(key=key, said=said, at=now).on_conflict_do_nothing())
            return str(db.scalar(sa.select(DECIDED.c.said).where(DECIDED.c.key == key)))

    def last_push(self, order: RunOrder) -> LastPush | None:
        """The push of this week that was started there last, of those that wait in a queue."""
        with self.reading() as db:
            row = db.execute(LASTS.select().where(LASTS.c.lane == _lane(order))).one_or_none()
        return LastPush(RunOrder(**json.loads(row.pushed)), row.run, row.delivery) if row else None

    def keep_last(self, delivery: str, order: RunOrder, run: str, now: float) -> None:
        """It was started, and is the last one there."""
        values = {"delivery": delivery, "pushed": json.dumps(_kept(order)), "run": run, "at": now}
        new = sqlite.insert(LASTS).values(lane=_lane(order), **values)
        with self.writing() as db:
            db.execute(LASTS.delete().where(LASTS.c.at < now - KEPT))
            db.execute(new.on_conflict_do_update(index_elements=["lane"], set_=values))

    def tell_superseded(self, key: str, refused: dict[str, str]) -> None:
        """Whose run was canceled for a newer push is told so, beside the run."""
        with self.writing() as db:
            said = db.scalar(sa.select(ROWS.c.outcome).where(ROWS.c.key == key))
            outcome = json.loads(said) if said else None
            if outcome is not None and refused not in outcome.get("refused", []):
                outcome["refused"] = [*outcome.get("refused", []), refused]
                db.execute(ROWS.update().where(ROWS.c.key == key).values(outcome=json.dumps(outcome)))

    def place_of(self, stream: str) -> int | None:
        """Up to which entry a stream of the journal was read; None where it never was."""
        with self.reading() as db:
            return db.scalar(sa.select(PLACES.c.version).where(PLACES.c.stream == stream))

    def keep_place(self, stream: str, version: int) -> None:
        """A stream was read up to this entry, and what it starts is written."""
        new = sqlite.insert(PLACES).values(stream=stream, version=version)
        with self.writing() as db:
            db.execute(new.on_conflict_do_update(index_elements=["stream"], set_={"version": version}))

    def waiting(self) -> list[Delivery]:
        """Webhooks whose runs are not started yet, oldest first."""
        query = ROWS.select().where(WAITS).order_by(ROWS.c.received, sa.literal_column("rowid"))
        with self.reading() as db:
            return [delivery_of(row) for row in db.execute(query)]

    def count(self) -> int:
        """How many wait."""
        with self.reading() as db:
            return int(db.execute(sa.select(sa.func.count()).select_from(ROWS).where(WAITS)).scalar_one())

    def close(self) -> None:
        """Close the file."""
        self._threads.shutdown()
        self._engine.dispose()


def _lane(order: RunOrder) -> str:
    """Names the row of the last start of a push there; no digest of a push looks like that."""
    return json.dumps([order.app, order.env, order.deployment])


def _kept(order: RunOrder) -> dict[str, Any]:
    """What is written of an order; without what came later as it always was."""
    return {name: value for name, value in asdict(order).items() if name not in _LATER or value}


def _make_durable(connection: Any, _record: object) -> None:
    """What was answered with 202 outlives the power; readers keep nobody waiting."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _place(file: Path) -> tuple[int, int] | None:
    """Which file lies there now."""
    with suppress(FileNotFoundError):
        found = file.stat()
        return found.st_dev, found.st_ino
    return None


def _written(db: sa.Connection, wish: _Wish) -> Began:
    new = sqlite.insert(ROWS).values(key=wish.key, digest=wish.digest, received=wish.now, orders=wish.orders)
    # A write first: it waits for its turn. What waits is nobody's to drop: a clock that leaps makes nothing old.
    db.execute(ROWS.delete().where(ROWS.c.received < wish.now - KEPT, sa.not_(WAITS)))
    made = db.execute(new.on_conflict_do_nothing()).rowcount
    return delivery_of(db.execute(_of(wish.key)).one()), bool(made)


def _of(key: str) -> sa.Select[Any]:
    return ROWS.select().where(ROWS.c.key == key)


def delivery_of(row: sa.Row[Any]) -> Delivery:
    """A row as it was kept."""
    made = tuple(RunOrder(**order) for order in json.loads(row.orders))
    return Delivery(row.key, row.digest, row.received, made, json.loads(row.outcome) if row.outcome else None)
