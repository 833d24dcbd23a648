"""What the owner of a journal's database can do to it: every hash is made anew, so that the chain holds again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from gopub.journal.store import JOURNAL, _hash

Rows = list[dict[str, Any]]
GENESIS = "0" * 64


def rows_of(engine: sa.Engine) -> Rows:
    """The whole journal as it is."""
    with engine.connect() as db:
        return [dict(row) for row in db.execute(sa.select(JOURNAL).order_by(JOURNAL.c.seq)).mappings()]


def laid(engine: sa.Engine, rows: Iterable[Mapping[str, Any]]) -> None:
    """Take these for the journal, as they are."""
    with engine.begin() as db:
        db.execute(sa.delete(JOURNAL))
        for row in rows:
            db.execute(sa.insert(JOURNAL).values(dict(row)))


def chained(rows: Iterable[Mapping[str, Any]]) -> Rows:
    """The same, numbered anew, each stream as well, and with a chain of its own."""
    made: Rows = []
    versions: dict[str, int] = {}
    before = GENESIS
    for seq, row in enumerate(rows, 1):
        version = versions[row["stream"]] = versions.get(row["stream"], 0) + 1
        new = {**row, "seq": seq, "version": version, "previous": before}
        new["hash"] = before = _hash(before, new)
        made.append(new)
    return made


def rewritten(engine: sa.Engine, change: Callable[[Rows], Rows]) -> None:
    """The journal as its owner would rather have it."""
    laid(engine, chained(change(rows_of(engine))))
