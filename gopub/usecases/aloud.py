"""A way back tells what it waits for while it waits: hosts that do not answer, edges, open requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from gopub.clock import Clock
from gopub.journal import events as ev
from gopub.views.awaited import Awaited, answering

LOOK = 0.5
"""Seconds between two looks at what is waited for."""
JOURNAL_IS_FREE = "whoever holds the journal; after a few seconds it goes on without it"
EDGES_SAY = "the edges to say which order they saw last"


class Aloud:
    """Keeps what is waited for, and tells it once it is worth a line."""

    def __init__(self, tell: Callable[[str], None], clock: Clock) -> None:
        """Wait for nothing yet."""
        self._tell, self._clock, self._awaited = tell, clock, Awaited()
        self._asked: list[str] = []

    def asking(self, hosts: Iterable[str]) -> None:
        """These were asked what they run."""
        self._asked = list(hosts)
        self.waits(answering(self._asked))

    def answered(self, host: str) -> None:
        """That one has said it, or why not."""
        self._asked = [name for name in self._asked if name != host]
        self.waits(answering(self._asked))

    def waits(self, what: str) -> None:
        """Waiting for this now; for nothing, where it is empty."""
        self._awaited = self._awaited.on(what, self._clock.now())

    def heard(self, event: ev.Event) -> None:
        """An entry of the rollout that goes back."""
        self._awaited = self._awaited.after(event, self._clock.now())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Tell beside the body what it waits for."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(LOOK)
            if line := self._awaited.line(self._clock.now()):
                self._awaited = self._awaited.told()
                self._tell(line)
