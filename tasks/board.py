"""The page of a rollout on the Prefect server, drawn again while it goes on, and a bar of how far it has come.

Each is one artifact of the run that a person started; it is changed in place, so the history under its key has a
version for every run and not for every look. What stands there says `gopub.views.board`. A server that does not answer
is told once and asked again: it keeps no rollout waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from httpx import HTTPStatusError, codes
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from gopub.clock import SystemClock
from gopub.journal.entry import Entry
from gopub.journal.streams import stream_of
from gopub.rollout.run import Run
from gopub.telemetry import REDACTOR, log
from gopub.views import board as words
from gopub.views.course import MOST, Course
from gopub.views.pages import TextPage, named_key
from gopub.views.plots import plot
from gopub.views.runs import seats_of
from tasks.approving import form_for
from tasks.marks import runs_here
from tasks.pages import learn_keys, links_of

REST = 5.0
"""Seconds between two drawings at least: looks are no closer together."""
SHOWN_WITHIN = 5.0
"""Seconds that the server is given to take a page."""
AWAY = 30.0
"""Seconds after which a server that did not answer is asked again."""
STORY = 1000
"""Looks of which all are read for the story once it is over; those of a week would fill the worker's memory."""
ASKED_WITHIN = 2.0
"""Seconds that the server is given to say which pages it has: less than it has for the page itself."""
_PICTURE_SHARE = 20.0
"""The page rests so many times as long as drawing it took: a rollout of days has many looks."""
_log = log("pages")


class Board:
    """What one driver shows of its rollout."""

    def __init__(self, run: Run, begun: Sequence[Entry], here: Sequence[UUID] | None = None) -> None:
        """Show it from the entries ``begun`` on, on the page of the first run of ``here``; nothing is drawn yet.

        ``begun`` is what the journal holds, looks left out or not; ``here`` is `runs_here` where it is not given.
        """
        self._here = runs_here() if here is None else tuple(here)
        self._run, self._course = run, Course(begun)
        self._changed = asyncio.Event()
        self._changed.set()
        self._made = dict[str, UUID]()
        self._known = set[str]()
        self._drawing = 0.0

    def heard(self, entry: Entry) -> None:
        """One more entry: the page is drawn again soon."""
        self._course.add(entry)
        self._changed.set()

    @asynccontextmanager
    async def showing(self) -> AsyncIterator[None]:
        """Draw beside the body, and once more at its end."""
        if not self._here:
            yield
            return
        drawing = asyncio.create_task(self._draw_for_ever())
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)
            if self._changed.is_set():
                await self._draw_last()

    async def _draw_for_ever(self) -> None:
        told = False
        while True:
            try:
                async with get_client() as client:
                    while True:
                        await self._changed.wait()
                        await self._draw(client)
                        told = False
                        await SystemClock().sleep(max(REST, _PICTURE_SHARE * self._drawing))
            except Exception as error:  # noqa: BLE001 - whatever the server's trouble is, it is not the rollout's
                if not told:
                    _log.warning("the rollout is not shown in Prefect: %s", str(error) or type(error).__name__)
                told = True
                await SystemClock().sleep(AWAY)

    async def _draw_last(self) -> None:
        try:
            async with asyncio.timeout(SHOWN_WITHIN), get_client() as client:
                await self._draw(client)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("its end is not shown in Prefect: %s", str(error) or type(error).__name__)

    async def _draw(self, client: PrefectClient) -> None:
        self._changed.clear()
        try:
            entries, looks = self._course.entries, self._course.looks
            scene = await asyncio.to_thread(self._scene, entries, looks)
            ways = await self._ways(client, scene)
            asked = SystemClock().now()
            page, share = await asyncio.to_thread(self._drawn, scene, looks, ways)
            self._drawing = SystemClock().now() - asked
            async with asyncio.timeout(SHOWN_WITHIN):
                await self._put(client, page, share)
        except BaseException:
            self._changed.set()  # it is still to be shown
            raise

    def _scene(self, entries: Sequence[Entry], looks: int) -> words.Scene:
        return words.scene(entries, self._run.asked(), self._run.ports.clock.now(), looks=looks)

    async def _ways(self, client: PrefectClient, scene: words.Scene) -> words.Ways:
        """Where the page leads; a server that does not say it in time leaves the page without links, not undrawn."""
        drivers, form, known = len(seats_of(entry.event for entry in scene.entries)), "", True
        try:
            async with asyncio.timeout(ASKED_WITHIN):
                if (step := words.asks_for(scene)) is not None:
                    form = await form_for(client, scene.state, step)
                await learn_keys(client, scene.state, drivers, self._known)
        except Exception:  # noqa: BLE001 - whatever the server's trouble is, the page says that links may be missing
            known = False
        return words.Ways(links_of(scene.state, drivers, self._known), form, known)

    def _drawn(self, scene: words.Scene, looks: int, ways: words.Ways) -> tuple[TextPage, float]:
        if scene.state.closed and not self._run.recorder.unwritten:
            scene = replace(scene, entries=self._kept(looks))  # with hashes, for the story
        picture = plot(scene.entries, count=looks)
        return words.board(scene, REDACTOR.clean(picture), ways), words.share(scene.state)

    def _kept(self, looks: int) -> list[Entry]:
        """All of it as the journal has it; of a long one some looks, as many as a picture shows."""
        stream, journal = stream_of(self._run.rollout), self._run.ports.journal
        if looks <= STORY:
            return journal.read(stream)
        return journal.read_turns(stream, every=self._run.state.version // MOST + 1)

    async def _put(self, client: PrefectClient, page: TextPage, share: float) -> None:
        bar = named_key(f"{self._run.state.app}-{self._run.state.env}-progress")
        await self._put_one(client, "markdown", page.key, page.text, page.description)
        await self._put_one(client, "progress", bar, share, page.description)

    async def _put_one(self, client: PrefectClient, kind: str, key: str, data: str | float, told: str) -> None:
        """Change it where it is; one that somebody deleted is made anew."""
        if known := self._made.get(kind):
            try:
                await _change(client, known, ArtifactUpdate(data=data, description=told))
            except HTTPStatusError as error:
                if error.response.status_code != codes.NOT_FOUND:
                    raise
            else:
                return
        made = ArtifactCreate(key=key, type=kind, data=data, description=told, flow_run_id=self._here[0])
        self._made[kind] = (await client.create_artifact(made)).id


async def _change(client: PrefectClient, which: UUID, to: ArtifactUpdate) -> None:
    """As the client's ``update_artifact``, without its event: two each five seconds would be all that the feed has."""
    change = to.model_dump(mode="json", exclude_unset=True)
    await client.request("PATCH", "/artifacts/{id}", path_params={"id": which}, json=change)
