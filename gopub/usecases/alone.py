"""Work of which one at a time is enough, such as the schedule's: its place is a seat of the journal, without an app.

The lease is short: a process that died keeps its place for seconds, and whoever comes meanwhile waits for as long as
that takes. Who renewed it meanwhile is alive. A lease that nobody renewed for so long is a dead one's, however far in
the future it ends: a clock that was ahead would else keep everybody out until then.

The place spares double work and guards nothing: what must be exclusive has the seat of its rollout. So a journal that
does not answer keeps nobody from the work.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gopub.clock import Clock, new_token
from gopub.errors import GopubError, LockedError
from gopub.journal.reading import whoami
from gopub.journal.seat import Seat
from gopub.journal.store import Journal
from gopub.telemetry import log

LEASE = 10.0
"""Seconds that a place is kept for a process that died; the next run of a schedule is a minute away."""
RENEW = 2.5
"""Seconds between two renewals."""
LOOK = 1.0
"""Seconds between two looks at a place that is taken."""
QUICK = 4.0
"""Seconds that the journal is waited for each time."""

_log = log("alone")


@asynccontextmanager
async def alone(journal: Journal, what: str, clock: Clock) -> AsyncIterator[str]:
    """Keep the place of ``what`` for the body; gives who holds it where somebody else does, else an empty text."""
    seat: Seat | str = ""
    try:
        seat = await _taken(journal, what, clock)
    except GopubError as error:
        _log.warning("%s: whether another one is at it is not known: %s", what, error.problem)
    if isinstance(seat, str):
        yield seat
        return
    keeper = asyncio.create_task(_keep(journal, seat, clock))
    try:
        yield ""
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        with suppress(GopubError):
            journal.renew_seat(seat, 0, patience=QUICK)


async def _taken(journal: Journal, what: str, clock: Clock) -> Seat | str:
    """The place, or who holds it and has renewed it within the time after which one that died would have lost it.

    The looks are counted: a clock that is put back while somebody waits makes that no longer.
    """
    mine = Seat("", what, 0, new_token(), whoami())
    began = journal.lease_end("", what)
    for _ in range(math.ceil(LEASE / LOOK) + 1):
        with suppress(LockedError):
            return journal.take_seat(mine, rollout="", lease=LEASE)
        await clock.sleep(LOOK)
    renewed = journal.lease_end("", what) != began
    try:
        return journal.take_seat(mine, rollout="", lease=LEASE, force=not renewed)
    except LockedError:
        held = journal.seated("", what)
        return held[0].holder if held else ""


async def _keep(journal: Journal, seat: Seat, clock: Clock) -> None:
    """Renew the lease until it is somebody else's."""
    while True:
        await clock.sleep(RENEW)
        try:
            await asyncio.to_thread(journal.renew_seat, seat, LEASE, patience=QUICK)
        except LockedError as error:
            _log.info("%s", error.problem)
            return
        except GopubError as error:
            _log.warning("%s", error.problem)
