"""When a rollout may move: ``mon-thu 10:00-17:30 Asia/Shanghai``.

A window is read on the wall clock of its zone: on the day when clocks go forward the missing hour is in no
window, on the day when they go back the doubled hour is in it twice. A window whose end is not after its
start ends on the next day and belongs to the day on which it starts. Its start is inside, its end is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import pairwise
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

    def spans(self, begin: float, end: float) -> tuple[tuple[int, int], ...]:
        """When it is open between two moments: from, and until, in whole seconds since the epoch and in order.

        It opens and closes at its own times, and where the clocks change; what lies between is constant.
        """
        moments = sorted({int(begin), *self._changes(int(begin), int(end)), int(end)})
        found: list[tuple[int, int]] = []
        for moment, following in pairwise(moments):
            if not self.contains(moment):
                continue
            if found and found[-1][1] == moment:
                found[-1] = (found[-1][0], following)
            else:
                found.append((moment, following))
        return tuple(found)

    def _changes(self, begin: int, end: int) -> Iterator[int]:
        first = datetime.fromtimestamp(begin, self.zone).date() - timedelta(days=1)
        for day in range((end - begin) // 86_400 + 3):
            for minute in (0, self.start, self.end % _DAY):
                wall = datetime.combine(first + timedelta(days=day), time(minute // 60, minute % 60), self.zone)
                # In a missing or doubled hour a wall clock's time is two moments, or none: both guesses are looked at.
                for fold in (0, 1):
                    if begin < (moment := int(wall.replace(fold=fold).timestamp())) < end:
                        yield moment
        yield from self._clock_changes(begin, end)

    def _clock_changes(self, begin: int, end: int) -> Iterator[int]:
        """The moments at which the zone's offset changes, which are whole minutes."""
        edge = begin
        while edge < end:
            following = min(edge + 3600, end)
            if self._offset(edge) != self._offset(following):
                low, high = edge, following
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if self._offset(middle) == self._offset(edge) else (low, middle)
                yield high
            edge = following

    def _offset(self, moment: int) -> timedelta | None:
        return datetime.fromtimestamp(moment, self.zone).utcoffset()

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
