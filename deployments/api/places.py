"""Places for questions to repositories: one that does not answer keeps nobody's start waiting.

So many questions are under way at once. A repository takes half of the places at most, whatever is asked of it; who
waits long for an answer gives the place back and goes on waiting without it; and one that gave no answer the last time
takes none until it does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gopub.clock import Clock
from gopub.errors import GopubError

BRIEF = 2.0
"""Seconds for which a question keeps its place; most are answered in less than one."""


def silent(error: Exception) -> bool:
    """Whether a repository gave no answer."""
    return isinstance(error, TimeoutError) or (isinstance(error, GopubError) and error.code == "GP939")


class Places:
    """Who may ask now."""

    def __init__(self, clock: Clock, at_once: int) -> None:
        """``at_once`` questions at a time, beside those that wait for long."""
        self._clock = clock
        self._free = asyncio.Semaphore(at_once)
        self._of = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(max(1, at_once // 2)))
        self._silent: set[str] = set()

    @asynccontextmanager
    async def ask(self, repository: str) -> AsyncIterator[None]:
        """A place for one question to this repository, which is the body."""
        async with self._of[repository]:
            if repository not in self._silent:
                async with self._briefly(), self._heard(repository):
                    yield
            else:
                async with self._heard(repository):
                    yield

    @asynccontextmanager
    async def _heard(self, repository: str) -> AsyncIterator[None]:
        """Remember whether it answered."""
        try:
            yield
        except Exception as error:
            if silent(error):
                self._silent.add(repository)
            raise
        self._silent.discard(repository)

    @asynccontextmanager
    async def _briefly(self) -> AsyncIterator[None]:
        await self._free.acquire()
        kept = asyncio.create_task(self._clock.sleep(BRIEF))
        kept.add_done_callback(lambda _: self._free.release())  # at its end, or when it is cancelled: once
        try:
            yield
        finally:
            kept.cancel()
