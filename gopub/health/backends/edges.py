"""Counters from the edges themselves: asked at each look, all at once, so that no scrape lies between.

The time of an answer is our own clock's when it was here. An edge's clock would be nearer to the moment, but the
windows of several edges, the hosts' starts and the looks are all held against each other, and five clocks that differ
by seconds make windows of no length. Nothing older than a round trip is ever taken for new.

An edge that hangs costs the first look ``PATIENCE`` and each later one ``NO_PATIENCE``, until it answers again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gopub.canon import Json, digest_of
from gopub.clock import Clock, SystemClock
from gopub.health.samples import CounterSnapshot, EdgeAnswer, NoData, ResolvedQuery, RuntimeSnapshot
from gopub.health.sources import EdgeReader, MetricsConnection

PATIENCE = 2.0
"""Seconds that a look waits for an edge,"""
NO_PATIENCE = 0.2
"""for one that the look before waited for in vain."""
KEPT = 24
"""Looks that are remembered, for whoever asks for what was before,"""
MOST_KEPT = 20_000
"""and series in all of them together: a large fleet is remembered for less long."""
LISTENS = 5.0
"""Seconds between two of them before a rollout looks,"""
LISTENED = 60
"""so many of them at most."""
MOST_A_SECOND = 10_000_000
"""Requests that no edge can count: an answer with more is not believed."""
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
    counted: Mapping[str, float]
    """Release → requests."""


def _counted(answer: EdgeAnswer) -> Mapping[str, float]:
    sums: dict[str, float] = {}
    for one in answer.series:
        sums[one.release] = sums.get(one.release, 0.0) + sum(one.classes.values())
    return sums


def _more(known: Mapping[str, float], now: Mapping[str, float]) -> float:
    """What was added, of the releases that were asked for before; of all of them where none was."""
    return max((count - known.get(name, 0.0) for name, count in now.items() if name in known or not known), default=0.0)


def _began_since(before: _Known, answer: EdgeAnswer) -> bool:
    return answer.age is not None and answer.age <= answer.at - before.at + SLACK


class EdgeSource:
    """A ``MetricSource`` on the edges of one router."""

    def __init__(
        self,
        reader: EdgeReader | None,
        patience: float = PATIENCE,
        *,
        implied: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Contact nobody yet; ``clock`` is the one that looks go by."""
        self._reader, self._patience, self._implied = reader, patience, implied
        self._clock = clock or SystemClock()
        self._asking: dict[str, asyncio.Task[EdgeAnswer]] = {}
        self._question: tuple[str, ...] = ()
        self._one = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self._late: set[str] = set()
        self._known: dict[str, _Known] = {}
        self._follows: dict[str, str] = {}
        self._past: deque[CounterSnapshot] = deque()
        self.older: tuple[str, ...] = ()
        """The edges whose program cannot be asked, as they were heard last."""

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """What every edge counts now; NoData where one does not answer: what it sent on is missing then."""
        if self._reader is None:
            return NoData("there is no router whose edges could be asked")
        if self._question and self._question != (app, env, *releases):
            await self._stop()
            self._past.clear()
        async with self._one:
            return await self._look(app, env, releases, at)

    async def _look(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        answers = await self._ask(app, env, releases)
        self.older = tuple(one.edge for one in answers if one.older)
        query = _query(answers, app, env, releases, at)
        if any(one.error for one in answers):
            return NoData(query.answer, (query,))
        found = self._together(answers, at, query)
        self._past.append(found)
        while len(self._past) > 2 and (
            len(self._past) > KEPT or sum(len(one.series) for one in self._past) > MOST_KEPT
        ):
            self._past.popleft()
        return found

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        """What was read since this source was opened, for an edge keeps no past; from now on it is listened."""
        now = await self.counters(app, env, releases, at)
        if isinstance(now, NoData):
            return now
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(app, env, releases))
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
        await self._stop()

    async def _listen(self, app: str, env: str, releases: Sequence[str]) -> None:
        """Hear stable now and then while hosts are made ready: so that something of the time before is known."""
        for _ in range(LISTENED):
            await self._clock.sleep(LISTENS)
            async with self._one:
                await self._look(app, env, releases, self._clock.now())

    async def _stop(self) -> None:
        """End what is under way: it answers another question."""
        under_way = [*self._asking.values(), *([self._listening] if self._listening else [])]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self._asking.clear()

    async def _ask(self, app: str, env: str, releases: Sequence[str]) -> Sequence[EdgeAnswer]:
        """Every edge at once; one that hangs is asked once at a time, and waited for a second time only shortly."""
        reader, self._question = self._reader, (app, env, *releases)
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
        return self._believed(task.result())

    def _believed(self, answer: EdgeAnswer) -> EdgeAnswer:
        """The answer, if an edge can have counted so much since its last one, or since it was started."""
        before = self._known.get(answer.edge)
        if answer.error or before is None:
            return answer
        if before.identity == answer.identity:
            more = _more(before.counted, _counted(answer))
        elif _began_since(before, answer):
            more = _more({}, _counted(answer))
        else:
            return answer
        seconds = max(0.0, answer.at - before.at)
        if more <= MOST_A_SECOND * (seconds + SLACK):
            return answer
        text = f"it says that it counted {more:.0f} requests in {seconds:.1f}s: no edge can"
        return EdgeAnswer(answer.edge, error=text)

    def _together(self, answers: Sequence[EdgeAnswer], at: float, query: ResolvedQuery) -> CounterSnapshot:
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
            (query,),
            {one.identity: one.edge for one in chosen},
            {new: old for new, old in self._follows.items() if new in by_identity},
        )

    def _recognised(self, answer: EdgeAnswer) -> str:
        """Tell a restarted edge, whose counters began at 0 since, from another one behind the same name."""
        before = self._known.get(answer.edge)
        self._known[answer.edge] = _Known(answer.identity, answer.at, _counted(answer))
        if before is None or before.identity == answer.identity:
            return ""
        if _began_since(before, answer):
            self._follows[answer.identity] = before.identity
            return f"{answer.edge} was restarted: what it counted in between is not known"
        return f"{answer.edge} answers as another edge than before: what that one counted until now is left out"


def _query(answers: Sequence[EdgeAnswer], app: str, env: str, releases: Sequence[str], at: float) -> ResolvedQuery:
    """One for all edges: every look keeps it."""
    said: Json = [[one.edge, one.release, one.host, *one.classes.values()] for edge in answers for one in edge.series]
    text = f"{', '.join(one.edge for one in answers)}: counters of {app}/{env}, {' and '.join(releases)}"
    wrong = "; ".join(f"{one.edge}: {one.error}" for one in answers if one.error)
    return ResolvedQuery(text, at, sum(len(one.series) for one in answers), wrong or digest_of(said)[:12])
