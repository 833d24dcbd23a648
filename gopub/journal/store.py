"""The journal: one append-only table, hash-chained, and the seats beside it.

SQLite by default, PostgreSQL through a URL; alembic migrates it. It decides nothing: it keeps events in order,
refuses an append to a stream that has moved on, and refuses a driver that lost its seat.
The chain runs over all streams: ``hash = sha256(previous hash + canonical entry)``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gopub.canon import Json, JsonError, canonical, read_json, sha256
from gopub.clock import Clock
from gopub.errors import GopubError, LockedError
from gopub.journal import seat as seats
from gopub.journal.database import AWAY, METADATA, PATIENCE, WRITES, advice, cause, connected, engine_of, shown
from gopub.journal.entry import Entry
from gopub.journal.events import Event, Judged, decode, encode
from gopub.journal.heads import GENESIS, Chain, Head
from gopub.journal.migrations import upgrade
from gopub.journal.seat import Seat

JOURNAL = sa.Table(
    "journal",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stream", sa.String(200), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("type", sa.String(60), nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("trace", sa.String(32), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.UniqueConstraint("stream", "version", name="one_event_per_version"),
)
LARGEST = 64 << 20
"""Bytes of one entry; a plan of 5,000 hosts has about 3 MB."""


_AT_ONCE = 500
"""Entries that are held while the whole chain is walked: a server would send all of them."""


class Journal:
    """Reads and appends; one object per process."""

    def __init__(
        self, engine: sa.Engine, clock: Clock, *, patience: float = PATIENCE, away: float = AWAY, spool: bool = False
    ) -> None:
        """Use ``open_journal``; this takes an engine whose schema is up to date."""
        self._spool = spool
        self._engine = engine
        self._clock = clock
        self._patience = patience
        self._away = away
        self._head = Head()

    @property
    def head(self) -> Head:
        """The newest entry that this process wrote, or read: all that was before it is fixed by its hash.

        Of a spool nothing is said: it has a chain of its own, which no journal will have once it is adopted.
        """
        return Head() if self._spool else self._head

    def _saw(self, head: Head) -> None:
        if head.seq >= self._head.seq:
            self._head = head

    def close(self) -> None:
        """Let go of the database; SQLite then leaves one file."""
        self._engine.dispose()

    def try_to_write(self) -> None:
        """See whether an entry would be taken: the right to write is taken and given back, and nothing is written.

        Raises:
            GopubError: GP701 somebody holds it for longer than this waits, or it cannot be written.
        """
        with self._transaction(self._patience):
            pass

    def wait_at_most(self, seconds: float) -> None:
        """From here on wait only so long for somebody who is writing: a driver that goes back has no time for it."""
        self._patience = seconds

    def append(
        self,
        stream: str,
        expected: int,
        events: Sequence[Event],
        *,
        actor: str,
        trace: str = "",
        seat: Seat | None = None,
    ) -> int:
        """Append after version ``expected`` of the stream; gives the new version.

        Raises:
            LockedError: GP704 the stream moved on, GP705 ``seat`` was taken by somebody else.
            GopubError: GP701 the journal cannot be written.
        """
        return self.append_all([(stream, expected, events)], actor=actor, trace=trace, seat=seat)[0]

    def append_all(
        self,
        parts: Sequence[tuple[str, int, Sequence[Event]]],
        *,
        actor: str,
        trace: str = "",
        seat: Seat | None = None,
    ) -> list[int]:
        """Append to several streams, each after its expected version, all or nothing; see ``append``."""
        try:
            with self._transaction() as db:
                if seat:
                    seats.check(db, seat)
                done = [
                    self._insert(db, stream, expected, events, (actor, trace)) for stream, expected, events in parts
                ]
        except IntegrityError as error:
            raise _stale(*parts[0][:2]) from error
        for _, head in done:  # only now they are there for good
            self._saw(head)
        return [version for version, _ in done]

    def _insert(
        self, db: sa.Connection, stream: str, expected: int, events: Sequence[Event], by: tuple[str, str]
    ) -> tuple[int, Head]:
        version = db.scalar(sa.select(sa.func.max(JOURNAL.c.version)).where(JOURNAL.c.stream == stream)) or 0
        if version != expected:
            raise _stale(stream, expected)
        last = db.execute(sa.select(JOURNAL.c.seq, JOURNAL.c.hash).order_by(JOURNAL.c.seq.desc()).limit(1)).first()
        seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
        for event in events:
            version, seq = version + 1, seq + 1
            row = _row((seq, stream, version), event, by, self._clock.now())
            row["previous"], row["hash"] = previous, _hash(previous, row)
            previous = str(row["hash"])
            db.execute(sa.insert(JOURNAL).values(row))
        return version, Head(seq, previous)

    def read(self, stream: str, after: int = 0) -> list[Entry]:
        """Every entry of a stream, oldest first; of what is known up to the version ``after`` none."""
        with self._connection() as db:
            new = (JOURNAL.c.stream == stream, JOURNAL.c.version > after)
            return self._entries(db, sa.select(JOURNAL).where(*new).order_by(JOURNAL.c.version))

    def read_turns(self, stream: str, since: float = math.inf, every: int = 0) -> list[Entry]:
        """The same without the looks that another look followed, before ``since``: all that a state is folded from.

        With ``every`` each entry is there whose version it divides: the course of a rollout can be drawn from them.
        A rollout of days has tens of thousands of looks, and who asks how it stands asks each minute.
        """
        later = JOURNAL.alias()
        followed = sa.exists().where(
            later.c.stream == stream,
            later.c.version == JOURNAL.c.version + 1,
            later.c.type == Judged.__name__,
            *((later.c.at < since,) if since < math.inf else ()),
        )
        turn = sa.or_(JOURNAL.c.type != Judged.__name__, ~followed)
        if every:
            turn = sa.or_(turn, JOURNAL.c.version % every == 0)
        with self._connection() as db:
            return self._entries(
                db, sa.select(JOURNAL).where(JOURNAL.c.stream == stream, turn).order_by(JOURNAL.c.version)
            )

    def read_after(self, seq: int, kinds: Collection[str], most: int) -> list[Entry]:
        """At most so many entries of these types, of whatever streams, behind the place ``seq`` in the journal."""
        query = sa.select(JOURNAL).where(JOURNAL.c.seq > seq, JOURNAL.c.type.in_(sorted(kinds)))
        with self._connection() as db:
            return self._entries(db, query.order_by(JOURNAL.c.seq).limit(most))

    def last(self) -> tuple[int, float]:
        """The number of the newest entry and when it was written; zeros of an empty journal."""
        with self._connection() as db:
            row = db.execute(sa.select(JOURNAL.c.seq, JOURNAL.c.at).order_by(JOURNAL.c.seq.desc()).limit(1)).first()
            return (int(row.seq), float(row.at)) if row else (0, 0.0)

    def _entries(self, db: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Entry]:
        found = [_entry(row) for row in db.execute(query)]
        if found:
            self._saw(Head(found[-1].seq, found[-1].hash))
        return found

    def streams(self, prefix: str) -> list[str]:
        """Names of the streams that begin with ``prefix``, in the order of their first entry."""
        with self._connection() as db:
            query = (
                sa.select(JOURNAL.c.stream)
                .where(JOURNAL.c.stream.startswith(prefix, autoescape=True))
                .group_by(JOURNAL.c.stream)
                .order_by(sa.func.min(JOURNAL.c.seq))
            )
            return list(db.scalars(query))

    def versions(self, prefix: str) -> dict[str, int]:
        """How many entries each stream has whose name begins with ``prefix``."""
        with self._connection() as db:
            query = (
                sa.select(JOURNAL.c.stream, sa.func.max(JOURNAL.c.version))
                .where(JOURNAL.c.stream.startswith(prefix, autoescape=True))
                .group_by(JOURNAL.c.stream)
            )
            return {row[0]: row[1] for row in db.execute(query)}

    def verify(self) -> int:
        """Walk the chain; gives the number of entries.

        Raises:
            GopubError: GP706 naming the first entry that was altered, removed or put in.
        """
        chain = self.chain()
        if chain.breaks is not None:
            raise GopubError("GP706", f"the journal's chain breaks at {chain.breaks}",
                             hint="restore it from a backup; what the hosts run is not affected")  # fmt: skip
        return chain.entries

    def chain(self, wanted: Collection[int] = ()) -> Chain:
        """Walk the chain as far as it holds; gives the hashes of the entries whose numbers are ``wanted``."""
        before = Head()
        hashes: dict[int, str] = {}
        with self._connection() as db:
            query = sa.select(JOURNAL).order_by(JOURNAL.c.seq).execution_options(yield_per=_AT_ONCE)
            for row in db.execute(query):
                values, seq = dict(row._mapping), before.seq + 1  # noqa: SLF001 - SQLAlchemy's documented name
                if values["seq"] != seq or row.previous != before.hash or row.hash != _hash(before.hash, values):
                    return Chain(before, hashes, f"entry {seq} ({row.stream})")
                before = Head(seq, row.hash)
                if seq in wanted:
                    hashes[seq] = before.hash
        return Chain(before, hashes)

    def take_seat(self, seat: Seat, *, rollout: str, lease: float, force: bool = False) -> Seat:
        """Take the seat; see `seat.take`."""
        with self._transaction() as db:
            return seats.take(db, seat, rollout, lease, force=force)

    def renew_seat(self, seat: Seat, lease: float, *, patience: float = PATIENCE) -> None:
        """Prolong the lease, waiting at most ``patience`` seconds for the database; see `seat.renew`."""
        with self._transaction(patience) as db:
            seats.renew(db, seat, lease)

    def seated(self, app: str, env: str) -> tuple[Seat, bool] | None:
        """Who holds the seat, and whether the lease lives."""
        with self._connection() as db:
            return seats.holder(db, app, env)

    def lease_end(self, app: str, env: str) -> float:
        """When the seat's lease ends; see `seat.lease_end`."""
        with self._connection() as db:
            return seats.lease_end(db, app, env)

    @contextmanager
    def _transaction(self, patience: float = PATIENCE) -> Iterator[sa.Connection]:
        try:
            with self._connected(patience, writes=True) as db, db.begin():
                if self._engine.dialect.name == "postgresql":
                    waits = max(1, round(min(self._patience, patience) * 1000))  # 0 would be for ever
                    db.execute(sa.text(f"SET LOCAL lock_timeout = {waits}"))
                    db.execute(sa.text("LOCK TABLE journal, seats IN EXCLUSIVE MODE"))
                yield db
        except (IntegrityError, GopubError):
            raise
        except SQLAlchemyError as error:
            raise GopubError("GP701", f"the journal cannot be written: {cause(error)}",
                             hint="no step goes forward; `gopub rollback` works without it") from error  # fmt: skip

    def _connected(self, patience: float = PATIENCE, *, writes: bool = False) -> sa.Connection:
        patience = min(self._patience, patience)
        engine = self._engine.execution_options(patience=patience, **(WRITES if writes else {}))
        return connected(engine, min(patience, self._away))

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        try:
            with self._connected() as db:
                yield db
        except SQLAlchemyError as error:
            raise GopubError("GP701", f"the journal cannot be read: {cause(error)}",
                             hint="`gopub rollback` works without it") from error  # fmt: skip


def open_journal(
    url: str, clock: Clock, *, patience: float = PATIENCE, away: float = AWAY, spool: bool = False
) -> Journal:
    """Open the journal at a SQLAlchemy URL or a file path, bringing its schema up to date.

    ``patience`` is how many seconds SQLite waits for somebody else's lock, then and for as long as it is open. A server
    must be there now; for one that is away later whoever asks waits at most ``away`` seconds of these. A ``spool`` is
    kept in the place of a journal that is down.

    Raises:
        GopubError: GP701 it cannot be opened.
    """
    try:
        engine = engine_of(url, patience)
        upgrade(engine)
    except (SQLAlchemyError, OSError, ImportError) as error:
        raise GopubError("GP701", f"the journal at {shown(url)} cannot be opened: {cause(error)}",
                         hint=advice(url, error)) from error  # fmt: skip
    return Journal(engine, clock, patience=patience, away=away, spool=spool)


def _row(place: tuple[int, str, int], event: Event, by: tuple[str, str], at: float) -> dict[str, Json]:
    kind, data = encode(event)
    return {
        "seq": place[0], "stream": place[1], "version": place[2], "type": kind,
        "data": canonical(data).decode(), "actor": by[0], "trace": by[1], "at": at,
    }  # fmt: skip


_HASHED: Iterable[str] = ("seq", "stream", "version", "type", "data", "actor", "trace", "at")


def _hash(previous: str, row: dict[str, Json]) -> str:
    return sha256(previous.encode() + canonical({name: row[name] for name in _HASHED}))


def _entry(row: sa.Row[tuple[object, ...]]) -> Entry:
    try:
        data = read_json(row.data, limit=LARGEST)
        if not isinstance(data, dict):
            raise JsonError("it is no mapping")  # noqa: TRY301 - told below, as what it is
        event = decode(row.type, data)
    except JsonError as error:
        raise GopubError("GP703", f"the journal's entry {row.seq} is damaged: {error}",
                         hint="restore it from a backup; `gopub rollback` works without it") from error  # fmt: skip
    return Entry(row.seq, row.stream, row.version, event, row.actor, row.trace, row.at, row.hash)


def _stale(stream: str, expected: int) -> LockedError:
    return LockedError("GP704", f"{stream} moved on past version {expected} while we were about to write",
                       hint="somebody else acts on it; see `gopub status`")  # fmt: skip
