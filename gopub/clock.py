"""Time, waiting and tokens: only here is the machine asked for the time; tests pass a clock that they move by hand."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from typing import Protocol

SILENT = 10.0
"""Seconds after which whoever works on something long says again that it goes on."""


class Clock(Protocol):
    """What the rest of gopub knows of time."""

    def now(self) -> float:
        """Seconds since the epoch (wall clock)."""

    async def sleep(self, seconds: float) -> None:
        """Wait; must return early only when the task is cancelled."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when it is told to, or when somebody sleeps on it (public test double)."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        """Start at ``start`` seconds since the epoch."""
        self._now = start

    def now(self) -> float:
        """The time it was last moved to."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move on at once and let other tasks run."""
        self._now += seconds
        await asyncio.sleep(0)


def tries(seconds: float, pause: float = 0.25) -> Iterator[bool]:
    """One try at once, and another after each pause until so many seconds are over; says whether it is the last.

    It blocks its thread.

    For what is called where nothing can be awaited, such as a database that is just coming back.
    """
    end = time.monotonic() + seconds
    while not (is_last := time.monotonic() >= end):
        yield is_last
        time.sleep(pause)
    yield is_last


def new_token() -> str:
    """128 random bits in hex: names one taking of a seat, or one rollout."""
    return secrets.token_hex(16)
