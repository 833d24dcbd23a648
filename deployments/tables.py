"""The tables of the file of deliveries: what was asked for, started and read, and what forges are told of it."""

from __future__ import annotations

import sqlalchemy as sa

_META = sa.MetaData()

ROWS = sa.Table(
    "deliveries",
    _META,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("received", sa.REAL, nullable=False),
    sa.Column("orders", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
)
STARTS = sa.Table(
    "starts",
    _META,
    sa.Column("same", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("at", sa.REAL, nullable=False),
)
PLACES = sa.Table(
    "places",
    _META,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)
REPORTS = sa.Table(
    "reports",
    _META,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("app", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("wanted", sa.Text, nullable=False),
    sa.Column("changed", sa.REAL, nullable=False),
    sa.Column("told", sa.Text),
    sa.Column("refused", sa.Text),
    sa.Column("handle", sa.Text, nullable=False, server_default=""),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("claimed", sa.REAL, nullable=False, server_default="0"),
)
"""What should stand on a forge (``wanted``), what it took last (``told``), what it will never take (``refused``)."""
LOOKED = sa.Table(
    "looked",
    _META,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at", sa.REAL, nullable=False),
    sa.Column("over", sa.Integer, nullable=False),
)
"""When a delivery was looked at for its forge; ``over`` once nothing will change by it any more."""
DECIDED = sa.Table(
    "decided",
    _META,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("said", sa.Text, nullable=False),
    sa.Column("at", sa.REAL, nullable=False),
)
"""What is to become of an order for good: why it is not started, or empty: it is."""
LASTS = sa.Table(
    "lasts",
    _META,
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("delivery", sa.Text, nullable=False),
    sa.Column("pushed", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("at", sa.REAL, nullable=False),
)
"""The push that was started last, of those that wait in a queue."""
TABLES = (ROWS, STARTS, PLACES, REPORTS, LOOKED, DECIDED, LASTS)
WAITS = sa.and_(ROWS.c.outcome.is_(None), ROWS.c.orders != sa.literal_column("'[]'"))
INDEXES = (
    sa.Index("deliveries_received", ROWS.c.received),
    sa.Index("deliveries_waiting", ROWS.c.received, sqlite_where=WAITS),
    sa.Index(
        "reports_due",
        REPORTS.c.changed,
        sqlite_where=sa.or_(REPORTS.c.told.is_(None), REPORTS.c.told != REPORTS.c.wanted),
    ),
)
