"""When a rollout may move: ``mon-thu 10:00-17:30 Asia/Shanghai``.

A window is read on the wall clock of its zone: on the day when clocks go forward the missing hour is in no
window, on the day when they go back the doubled hour is in it twice. A window whose end is not after its
start ends on the next day and belongs to the day on which it starts. Its start is inside, its end is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from gopub.errors import SpecError
from gopub.spec.near import did_you_mean

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"(?:([a-z,-]+)\s+)?(\d{2}):(\d{2})-(\d{2}):(\d{2})\s+(\S+)", re.IGNORECASE)
_HINT = 'write it as "mon-thu 10:00-17:30 Asia/Shanghai" or "02:00-06:00 UTC"'
_DAY = 24 * 60
_FURTHEST = 9 * _DAY  # a week, and a day for each change of the clocks


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the week on the wall clock of one zone."""

    text: str
    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    def contains(self, unix: float) -> bool:
        """Whether the window is open at ``unix`` (seconds since the epoch)."""
        local = datetime.fromtimestamp(unix, self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        yesterday = (today - 1) % 7
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)

    def next_open(self, unix: float) -> float | None:
        """The first moment from ``unix`` on at which it is open; None within nine days means never."""
        if self.contains(unix):
            return unix
        # Zone offsets are whole minutes, so a window opens at a whole minute.
        first = int(unix // 60 + 1) * 60
        return next((float(at) for at in range(first, first + _FURTHEST * 60, 60) if self.contains(at)), None)

    def __str__(self) -> str:
        """As it was written."""
        return self.text


def parse_window(text: str) -> Window:
    """Read a window.

    Raises:
        SpecError: GP131 when days, times or zone are wrong; a window without a zone is refused, for the
            zone of the machine that happens to drive the rollout is nobody's intention.
    """
    found = _WINDOW.fullmatch(text.strip())
    if not found:
        raise SpecError("GP131", f"{text!r} is not a window", hint=_HINT)
    start, end = _minute(found[2], found[3], text), _minute(found[4], found[5], text)
    if start in {end, _DAY}:
        raise SpecError("GP131", f"{text!r} is never open", hint='a whole day is "00:00-24:00"')
    return Window(text, _days(found[1], text), start, end, _zone(found[6], text))


def _minute(hour: str, minute: str, text: str) -> int:
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > _DAY:
        raise SpecError("GP131", f"{hour}:{minute} in {text!r} is not a time of day", hint=_HINT)
    return total


def _days(text: str | None, window: str) -> frozenset[int]:
    if not text:
        return frozenset(range(7))
    return frozenset(day for part in text.lower().split(",") for day in _range(part, window))


def _range(part: str, window: str) -> tuple[int, ...]:
    first, dash, last = part.partition("-")
    if first not in _DAYS or (dash and last not in _DAYS):
        raise SpecError("GP131", f"{part!r} in {window!r} is not a day", hint="days are " + ", ".join(_DAYS))
    begin = _DAYS.index(first)
    length = (_DAYS.index(last) - begin) % 7 if dash else 0
    return tuple((begin + step) % 7 for step in range(length + 1))


def _zone(name: str, window: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones(), otherwise='write a zone such as "Asia/Shanghai" or "UTC"')
        raise SpecError("GP131", f"{name!r} in {window!r} is not a time zone", hint=hint) from None
