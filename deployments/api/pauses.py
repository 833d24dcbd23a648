"""How long what failed is left alone: longer after each failure, until it works or is over."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gopub.clock import Clock

RETRY_EVERY = 5.0
LONGEST_PAUSE = 30.0
"""Seconds between two tries while the engine, a repository or an order fails."""

What = TypeVar("What", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Pause:
    """How long something that failed is left alone."""

    length: float
    until: float

    def lasts(self, now: float) -> bool:
        """Whether it is not over; a clock that was set back makes it no longer than it is."""
        return 0 < self.until - now <= self.length


def longer(before: Pause | None, now: float, most: float = LONGEST_PAUSE) -> Pause:
    """The pause after another failure: twice as long. Of several that failed together the first counts."""
    if before is None:
        return Pause(RETRY_EVERY, now + RETRY_EVERY)
    if before.lasts(now):
        return before
    length = min(2 * before.length, most)
    return Pause(length, now + length)


class Pauses(Generic[What]):
    """What is left alone now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: dict[What, Pause] = {}

    def any_of(self, *what: What) -> bool:
        """Whether one of these is left alone still."""
        now = self._clock.now()
        return any(self._of[one].lasts(now) for one in what if one in self._of)

    def add(self, what: What) -> None:
        """It failed (again)."""
        self._of[what] = longer(self._of.get(what), self._clock.now())

    def end(self, *what: What) -> None:
        """These work, or are over: the next failure is a first one."""
        for one in what:
            self._of.pop(one, None)
