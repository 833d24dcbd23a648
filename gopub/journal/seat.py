"""The seat of an (app, env): who may order changes there, and until when; inside the journal's transactions."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from gopub.errors import LockedError
from gopub.journal.database import METADATA, database_now

SEATS = sa.Table(
    "seats",
    METADATA,
    sa.Column("app", sa.String(80), primary_key=True),
    sa.Column("env", sa.String(80), primary_key=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("rollout", sa.String(80), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
)


LONGEST = 3600.0
"""Seconds; no lease is given for nearly as long. One that ends later was written by a clock that was ahead: whoever
lives writes it anew within seconds, so it is a dead one's."""


@dataclass(frozen=True, slots=True)
class Seat:
    """The right to order changes for an (app, env): orders carry its epoch and token."""

    app: str
    env: str
    epoch: int
    token: str
    holder: str


def take(db: sa.Connection, seat: Seat, rollout: str, lease: float, *, force: bool) -> Seat:
    """Take it: epoch = the highest of ``seat.epoch`` and the journal's, plus 1.

    Raises:
        LockedError: GP707 a driver with a live lease sits there (unless ``force``: a rollback takes it).
    """
    held = db.execute(_row_of(seat)).first()
    now = database_now(db)
    if held and _lives(held.lease_until, now) and not force:
        raise LockedError(
            "GP707",
            f"{seat.app} in {seat.env} is held by {held.holder} (rollout {held.rollout}, epoch {held.epoch}, "
            f"lease ends in {held.lease_until - now:.0f}s)",
            hint=f"wait for it, or take it back with `gopub rollback {seat.app} --env {seat.env}`",
        )
    taken = Seat(seat.app, seat.env, max(seat.epoch, held.epoch if held else 0) + 1, seat.token, seat.holder)
    values = {"epoch": taken.epoch, "token": taken.token, "holder": taken.holder,
              "rollout": rollout, "lease_until": now + lease}  # fmt: skip
    if held:
        db.execute(sa.update(SEATS).where(_keys(seat)).values(values))
    else:
        db.execute(sa.insert(SEATS).values(app=seat.app, env=seat.env, **values))
    return taken


def renew(db: sa.Connection, seat: Seat, lease: float) -> None:
    """Prolong the lease; 0 gives the seat up without touching its epoch.

    Raises:
        LockedError: GP705 somebody else took the seat.
    """
    check(db, seat)
    db.execute(sa.update(SEATS).where(_keys(seat)).values(lease_until=database_now(db) + lease))


def holder(db: sa.Connection, app: str, env: str) -> tuple[Seat, bool] | None:
    """Who holds the seat, and whether the lease lives."""
    row = db.execute(_row_of(Seat(app, env, 0, "", ""))).first()
    if row is None:
        return None
    return Seat(app, env, row.epoch, row.token, row.holder), _lives(row.lease_until, database_now(db))


def lease_end(db: sa.Connection, app: str, env: str) -> float:
    """When its lease ends by the clock that wrote it, in seconds since the epoch; 0 where nobody ever sat there."""
    row = db.execute(_row_of(Seat(app, env, 0, "", ""))).first()
    return row.lease_until if row else 0.0


def check(db: sa.Connection, seat: Seat) -> None:
    """Insist that the seat is still this one.

    Raises:
        LockedError: GP705 somebody else took it.
    """
    held = db.execute(_row_of(seat)).first()
    if held is None or (held.epoch, held.token) != (seat.epoch, seat.token):
        who = f"{held.holder} (epoch {held.epoch})" if held else "nobody"
        raise LockedError("GP705", f"the seat of {seat.app} in {seat.env} is no longer ours: {who} holds it",
                          hint="this driver stops; see `gopub status`")  # fmt: skip


def _lives(lease_until: float, now: float) -> bool:
    return now < lease_until <= now + LONGEST


def _keys(seat: Seat) -> sa.ColumnElement[bool]:
    return (SEATS.c.app == seat.app) & (SEATS.c.env == seat.env)


def _row_of(seat: Seat) -> sa.Select[tuple[object, ...]]:
    return sa.select(SEATS).where(_keys(seat))
