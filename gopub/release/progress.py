"""What a release says of itself while it is made: each stage begins with a line and ends with how long it took.

A stage that goes on for long is named again, so that nobody watches a silent terminal. The lines go to the logger
``gopub.release``: the command prints them, and a worker's run shows them on its page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gopub.clock import SILENT, Clock, SystemClock
from gopub.telemetry import log
from gopub.units import say_seconds

_LEAST = 0.05
"""Seconds between two looks at least."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What is done, such as ``compiling linux/arm64``, and since when: seconds since the epoch."""

    doing: str
    began: float

    def took(self, now: float) -> float:
        """Seconds; a clock that was set back makes none of them negative."""
        return max(now - self.began, 0.0)


class Progress:
    """The stages of one release, also those side by side; what none of them said for ``silent`` seconds is said."""

    def __init__(self, say: Callable[[str], None], clock: Clock, silent: float = SILENT) -> None:
        """Say lines with ``say``, by ``clock``."""
        self._say, self._clock, self._silent = say, clock, silent
        self._said = clock.now()
        self._going: list[Stage] = []

    @asynccontextmanager
    async def stage(self, doing: str, *, brief: bool = False) -> AsyncIterator[None]:
        """Tell of what is done within: that it begins, that it goes on, and how it ended; a ``brief`` one only if long.

        What it raises is told by whoever catches it.
        """
        stage = Stage(doing, self._clock.now())
        self._going.append(stage)
        if not brief:
            self._tell(f"{doing} …")
        watch = asyncio.create_task(self._watch())
        ended = "failed"
        try:
            yield
            ended = "done"
        except asyncio.CancelledError:
            ended = "stopped"
            raise
        finally:
            watch.cancel()
            self._going.remove(stage)
            took = stage.took(self._clock.now())
            if not brief or took >= self._silent:
                self._tell(f"{doing}: {ended} after {say_took(took)}")

    def _tell(self, text: str) -> None:
        self._said = self._clock.now()
        self._say(text)

    async def _watch(self) -> None:
        while True:
            left = self._said + self._silent - self._clock.now()
            await self._clock.sleep(min(max(left, _LEAST), self._silent))
            now = self._clock.now()
            if now - self._said >= self._silent:  # one of several side by side says it for all
                self._tell(still(self._going, now))


def still(going: list[Stage], now: float) -> str:
    """``still compiling linux/amd64, 20s; compiling linux/arm64, 18s``. Pure."""
    return "still " + "; ".join(f"{one.doing}, {say_took(one.took(now))}" for one in going)


def say_took(seconds: float) -> str:
    """``400ms``, ``3.2s``, ``20s``, ``2m5s``: no more digits than anybody wants. Pure."""
    return say_seconds(round(seconds, 1) if seconds < 10 else round(seconds))


def progress(clock: Clock | None = None) -> Progress:
    """The one that writes to the log, by the machine's clock."""
    write = log("release")
    return Progress(lambda line: write.info("%s", line), clock or SystemClock())
