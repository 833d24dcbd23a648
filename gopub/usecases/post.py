"""Telling people outside of the house what became of a rollout: once, beside whoever drives, and without delaying it.

The journal is the source and the outbox (``gopub.journal.outbox``): whoever looks at it next, the driver, the one after
it or `recover`, finds what is to be told and what was. Everything here waits in threads and in processes of their own;
what fails is logged, tried again later, and never a rollout's trouble.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError, LockedError
from gopub.journal import events as ev
from gopub.journal import notices
from gopub.journal.entry import Entry
from gopub.journal.outbox import Letter, Name, begin_of, end_of, ends, holds, letters, opens_at, ready
from gopub.journal.reading import whoami
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of, told_of
from gopub.notify.message import About, Message, Tone
from gopub.rollout.run import Run
from gopub.spec.models import Environment
from gopub.telemetry import REDACTOR, log
from gopub.usecases.giving_up import seen
from gopub.views.absence import absence
from gopub.views.messages import message
from gopub.views.news import News, Newsroom
from gopub.views.reading import under_way_since
from gopub.wiring import told as telling
from gopub.wiring.naming import Elsewhere
from gopub.wiring.project import Project, open_project
from gopub.wiring.told import Told

LOOKED_BACK = 6 * 3600.0
"""Seconds after which nobody is told any more of what nobody was told of."""
FINISH = 30.0
"""Seconds that a driver whose work is done waits for messages that are under way."""
LOOK = 1.0
"""Seconds between two looks at the journal, where something happened."""
_AGAIN = 20
_AT_ONCE = 4
"""Rollouts that are looked at beside each other, and services that are told so: each message is a process."""
_log = log("notify")


There = dict[Name, Letter]


class Post:
    """What is told of one rollout."""

    def __init__(
        self,
        journal: Journal,
        rollout: str,
        elsewhere: Elsewhere | None = None,
        clock: Clock | None = None,
        *,
        known: dict[str, Project] | None = None,
        places: asyncio.Semaphore | None = None,
    ) -> None:
        """Read nothing yet; ``known`` are the projects that were read already, by their folder.

        Who has these looks after all rollouts, and drives none: so whether anybody does is looked at as well.
        ``places`` are for those that are told at the same time.
        """
        self._drives = known is None
        self._places = places or asyncio.Semaphore(_AT_ONCE)
        self._known = {} if known is None else known
        # Who looks after all of them may meet folders that are gone, and nobody may be meant to be told there.
        self._say = _log.warning if known is None else _log.info
        self._journal, self._rollout, self._elsewhere = journal, rollout, elsewhere
        self._clock = clock or SystemClock()
        self._room, self._news = Newsroom(), list[News]()
        self._told: Sequence[Told] | None = None
        self._woken, self._over = asyncio.Event(), asyncio.Event()

    @classmethod
    def beside(cls, run: Run, elsewhere: Elsewhere | None, journal: Journal | None = None) -> Post | None:
        """That of a driver; None where its environment names nobody."""
        ports = run.ports
        wanted = bool(ports.environment.notify)
        return cls(journal or ports.journal, run.rollout, elsewhere, ports.clock) if wanted else None

    def heard(self, _entry: Entry) -> None:
        """Something was written: look soon."""
        self._woken.set()

    @asynccontextmanager
    async def carrying(self) -> AsyncIterator[None]:
        """Carry beside the body; at its end what is under way has ``FINISH`` seconds more, and others have the rest."""
        beside = asyncio.create_task(self._carry_on())
        try:
            yield
        finally:
            self._over.set()
            self._woken.set()
            await asyncio.wait({beside}, timeout=FINISH)
            if not beside.done():
                self._left()
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)

    async def _carry_on(self) -> None:
        try:
            while not self._over.is_set():
                self._woken.clear()
                await self._until(self._woken, await self.carry())
                await self._until(self._over, self._clock.now() + LOOK)
            end = self._clock.now() + FINISH
            while (at := await self.carry()) is not None and at <= end:
                await self._clock.sleep(max(at - self._clock.now(), LOOK))
            if at is not None:
                self._left()
        except Exception:  # noqa: BLE001 - a fault of ours is no rollout's trouble
            _log.exception("%s: people could not be told", self._rollout)

    def _left(self) -> None:
        _log.warning("%s: not all messages are handed over; `gopub recover` goes on with them", self._rollout)

    async def _until(self, event: asyncio.Event, at: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if at is None else max(at - self._clock.now(), 0.0)):
                await event.wait()

    async def carry(self) -> float | None:
        """Write down what is new, hand over what is ready; gives when the next attempt is due, None where none is."""
        try:
            return await self._carry()
        except GopubError as error:
            self._say("%s: people could not be told: %s", self._rollout, error.problem)
            return None

    async def _carry(self) -> float | None:
        if self._told is None or any(isinstance(one.notifier, telling.Nowhere) for one in self._told):
            self._told = ()  # a project that cannot be read is told once, not at each look
            self._told = await self._who()
        if not self._told:
            return None
        await asyncio.to_thread(self._read)
        if not self._drives:
            self._news += await asyncio.to_thread(self._absence)
        await asyncio.to_thread(self._write, lambda there: _due(there, self._news, self._told or ()))
        self._news.clear()
        if any(one.hears_ends for one in self._told):
            await asyncio.to_thread(self._write, self._ends)
        came = await asyncio.gather(*(self._tell(one) for one in self._told), return_exceptions=True)
        for fault in (one for one in came if isinstance(one, BaseException)):  # once nobody is being told any more
            raise fault
        names = {one.name for one in self._told}
        there = letters(await asyncio.to_thread(self._journal.read, told_of(self._rollout)))
        return opens_at({name: one for name, one in there.items() if one.due.to in names})

    async def _tell(self, told: Told) -> None:
        """Hand over what is ready, one after the other; who does not take one is left alone until the next look."""
        async with self._places:
            while claimed := await asyncio.to_thread(self._claim, told.name):
                if not await self._hand_over(*claimed, told):
                    return

    async def _who(self) -> Sequence[Told]:
        """Who is told: by the project that the rollout was started from."""
        found = await asyncio.to_thread(self._where)
        return await telling.told_of(*found, self._elsewhere) if found else ()

    def _where(self) -> tuple[Project, Environment] | None:
        entries = self._journal.read_turns(stream_of(self._rollout))
        opened = next((entry.event for entry in entries if isinstance(entry.event, ev.Opened)), None)
        if opened is None:
            return None
        if opened.project not in self._known:
            self._known[opened.project] = open_project(opened.project)
        project = self._known[opened.project]
        environment = project.spec.environments.get(opened.env)
        return (project, environment) if environment and project.spec.app == opened.app else None

    def _read(self) -> None:
        """What is new since the last time; at first all that is not too old."""
        stream, begun = stream_of(self._rollout), self._room.entries
        entries = self._journal.read(stream, after=begun) if begun else self._journal.read_turns(stream)
        since = self._clock.now() - LOOKED_BACK
        self._news += [news for entry in entries for news in self._room.after(entry) if news.at >= since]

    def _absence(self) -> tuple[News, ...]:
        """What no entry tells, as it is now."""
        return absence(seen(self._journal, self._rollout, self._room.state, self._room.tries, self._clock.now()))

    def _ends(self, there: There) -> Sequence[ev.Event]:
        """What does not hold any more, for those who hear of ends."""
        hear = {one.name for one in self._told or () if one.hears_ends}
        heard = {name: one for name, one in there.items() if one.due.to in hear}
        return ends(heard, self._room.state, self._room.tries)

    def _claim(self, to: str) -> tuple[Letter, float | None] | None:
        """The next message to one connection, as it stands once this attempt is written down; None where none is.

        Beside it when it was over: what is tried again for so long may have ended since, and begins nothing then.
        """
        mine: list[Letter] = []
        over: list[float] = []

        def attempt(there: There) -> list[ev.Event]:
            its = [one for one in ready(there, self._clock.now()) if one.due.to == to]
            mine[:] = [replace(one, tries=one.tries + 1) for one in its[:1]]
            ended = [one if one.due.over else there.get((end_of(one.due.key), to)) for one in mine]
            over[:] = [end.at for end in ended if end]
            return [notices.NoticeTried(*one.name) for one in mine]

        self._write(attempt)
        return (mine[0], over[0] if over else None) if mine else None

    def _write(self, events: Callable[[There], Sequence[ev.Event]]) -> None:
        """Append what ``events`` makes of what is there; anew where somebody else wrote meanwhile.

        Raises:
            GopubError: the journal cannot be read or written.
        """
        stream = told_of(self._rollout)
        for attempt in range(_AGAIN):
            entries = self._journal.read(stream)
            new = events(letters(entries))
            if not new:
                return
            try:
                self._journal.append(stream, len(entries), new, actor=whoami())
            except LockedError:
                if attempt + 1 == _AGAIN:
                    raise
            else:
                return

    async def _hand_over(self, letter: Letter, over: float | None, told: Told) -> bool:
        due = letter.due
        answer = await told.send(Message(due.title, due.body, Tone(due.tone), self._about(letter, over)))
        end: ev.Event = notices.NoticeTaken(due.key, due.to)
        if not answer.taken:
            says = REDACTOR.clean(answer.says)
            end = notices.NoticeLost(due.key, due.to, says, letter.pause)
            again = f"tried again in {letter.pause:g}s" if letter.pause else "given up"
            say = _log.warning if letter.pause else _log.error
            say("%s: %s was not told of %s: %s; %s", self._rollout, due.to, due.key, says, again)
        await asyncio.to_thread(self._write, lambda _there: [end])
        return answer.taken

    def _about(self, letter: Letter, over: float | None) -> About:
        due, state = letter.due, self._room.state
        return About(state.app, state.env, state.rollout, state.release_version, due.about, begin_of(due.key),
                     due.since or letter.at, holds(due.about), over)  # fmt: skip


async def carry_all(
    journal: Journal,
    now: float,
    app: str = "",
    env: str = "",
    elsewhere: Elsewhere | None = None,
    clock: Clock | None = None,
) -> None:
    """Tell what is left to tell of the rollouts of the last hours, one attempt each; it never fails."""
    several, places, known = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_AT_ONCE), dict[str, Project]()

    async def carry(rollout: str) -> None:
        async with several:
            await Post(journal, rollout, elsewhere, clock, known=known, places=places).carry()

    def left() -> list[str]:
        return [one for one in under_way_since(journal, now - LOOKED_BACK, app, env) if not _all_told(journal, one)]

    try:
        rollouts = await asyncio.to_thread(left)
    except GopubError as error:
        _log.warning("who is still to be told of what is not known: %s", error.problem)
        return
    await asyncio.gather(*(carry(one) for one in rollouts))


def _all_told(journal: Journal, rollout: str) -> bool:
    """Whether its end was told, and nothing is left to try: nobody reads its project for that each minute."""
    there = letters(journal.read(told_of(rollout)))
    return any(key == "ended" for key, _ in there) and opens_at(there) is None


def _due(there: There, news: Sequence[News], told: Sequence[Told]) -> list[ev.Event]:
    """What each is to be told that nobody wrote down yet."""
    return [
        _written(one, who)
        for one in news
        for who in told
        if set(one.about) & set(who.on) and (one.key, who.name) not in there
    ]


def _written(news: News, who: Told) -> notices.NoticeDue:
    """In the reader's language, led by what they asked for."""
    about = tuple(one for one in news.about if one in who.on)
    made = message(replace(news, about=about), who.lang)
    title, body = REDACTOR.clean(made.title), REDACTOR.clean(made.body)
    return notices.NoticeDue(news.key, who.name, title, body, made.tone.value, about[0], news.at)
