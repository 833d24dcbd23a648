"""The story of a rollout in its run's log: what the command line prints, in the same words, each line with its level.

The journal is the source: whoever goes on with a rollout tells from the entry with which it took its seat. What is told
while a box works stands in the log of that box, and so on the page of the whole run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from prefect import get_run_logger
from prefect.exceptions import MissingContextError

from gopub.clock import Clock
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.streams import stream_of
from gopub.rollout.run import Run
from gopub.telemetry import REDACTOR, log
from gopub.usecases.post import Post
from gopub.views.course import MOST
from gopub.views.follow import Line, Printer, own_from
from gopub.views.pages import cut
from tasks.announcing import Announcer
from tasks.approving import Requests
from tasks.board import Board
from tasks.elsewhere import Elsewhere

AGAIN = 60.0
"""Seconds after which it is told again that nothing changed."""
IDLE = 1.0
"""Seconds between two looks at what waits to be told."""
MOST_LINE = 10_000
"""Characters: a record of a megabyte is one that Prefect drops, and a browser chokes on some of a tenth of it."""
_log = log("rollout")


@asynccontextmanager
async def shown(run: Run) -> AsyncIterator[None]:
    """Tell in the log, on the rollout's page and as events what this driver does within the body."""
    begun = known(run)
    board, requests = Board(run, begun), Requests(run)
    announcer = Announcer(begun, requests.heard)
    heard = (board.heard, announcer.heard)
    async with people(run) as others, board.showing(), telling(run, begun, *heard, *others):
        try:
            yield
        finally:
            await requests.all_asked()


@asynccontextmanager
async def people(run: Run) -> AsyncIterator[list[Callable[[Entry], None]]]:
    """Tell people outside within the body, where the environment names any; gives who wants each entry for that."""
    post = Post.beside(run, Elsewhere())
    if post is None:
        yield []
        return
    async with post.carrying():
        yield [post.heard]


def known(run: Run) -> list[Entry]:
    """What the journal holds of the rollout, most looks left out of one that has been under way for hours."""
    stream = stream_of(run.rollout)
    return run.ports.journal.read_turns(stream, every=run.state.version // MOST + 1)


@asynccontextmanager
async def telling(run: Run, begun: Sequence[Entry], *others: Callable[[Entry], None]) -> AsyncIterator[None]:
    """Tell within the body what this driver writes, and before it what it wrote to take its seat: ``begun`` holds it.

    ``others`` get each entry as well, beginning with the first that is written within.
    """
    printer = Printer(say, run.ports.clock, AGAIN)
    catch_up(printer, begun)

    listeners: list[Callable[[Entry], None]] = [printer, *others]

    def written(event: ev.Event) -> None:
        entry = entry_of(run, event)
        for heard in listeners:
            heard(entry)

    run.recorder.heard = written
    idle = asyncio.create_task(_idle(printer, run.ports.clock))
    try:
        yield
    finally:
        idle.cancel()
        await asyncio.gather(idle, return_exceptions=True)
        run.recorder.heard = None
        printer.pause()


def catch_up(printer: Printer, entries: Sequence[Entry]) -> None:
    """Tell from the last time that the seat was taken; what was before is known. Of a new rollout all is told."""
    begin = own_from(entries)
    for entry in entries[:begin]:
        printer.known(entry)
    for entry in entries[begin:]:
        printer(entry)


def entry_of(run: Run, event: ev.Event) -> Entry:
    """The entry that was just written, as far as it is told."""
    now = run.ports.clock.now()
    return Entry(0, stream_of(run.rollout), run.state.version, event, run.actor, run.trace, now, "")


def say(told: Line) -> None:
    """One record, in the log of the box at work; outside of any run nobody listens."""
    try:
        logger = get_run_logger()
    except MissingContextError:
        return
    logger.log(told.level, "%s", cut(REDACTOR.clean(told.text), MOST_LINE))


async def _idle(printer: Printer, clock: Clock) -> None:
    while True:
        await clock.sleep(IDLE)
        printer.idle()
