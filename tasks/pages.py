"""Puts on the Prefect server what it shows of a release and of a rollout; what stands there is `gopub.views.pages`.

A page is for people to look at. A server that does not take one must not keep a rollout waiting, least of all between
a canary's first request and its first look, or between a verdict and the way back; so what a rollout shows is drawn
beside it, one page after the other, and each is given a few seconds, or goes missing with a line in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec
from uuid import UUID

from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.utilities.urls import url_for

from gopub.canon import Json
from gopub.release.model import Release
from gopub.rollout.run import Run
from gopub.telemetry import log
from gopub.views import pages as words
from gopub.views.reading import read_seats

P = ParamSpec("P")
SHOWN_WITHIN = 5.0
"""Seconds that the server is given to take a page."""
_BESIDE: ContextVar[list[asyncio.Task[None]] | None] = ContextVar("pages", default=None)
_log = log("pages")


@asynccontextmanager
async def beside() -> AsyncIterator[None]:
    """Draw what the body shows beside it, in order; what is not shown at its end is given a few seconds more."""
    drawing: list[asyncio.Task[None]] = []
    before = _BESIDE.set(drawing)
    try:
        yield
    finally:
        _BESIDE.reset(before)
        if drawing:
            _, late = await asyncio.wait(drawing, timeout=SHOWN_WITHIN)
            for one in late:
                one.cancel()
            if late:
                _log.warning("%d pages are not shown in Prefect: it does not answer", len(late))


def page(draw: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """Make a function one that puts a page on the server if that is easily done; within `beside` it waits for none."""

    @wraps(draw)
    async def shown(*args: P.args, **kwargs: P.kwargs) -> None:
        drawing = _BESIDE.get()
        if drawing is None:
            await drawn(*args, **kwargs)
            return
        last = drawing[-1] if drawing else None
        drawing.append(asyncio.create_task(after(last, *args, **kwargs)))

    async def after(last: asyncio.Task[None] | None, *args: P.args, **kwargs: P.kwargs) -> None:
        if last:
            await asyncio.wait([last])
        await drawn(*args, **kwargs)

    async def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                await draw(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever the server's trouble is, it is not the rollout's
            _log.warning("%s is not shown in Prefect: %s", draw.__name__, str(error) or type(error).__name__)

    return shown


@page
async def release_page(release: Release) -> None:
    """One row for each file of a release."""
    await _put(words.release_page(release))


@page
async def plan_page(run: Run) -> None:
    """The plan as a list."""
    await _put(words.plan_page(run.state))


@page
async def runs_page(run: Run) -> None:
    """Where a rollout was gone on with in another run: all its runs, on the page of each."""
    seats = read_seats(run.ports.journal, run.rollout)
    made = words.runs_page(run.state, seats, _linked)
    if made is None:
        return
    async with get_client() as client:
        for seat in seats:
            one = ArtifactCreate(key=made.key, type="markdown", description=made.description, data=made.text,
                                 flow_run_id=UUID(seat.run))  # fmt: skip
            await client.create_artifact(one)


@page
async def back_page(result: Mapping[str, Json]) -> None:
    """What a rollback that somebody asked for came to."""
    await _put(words.back_page(result))


async def _put(made: words.TextPage | words.TablePage | None) -> None:
    """Put a page on the server, on that of this run; none is none."""
    match made:
        case words.TextPage():
            await acreate_markdown_artifact(made.text, key=made.key, description=made.description)
        case words.TablePage():
            await acreate_table_artifact([dict(row) for row in made.rows], key=made.key, description=made.description)
        case None:
            pass


def _linked(run: str) -> str:
    """A run's id, as a link where the UI has an address."""
    url = url_for("flow-run", obj_id=run)
    return f"[{run}]({url})" if url else run
