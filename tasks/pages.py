"""Puts on the Prefect server what it shows of a release and of a rollout; what stands there is `gopub.views.pages`.

A page is for people to look at. A server that does not take one must not keep a rollout waiting, least of all between
a canary's first request and its first look, or between a verdict and the way back; so what a rollout shows is drawn
beside it, one page after the other, and each is given a few seconds, three times, or goes missing with a line in the
log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec
from uuid import UUID

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.settings import get_current_settings
from prefect.utilities.urls import url_for

from gopub.canon import Json
from gopub.journal.state import State
from gopub.release.model import Release
from gopub.rollout.run import Run
from gopub.telemetry import log
from gopub.views import pages as words
from gopub.views import released
from gopub.views.board import rollout_key
from gopub.views.reading import read_seats

P = ParamSpec("P")
SHOWN_WITHIN = 5.0
"""Seconds that the server is given to take a page."""
TRIES = 3
"""So often a page is tried for which nobody waits."""
LINKED_WITHIN = 2.0
"""Of them, to say which pages it has that this one could lead to."""
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
            await drawn(1, *args, **kwargs)
            return
        last = drawing[-1] if drawing else None
        drawing.append(asyncio.create_task(after(last, *args, **kwargs)))

    async def after(last: asyncio.Task[None] | None, *args: P.args, **kwargs: P.kwargs) -> None:
        if last:
            await asyncio.wait([last])
        await drawn(TRIES, *args, **kwargs)

    async def drawn(tries: int, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                await draw(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever the server's trouble is, it is not the rollout's
            if tries > 1:
                await drawn(tries - 1, *args, **kwargs)
                return
            _log.warning("%s is not shown in Prefect: %s", draw.__name__, str(error) or type(error).__name__)

    return shown


@page
async def release_page(release: Release, signer: released.Signer) -> None:
    """What a release is, its files and evidence, who signed it; and where the rollouts of its environments stand."""
    base, keys = get_current_settings().ui_url, {env: rollout_key(release.app, env) for env in release.environments}
    there = await _there(keys.values()) if base else set()
    links = {env: f"{base}/artifacts/key/{key}" for env, key in keys.items() if key in there}
    await _put(released.release_page(release, signer, links))


async def _there(keys: Iterable[str]) -> set[str]:
    """Which of these pages the server has; none where it does not say, for the page is more than its links."""
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=sorted(keys)))
    try:
        async with asyncio.timeout(LINKED_WITHIN), get_client() as client:
            return {str(one.key) for one in await client.read_latest_artifacts(artifact_filter=wanted)}
    except Exception as error:  # noqa: BLE001 - as above
        _log.info("which rollouts' pages there are is not known: %s", str(error) or type(error).__name__)
        return set()


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


async def _put(made: words.TextPage | None) -> None:
    """Put a page on the server, on that of this run; none is none."""
    if made:
        await acreate_markdown_artifact(made.text, key=made.key, description=made.description)


async def learn_keys(client: PrefectClient, state: State, drivers: int, known: set[str]) -> None:
    """Add to ``known`` which of a rollout's further pages the server has; it is not asked again for what it has."""
    if unknown := sorted(set(_keys(state, drivers).values()) - known):
        wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=unknown))
        known |= {str(one.key) for one in await client.read_latest_artifacts(artifact_filter=wanted)}


def links_of(state: State, drivers: int, known: Container[str]) -> dict[str, str]:
    """Where in the UI a rollout's release, plan and runs are shown, by their names; none where it has no address.

    The UI draws an empty page for a key that the server does not have, and not every release was made where this server
    heard of it: only what is ``known`` to be there is linked.
    """
    base = get_current_settings().ui_url
    keys = _keys(state, drivers) if base else {}
    return {name: f"{base}/artifacts/key/{key}" for name, key in keys.items() if key in known}


def _keys(state: State, drivers: int) -> dict[str, str]:
    return {"the release": released.release_key(state.app), **words.keys_of(state, drivers)}


def _linked(run: str) -> str:
    """A run's id, as a link where the UI has an address."""
    url = url_for("flow-run", obj_id=run)
    return f"[{run}]({url})" if url else run
