"""Spans of time in a person's words: the one that counts at a moment, in UTC, for edges know no zones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

_NEAR = 86_400
"""What ends before stands for no time at all: an edge takes no empty list, so a window that does not open is the
first second of 1970."""


def said_spans(spans: Sequence[tuple[int, int]], at: float) -> str:
    """One line: ``2026-12-01 09:00 to 18:00 UTC, the next of 9 spans``; never more than one of them."""
    if not spans or spans[-1][1] < _NEAR:
        return "no time that is near"
    place = next((place for place, (_, end) in enumerate(spans) if at < end), len(spans) - 1)
    begin, end = spans[place]
    which = "the last" if at >= end else "the next" if at < begin else "now, one"
    return f"{_said(begin, end)}, {which} of {len(spans)} spans" if len(spans) > 1 else _said(begin, end)


def _said(begin: int, end: int) -> str:
    first, second = _moment(begin), _moment(end)
    if first is None or second is None:
        return f"the seconds {begin} to {end}"
    until = _clock(second) if _day(first) == _day(second) else f"{_day(second)} {_clock(second)}"
    return f"{_day(first)} {_clock(first)} to {until} UTC"


def _moment(at: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):  # later than the year 9999
        return None


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


def _clock(moment: datetime) -> str:
    return moment.time().isoformat("seconds" if moment.second else "minutes")
