"""Rules on the ends of rollouts: read from the journal, each end once, from where reading stopped before.

The journal is read by place and not by time: what was adopted late is found as well, and after a week's rest of this
process nothing is missing. For each end that a rule names a row is written as for a webhook's delivery, and only then
the place: a process that is killed in between writes the same row again, which is there. From then on it is started as
any other (deployments/api/starting.py); the row is as old as the end, so what ended long ago is given up there and not
started by surprise. What ended before this was set up starts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from deployments.api.parts import Parts
from deployments.api.pauses import Pause, longer
from deployments.hooks.ends import key_of, order_for
from deployments.starter import RunOrder
from gopub.canon import sha256
from gopub.errors import GopubError
from gopub.journal.reading import DAMAGED
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.spec.projects import Project
from gopub.spec.wrongrules import sources
from gopub.telemetry import log
from gopub.tracing.context import of_trace, within
from gopub.views.notices import Ended, Notice, notices
from gopub.views.reading import closed_by, project_of

LOOK_EVERY = 1.0
"""Seconds; a look asks for the entries behind a known place and finds none, as a rule."""
LONGEST_WITHOUT_JOURNAL = 60.0
_LOG = log("ends")


class Ends:
    """Reads the journal for the rules of the projects file."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        """Nothing is read yet."""
        self._parts, self._journal = parts, journal
        self._seen: set[str] = set()

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def look(self) -> int:
        """Write the rows of what ended since the last look; gives how many are new.

        Raises:
            GopubError: the journal or the file of deliveries does not answer; the next look begins at the same place.
        """
        return sum(self._look(app, project, env) for app, project, env in watched(self._parts))

    def _look(self, app: str, project: Project, env: str) -> int:
        stream, made = env_stream(app, env), 0
        place = self._parts.deliveries.place_of(stream)
        known = place if place is not None and stream in self._seen else self._begin(stream, place)
        for entry in self._journal.read(stream, after=known):
            if rollout := closed_by(entry):
                made += self._ended(rollout, project)
            self._parts.deliveries.keep_place(stream, entry.version)
        return made

    def _begin(self, stream: str, known: int | None) -> int:
        """Where reading begins: where it stopped; now, the first time, and where the journal is an older one."""
        last = self._journal.versions(stream).get(stream, 0)
        self._seen.add(stream)
        if known is not None and known <= last:
            return known
        if known is None:
            _LOG.info("rules wait for rollouts that end in %s from now on, in a journal with %d entries of it",
                      stream, last)  # fmt: skip
        else:
            _LOG.error("the journal has %d entries of %s, and %d were read: it was put back, or is another one; what "
                       "ended in it until now starts nothing", last, stream, known)  # fmt: skip
        self._parts.deliveries.keep_place(stream, last)
        return last

    def _ended(self, rollout: str, project: Project) -> int:
        try:
            entries = self._journal.read_turns(stream_of(rollout))
            end = next((one for one in notices(entries) if isinstance(one.payload, Ended)), None)
        except GopubError as error:
            if error.code not in DAMAGED:
                raise
            _LOG.error("the end of %s starts nothing: %s", rollout, error.problem)
            return 0
        with within(of_trace(entries[0].trace if entries else "")):  # the same release goes on into the next env
            order = order_for(end, project, project_of(entries)) if end else None
        return self._write(end, order) if end and order else 0

    def _write(self, end: Notice, order: RunOrder) -> int:
        key, ended = key_of(end), min(end.at, self._parts.clock.now())
        _, new = self._parts.deliveries.begin(key, sha256(key.encode()), (order,), ended)
        if new:
            _LOG.info("%s of %s is to start %s in %s", end.name, end.rollout, order.parameters["version"], order.env)
        return int(new)


def watched(parts: Parts) -> Iterator[tuple[str, Project, str]]:
    """The apps and environments whose rollouts rules wait for."""
    for name, app in parts.projects.apps.items():
        meant = {env for rule in app.rules if rule.when and rule.when.source == "gopub"
                 for env in sources(rule.when, app.envs)}  # fmt: skip
        yield from ((name, app, env) for env in app.envs if env in meant)


async def keep_looking(parts: Parts) -> None:
    """Look until cancelled; a journal that is away is asked less and less often, and opened anew."""
    if not any(watched(parts)):
        return
    trouble: Pause | None = None
    while True:
        try:
            async with _opened(parts) as ends:
                while True:
                    if await asyncio.to_thread(ends.look):
                        parts.fresh.set()
                    trouble = None
                    await parts.clock.sleep(LOOK_EVERY)
        except Exception as error:  # noqa: BLE001 - whatever it was: what ended is still in the journal
            trouble = longer(trouble, parts.clock.now(), LONGEST_WITHOUT_JOURNAL)
            _LOG.warning("what rollouts came to is not known, asked again in %gs: %s", trouble.length, error)
        await parts.clock.sleep(trouble.length)


@asynccontextmanager
async def _opened(parts: Parts) -> AsyncIterator[Ends]:
    ends = Ends(parts, await asyncio.to_thread(parts.journal))
    try:
        yield ends
    finally:
        ends.close()
