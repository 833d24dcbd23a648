"""Who tells people of a rollout that stands still where no worker is: `recover` does otherwise, and it needs one.

`gopub serve` is always up, so it looks twice a minute whether the engine has a worker that takes up runs. Where several
looks in a row found none it does once a minute what `recover` does for people: what nobody was told is told, and that
nobody drives a rollout is noticed. What was told stands in the journal, so a worker that is back repeats none of it. It
drives nothing itself: who may reach hosts is the workers' affair.
"""

from __future__ import annotations

import asyncio
from contextlib import closing

from deployments.api.parts import Parts
from gopub.errors import GopubError
from gopub.telemetry import log
from gopub.usecases.post import carry_all
from tasks.elsewhere import Elsewhere

LOOK_EVERY = 30.0
FEWEST = 4
"""Looks in a row without a worker before this process tells: one that is started anew is away for less."""
_LOG = log("attending")


class Attending:
    """Counts looks, for a clock that jumps makes nobody absent."""

    def __init__(self, parts: Parts) -> None:
        """Nobody has looked yet."""
        self._parts = parts
        self._without = 0

    async def look(self) -> bool:
        """Tell what is to be told where nobody else can; gives whether that was so."""
        if await self._attended():
            if self._without >= FEWEST:
                _LOG.info("a worker is there again: it tells people of rollouts")
            self._without = 0
            return False
        self._without += 1
        if self._without == FEWEST:
            _LOG.error("no worker takes up runs: nobody goes on with rollouts, and this process tells people of them")
        if self._without < FEWEST or (self._without - FEWEST) % 2:
            return False
        with closing(await asyncio.to_thread(self._parts.journal)) as journal:
            await carry_all(journal, self._parts.clock.now(), elsewhere=Elsewhere(), clock=self._parts.clock)
        return True

    async def _attended(self) -> bool:
        try:
            return await self._parts.attended()
        except GopubError:  # an engine that is away gives no worker anything to do
            return False


async def keep_attending(parts: Parts) -> None:
    """Look until cancelled."""
    attending = Attending(parts)
    while True:
        try:
            await attending.look()
        except Exception as error:  # noqa: BLE001 - whatever it was: what is to be told is still in the journal
            _LOG.warning("whether people are to be told of a rollout is not known: %s", error)
        await parts.clock.sleep(LOOK_EVERY)
