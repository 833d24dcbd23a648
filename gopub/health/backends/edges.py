"""Counters from the edges themselves: asked at each look, all at once, so that no scrape lies between.

The time of an answer is our own clock's when it was here. An edge's clock would be nearer to the moment, but the
windows of several edges, the hosts' starts and the looks are all held against each other, and five clocks that differ
by seconds make windows of no length. Nothing older than a round trip is ever taken for new.

An edge that hangs costs the first look ``PATIENCE`` and each later one ``NO_PATIENCE``, until it answers again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gopub.canon import Json, digest_of
from gopub.health.samples import CounterSnapshot, EdgeAnswer, NoData, ResolvedQuery, RuntimeSnapshot
from gopub.health.sources import EdgeReader, MetricsConnection

PATIENCE = 2.0
"""Seconds that a look waits for an edge,"""
NO_PATIENCE = 0.2
"""for one that the look before waited for in vain."""
KEPT = 64
"""Looks that are remembered, for whoever asks for what was before."""
SLACK = 1.0
"""Seconds by which an edge's age may be out, for a round trip and two clocks that round."""


class EdgesThemselves(MetricsConnection):
    """The edges of the env's own router, over the same way as their tables."""

    kind: Literal["edges"] = "edges"

    def open(self) -> EdgeSource:
        """Without a router there is none to ask; see ``over``."""
        return self.over(None)

    def over(self, reader: EdgeReader | None, *, implied: bool = False) -> EdgeSource:
        """The edges behind a router; ``implied`` where nobody asked for them by name."""
        return EdgeSource(reader, implied=implied)


@dataclass(frozen=True, slots=True)
class _Known:
    identity: str
    at: float


class EdgeSource:
    """A ``MetricSource`` on the edges of one router."""

    def __init__(self, reader: EdgeReader | None, patience: float = PATIENCE, *, implied: bool = False) -> None:
        """Contact nobody yet."""
        self._reader, self._patience, self._implied = reader, patience, implied
        self._asking: dict[str, asyncio.Task[EdgeAnswer]] = {}
        self._late: set[str] = set()
        self._known: dict[str, _Known] = {}
        self._follows: dict[str, str] = {}
        self._past: deque[CounterSnapshot] = deque(maxlen=KEPT)
        self.older: tuple[str, ...] = ()
        """The edges whose program cannot be asked, as they were heard last."""

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """What every edge counts now; NoData where one does not answer: what it sent on is missing then."""
        if self._reader is None:
            return NoData("there is no router whose edges could be asked")
        answers = await self._ask(app, env, releases)
        self.older = tuple(one.edge for one in answers if one.older)
        queries = tuple(_query(one, app, env, releases, at) for one in answers)
        if silent := [one for one in answers if one.error]:
            return NoData("; ".join(f"{one.edge}: {one.error}" for one in silent), queries)
        found = self._together(answers, at, queries)
        if releases:
            self._past.append(found)
        return found

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        """What was read since this source was opened: an edge keeps no past."""
        now = await self.counters(app, env, releases, at)
        if isinstance(now, NoData):
            return now
        if len(self._past) < 2:
            return NoData(
                "edges keep no past: how errors cluster starts from a prior, what is slow from the first looks"
            )
        return tuple(self._past)

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        """None: an edge knows nothing of the processes behind it."""
        del app, env, hosts
        return RuntimeSnapshot(at)

    async def unable(self, app: str, env: str) -> str:
        """That edges of an older version are here, where nobody asked for them: then nothing is counted, as before."""
        if not self._implied:
            return ""
        await self.counters(app, env, (), 0.0)
        return self.say_older() if self.older else ""

    def say_older(self) -> str:
        """Which edges cannot be asked, in words."""
        return f"{', '.join(self.older)}: an older gopub runs there, which cannot be asked for its counters"

    async def aclose(self) -> None:
        """Wait for nobody any more."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        self._asking.clear()

    async def _ask(self, app: str, env: str, releases: Sequence[str]) -> Sequence[EdgeAnswer]:
        """Every edge at once; one that hangs is asked once at a time, and waited for a second time only shortly."""
        reader = self._reader
        edges = tuple(reader.edges) if reader else ()
        for edge in edges:
            if edge in self._asking and self._asking[edge].done():
                del self._asking[edge]  # of a look that is over: what it says is old
                self._late.discard(edge)
            if reader and edge not in self._asking:
                self._asking[edge] = asyncio.create_task(reader.ask(edge, app, env, releases))
        prompt = [self._asking[edge] for edge in edges if edge not in self._late]
        late = [self._asking[edge] for edge in edges if edge in self._late]
        if prompt:
            await asyncio.wait(prompt, timeout=self._patience)
        if late:
            await asyncio.wait(late, timeout=NO_PATIENCE)
        return [self._heard(edge) for edge in edges]

    def _heard(self, edge: str) -> EdgeAnswer:
        task = self._asking[edge]
        if not task.done():
            self._late.add(edge)
            return EdgeAnswer(edge, error=f"no answer within {self._patience:g}s")
        del self._asking[edge]
        self._late.discard(edge)
        if error := task.exception():
            return EdgeAnswer(edge, error=f"{type(error).__name__}: {error}")
        return task.result()

    def _together(
        self, answers: Sequence[EdgeAnswer], at: float, queries: tuple[ResolvedQuery, ...]
    ) -> CounterSnapshot:
        notes = [note for one in answers if (note := self._recognised(one))]
        by_identity: dict[str, list[EdgeAnswer]] = {}
        for one in answers:
            by_identity.setdefault(one.identity, []).append(one)
        notes += [
            f"{' and '.join(sorted(one.edge for one in same))} are one edge: it is counted once"
            for same in by_identity.values()
            if len(same) > 1
        ]
        chosen = [max(same, key=lambda one: one.at) for same in by_identity.values()]
        return CounterSnapshot(
            at,
            tuple(series for one in chosen for series in one.series),
            {one.identity: one.at for one in chosen},
            0.0,
            tuple(notes),
            queries,
            {one.identity: one.edge for one in chosen},
            {new: old for new, old in self._follows.items() if new in by_identity},
        )

    def _recognised(self, answer: EdgeAnswer) -> str:
        """Tell a restarted edge, whose counters began at 0 since, from another one behind the same name."""
        before, self._known[answer.edge] = self._known.get(answer.edge), _Known(answer.identity, answer.at)
        if before is None or before.identity == answer.identity:
            return ""
        if answer.age is not None and answer.age <= answer.at - before.at + SLACK:
            self._follows[answer.identity] = before.identity
            return f"{answer.edge} was restarted: what it counted in between is not known"
        return f"{answer.edge} answers as another edge than before: what that one counted until now is left out"


def _query(answer: EdgeAnswer, app: str, env: str, releases: Sequence[str], at: float) -> ResolvedQuery:
    said: Json = [[one.release, one.host, *one.classes.values()] for one in answer.series]
    text = f"{answer.edge}: counters of {app}/{env}, {' and '.join(releases)}"
    return ResolvedQuery(text, at, len(answer.series), answer.error or digest_of(said)[:12])
