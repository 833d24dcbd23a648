"""What forges are to be told, in the file of deliveries: what should stand there, what they took, what they refused.

A row is one status or one record; only its last state counts. Whoever sends takes a row for a minute, so two processes
on one file do not send it twice at once; twice one after the other is harmless, as it is the same name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from deployments.deliveries import KEPT, Deliveries, Delivery, delivery_of
from deployments.tables import LOOKED, REPORTS, ROWS
from deployments.writeback.model import DeploymentRecord, Report, Stand, kept, key_of, report_of

TAKEN_FOR = 60.0
"""Seconds for which a row is its sender's; longer than a report may take."""
_WANTS = sa.and_(
    sa.or_(REPORTS.c.told.is_(None), REPORTS.c.told != REPORTS.c.wanted),
    sa.or_(REPORTS.c.refused.is_(None), REPORTS.c.refused != REPORTS.c.wanted),
)
_IS_INACTIVE = REPORTS.c.wanted.contains('"state": "inactive"', autoescape=True)


@dataclass(frozen=True, slots=True)
class Letter:
    """A report that is to be sent; ``handle`` is the forge's id of its record, ``tries`` how often it was tried."""

    key: str
    app: str
    report: Report
    changed: float
    handle: str
    tries: int


class Outbox:
    """The reports in the file of deliveries; every method may raise GP915, where the file cannot be used."""

    def __init__(self, deliveries: Deliveries) -> None:
        """Use the tables of that file."""
        self._file = deliveries

    def want(self, app: str, report: Report, now: float) -> bool:
        """This should stand on the app's forge; gives whether that is news.

        A record that is inactive stays so: who comes late with what was before says nothing new.
        """
        text = kept(report)
        lane = report.environment if isinstance(report, DeploymentRecord) else ""
        values = {"app": app, "lane": lane, "wanted": text, "changed": now, "tries": 0}
        new = sqlite.insert(REPORTS).values(key=key_of(app, report), **values)
        changed = new.on_conflict_do_update(
            index_elements=["key"], set_=values, where=sa.and_(REPORTS.c.wanted != text, sa.not_(_IS_INACTIVE))
        )
        with self._file.writing() as db:
            return bool(db.execute(changed).rowcount)

    def replace_others(self, app: str, record: DeploymentRecord, now: float) -> None:
        """No other record of that environment is what runs there: those that were are inactive."""
        rows = REPORTS.select().where(REPORTS.c.app == app, REPORTS.c.lane == record.environment)
        with self._file.reading() as db:
            there = [report_of(row.wanted) for row in db.execute(rows)]
        for one in there:
            if isinstance(one, DeploymentRecord) and one.name != record.name and one.state is Stand.SUCCESS:
                self.want(app, replace(one, state=Stand.INACTIVE), now)

    def due(self, now: float, most: int = 100) -> list[Letter]:
        """What is to be sent and nobody is sending, the oldest first."""
        query = REPORTS.select().where(_WANTS, _free(now)).order_by(REPORTS.c.changed).limit(most)
        with self._file.reading() as db:
            return [Letter(row.key, row.app, report_of(row.wanted), row.changed, row.handle, row.tries)
                    for row in db.execute(query)]  # fmt: skip

    def take(self, letter: Letter, now: float) -> bool:
        """Whether the row is ours to send now."""
        mine = (REPORTS.c.key == letter.key, REPORTS.c.wanted == kept(letter.report), _WANTS, _free(now))
        with self._file.writing() as db:
            taken = REPORTS.update().where(*mine).values(claimed=now, tries=REPORTS.c.tries + 1)
            return bool(db.execute(taken).rowcount)

    def settle(self, letter: Letter, *, told: bool = False, refused: bool = False, handle: str = "") -> None:
        """What came of sending it; neither told nor refused: it is sent again."""
        text = kept(letter.report)
        values = {"claimed": 0.0} | ({"told": text} if told else {}) | ({"refused": text} if refused else {})
        values |= {"handle": handle} if handle else {}
        with self._file.writing() as db:
            db.execute(REPORTS.update().where(REPORTS.c.key == letter.key).values(**values))

    def begin(self, now: float) -> None:
        """Forget what is old, and try once more what was refused: somebody may have mended a token."""
        old = now - KEPT
        runs = REPORTS.c.wanted.contains('"state": "success"', autoescape=True)
        with self._file.writing() as db:
            db.execute(REPORTS.delete().where(REPORTS.c.changed < old, sa.not_(sa.and_(REPORTS.c.lane != "", runs))))
            db.execute(REPORTS.update().where(REPORTS.c.changed > now - 86400.0).values(refused=None))
            db.execute(LOOKED.delete().where(LOOKED.c.at < old - KEPT))

    def unseen(self, now: float, most: int) -> Sequence[Delivery]:
        """Deliveries of this week by which something may change, those first that were looked at longest ago."""
        both = ROWS.outerjoin(LOOKED, LOOKED.c.key == ROWS.c.key)
        query = (
            sa.select(ROWS).select_from(both)
            .where(ROWS.c.received > now - KEPT, sa.func.coalesce(LOOKED.c.over, 0) == 0)
            .order_by(sa.func.coalesce(LOOKED.c.at, 0.0), ROWS.c.received).limit(most)
        )  # fmt: skip
        with self._file.reading() as db:
            return [delivery_of(row) for row in db.execute(query)]

    def looked(self, keys: Collection[str], now: float, over: Collection[str]) -> None:
        """These were looked at; of those that are ``over`` nothing is asked any more."""
        new = sqlite.insert(LOOKED)
        kept_as = {"at": new.excluded.at, "over": new.excluded.over}
        rows = [{"key": key, "at": now, "over": int(key in over)} for key in keys]
        if rows:
            with self._file.writing() as db:
                db.execute(new.on_conflict_do_update(index_elements=["key"], set_=kept_as), rows)


def _free(now: float) -> sa.ColumnElement[bool]:
    """Nobody took it lately; a clock that was set back keeps no row from being sent."""
    return sa.or_(REPORTS.c.claimed < now - TAKEN_FOR, REPORTS.c.claimed > now + TAKEN_FOR)
