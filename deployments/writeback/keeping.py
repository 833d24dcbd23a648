"""The tasks of `gopub serve` that tell forges: nothing of them is waited for, and what fails is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing

from deployments.api.parts import Parts
from deployments.api.pauses import Pause, longer
from deployments.writeback.observing import Observing
from deployments.writeback.outbox import Outbox
from deployments.writeback.sending import Sending
from gopub.telemetry import log

LOOK_EVERY = 2.0
ASK_EVERY = 5.0
"""Seconds between two looks at deliveries, for which the engine is asked."""
LONGEST_TROUBLE = 60.0
_LOG = log("writeback")


async def keep_telling(parts: Parts) -> None:
    """Observe and send until cancelled; nothing where no app's forge is to be told."""
    if not parts.forges:
        return
    outbox = Outbox(parts.deliveries)
    observing, sending = Observing(parts, outbox), Sending(parts, outbox)

    async def deliveries() -> None:
        await observing.deliveries()

    try:
        await _again(parts, lambda: parts.deliveries.aside(outbox.begin, parts.clock.now()), None)
        await asyncio.gather(
            _again(parts, lambda: _rollouts(parts, observing), None),
            _again(parts, deliveries, ASK_EVERY),
            _again(parts, sending.look, LOOK_EVERY),
        )
    finally:
        await sending.stop()


async def _rollouts(parts: Parts, observing: Observing) -> None:
    """Look at the journal until it does not answer; it is opened anew then."""
    with closing(await asyncio.to_thread(parts.journal)) as journal:
        while True:
            await asyncio.to_thread(observing.rollouts, journal)
            await parts.clock.sleep(LOOK_EVERY)


async def _again(parts: Parts, look: Callable[[], Awaitable[None]], every: float | None) -> None:
    """Look again and again, or until it worked once; what fails is left alone for longer each time."""
    trouble: Pause | None = None
    while True:
        try:
            await look()
            trouble = None
            if every is None:
                return
        except Exception as error:  # noqa: BLE001 - whatever it was: what is to be told is still there
            trouble = longer(trouble, parts.clock.now(), LONGEST_TROUBLE)
            _LOG.warning("forges are not told for now, tried again in %gs: %s", trouble.length, error)
        await parts.clock.sleep(trouble.length if trouble else every or 0.0)
