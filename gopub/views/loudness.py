"""How loud an entry of the journal is told where lines have a level; `gopub.views.progress` says what is told. Pure.

A person who filters a run's log by level finds at ERROR what went wrong for good, and at WARNING what somebody should
look at while it goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from gopub.journal import events as ev
from gopub.journal.hooks import HookEnded
from gopub.judge.verdict import Kind
from gopub.plan.model import Outcome

GOOD = frozenset({Outcome.PROMOTED, Outcome.MENDED})


def loudness(event: ev.Event) -> int:  # noqa: PLR0911 - one case per kind, each a line
    """The level of ``logging``: INFO, WARNING or ERROR."""
    match event:
        case ev.Judged():
            return _of_verdict(event)
        case ev.Refused() | ev.GoingBack() | ev.HostFailed():
            return logging.ERROR
        case ev.TrafficOff(missed=missed):
            return logging.ERROR if missed else logging.INFO
        case ev.Closed(outcome=outcome) if outcome not in GOOD:
            return logging.ERROR
        case ev.Closed(owed=owed, owed_edges=edges):
            return logging.WARNING if owed or edges else logging.INFO
        case HookEnded(ok=ok, undoes=undoes):
            return logging.INFO if ok else logging.WARNING if undoes else logging.ERROR
        case ev.HostOwed() | ev.Held():
            return logging.WARNING
        case ev.TablePut(acks=acks):
            return logging.INFO if all(said == "ok" for said in acks.values()) else logging.WARNING
        case _:
            return logging.INFO


def _of_verdict(judged: ev.Judged) -> int:
    if judged.kind in (Kind.ROLLBACK, Kind.WITHDRAW):
        return logging.ERROR
    record = judged.record.get("record")
    verdict = record.get("verdict") if isinstance(record, Mapping) else None
    alert = isinstance(verdict, Mapping) and bool(verdict.get("alert"))
    return logging.WARNING if alert or judged.kind == Kind.WATCH else logging.INFO
