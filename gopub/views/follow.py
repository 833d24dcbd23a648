"""Telling live what happens: the journal is read while a flow runs, wherever that flow runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import whoami
from gopub.journal.state import State, fold, fold_env
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.plan.model import Plan
from gopub.rollout.failing import grouped, say_failures, untold
from gopub.telemetry import one_line
from gopub.views.loudness import loudness
from gopub.views.progress import Progress, say_progress
from gopub.views.standing import moment
from gopub.views.waiting import Waiting
from gopub.views.worth import AGAIN, Told, worth

LOOK = 0.25


def own_from(entries: Sequence[Entry]) -> int:
    """The place of the first entry that its present driver has to tell of: where it took the seat; of a new one 0."""
    seats = [place for place, entry in enumerate(entries) if isinstance(entry.event, ev.SeatTaken)]
    return seats[-1] if len(seats) > 1 else 0


class Follower:
    """Gives every new entry of an env's rollouts to ``on_entry``, in order, once."""

    def __init__(
        self,
        journal: Journal,
        app: str,
        env: str,
        on_entry: Callable[[Entry], None],
        on_pause: Callable[[], None] = lambda: None,
        on_known: Callable[[Entry], None] = lambda _entry: None,
        *,
        own: bool = False,
    ) -> None:
        """Begin after what the journal holds now; ``on_pause`` is called at a look that found nothing new.

        ``on_known`` gets what the journal held before of a rollout that goes on: its plan names the releases.
        ``own`` leaves out what another process drives in the same env.
        """
        self._journal, self._app, self._env, self._on_entry = journal, app, env, on_entry
        self._on_pause, self._on_known, self._own = on_pause, on_known, own
        self._begun: set[str] = set()
        self._known = journal.versions("rollout/")
        begun = journal.read(env_stream(app, env))
        self._opened = len(begun)
        self._before, self._opened_before = dict(self._known), self._opened
        self.rollout = fold_env(entry.event for entry in begun).active  # it may be over at the first look

    async def follow(self) -> None:
        """Follow until cancelled; the last entries are told by ``catch_up``."""
        while True:
            await SystemClock().sleep(LOOK)
            self.catch_up()

    def ours(self) -> State | None:
        """The rollout whose seat this process took since we began, as it stands; None while there is none.

        Somebody else's may be active in the same env, before ours began and even after: the journal tells who drives.

        Raises:
            GopubError: GP701 the journal cannot be read.
        """
        env = [entry.event for entry in self._journal.read(env_stream(self._app, self._env))]
        opened = [event.rollout for event in env[self._opened_before :] if isinstance(event, ev.EnvOpened)]
        for rollout in dict.fromkeys(filter(None, (*reversed(opened), fold_env(env).active))):
            entries = self._journal.read(stream_of(rollout))
            if self._drives(entries, rollout):
                return fold(entry.event for entry in entries)
        return None

    def _drives(self, entries: Sequence[Entry], rollout: str) -> bool:
        """Whether this process took the rollout's seat since we began, and nobody after it."""
        since = [entry.event for entry in entries[self._before.get(stream_of(rollout), 0) :]]
        drivers = [event.driver for event in since if isinstance(event, ev.SeatTaken)]
        return bool(drivers) and drivers[-1] == whoami()

    def catch_up(self) -> None:
        """Tell what is new; a journal that is away for a moment is asked again next time."""
        try:
            env = self._journal.read(env_stream(self._app, self._env))
            # One that is refused opens and closes between two looks.
            opened = [one.event.rollout for one in env[self._opened :] if isinstance(one.event, ev.EnvOpened)]
            active = fold_env(entry.event for entry in env).active
            told = [self._tell(one) for one in filter(None, dict.fromkeys((self.rollout, *opened, active)))]
        except GopubError:
            return
        self._opened = len(env)
        if not any(told):
            self._on_pause()

    def _tell(self, rollout: str) -> bool:
        """Whether there was anything new."""
        stream = stream_of(rollout)
        if stream in self._begun:  # a look every quarter of a second reads nothing twice
            new = self._journal.read(stream, after=self._known[stream])
        elif (begun := self._begin(stream, rollout)) is None:
            return False
        else:
            new = begun
        for entry in new:
            self._on_entry(entry)
        self._known[stream], self.rollout = self._known.get(stream, 0) + len(new), rollout
        return bool(new)

    def _begin(self, stream: str, rollout: str) -> list[Entry] | None:
        """What is new of a stream of which nothing was told yet; None where it is another's, which is left out."""
        before = self._known.get(stream, 0)
        if self._journal.versions(stream).get(stream, 0) <= before and not self._own:
            return []
        entries = self._journal.read(stream)
        if self._own and not self._drives(entries, rollout):
            return None
        if new := entries[before:]:
            self._begun.add(stream)
            for entry in entries[: self._before.get(stream, 0)]:
                self._on_known(entry)
        return new


class Telling:
    """Entries as lines for people who watch, in order: each as its first line and those that belong to it.

    Remembers the last verdict of each rollout, and what was told of it: see ``worth``.
    """

    def __init__(self, again: float = AGAIN) -> None:
        """Nothing was told yet; a verdict that stands is told again after so many seconds."""
        self._again = again
        self._judged: dict[str, ev.Judged] = {}
        self._told: dict[str, Told] = {}
        self._progress: dict[str, Progress] = {}

    def lines(self, entry: Entry) -> tuple[str, ...]:
        """What is told of this entry; empty where nothing is."""
        event, stream = entry.event, entry.stream
        known = self._progress[stream] = self._progress.get(stream, Progress()).after(event)
        if isinstance(event, ev.Judged):
            self._judged[stream] = event
            tells, self._told[stream] = worth(self._told.get(stream, Told()), event, entry.at, self._again)
            if not tells:
                return ()
        return say_progress(known, event, self._judged.get(stream))

    def known(self, entry: Entry) -> None:
        """Take in an entry that is told to nobody: it was there before anybody watched."""
        self._progress[entry.stream] = self._progress.get(entry.stream, Progress()).after(entry.event)

    def plan(self, stream: str) -> Plan | None:
        """That of a rollout; None where it was not seen."""
        return self._progress.get(stream, Progress()).plan


@dataclass(frozen=True, slots=True)
class Line:
    """What is told at once: when, how loud (a level of ``logging``), and the lines, the first one first."""

    at: float
    level: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it as one text."""
        return "\n".join(self.lines)


class Printer:
    """Tells entries that are worth a line, in order; equal failures of hosts in one line.

    Failures wait for the entry after them, or for ``pause``: the journal has one for each host.
    """

    def __init__(self, tell: Callable[[Line], None], clock: Clock | None = None, again: float = AGAIN) -> None:
        """Hand each to ``tell``; nothing was told yet. A verdict that stands is told after ``again`` seconds."""
        self._tell, self._telling = tell, Telling(again)
        self._clock, self._waiting, self._told = clock or SystemClock(), Waiting(), 0.0
        self._failed: list[Entry] = []
        self.reason = ""

    def __call__(self, entry: Entry) -> None:
        """Tell of it, or keep it for a moment."""
        self._waiting = self._waiting.after(entry.event, self._clock.now())
        lines = self._telling.lines(entry)
        if isinstance(entry.event, ev.HostFailed):
            self._failed.append(entry)
            return
        self.pause()
        if isinstance(entry.event, ev.GoingBack | ev.Closed) and self.reason:
            event = replace(entry.event, reason=untold(entry.event.reason, self.reason))
            lines = self._telling.lines(replace(entry, event=event))
        self._show(entry, lines)

    def known(self, entry: Entry) -> None:
        """Take in an entry from before anybody watched."""
        self._waiting = self._waiting.after(entry.event, self._clock.now())
        self._telling.known(entry)

    def idle(self) -> None:
        """Tell what waits, and which hosts are waited for where nothing was told for long."""
        self.pause()
        now = self._clock.now()
        if line := self._waiting.says(now, self._told):
            self._told = now
            self._tell(Line(now, logging.INFO, (one_line(line),)))

    def pause(self) -> None:
        """Tell what waits."""
        failed, self._failed = self._failed, []
        if not failed:
            return
        failures = [entry.event for entry in failed if isinstance(entry.event, ev.HostFailed)]
        plan = self._telling.plan(failed[0].stream)
        total, unit = (len(plan.hosts), plan.instance) if plan else (0, "")
        self.reason = say_failures(failures, total)
        for one in grouped(failures, unit):
            told = f"{one.who(total)}: {one.verb} failed: {one.code} {one.says}"
            self._show(failed[0], (told, f"hint: {one.next}"))

    def _show(self, entry: Entry, lines: Sequence[str]) -> None:
        if lines:
            self._told = self._clock.now()
            self._tell(Line(entry.at, loudness(entry.event), tuple(map(one_line, lines))))


def line_printer(write: Callable[[str], None], clock: Clock | None = None) -> Printer:
    """Prints entries that are worth a line, with the time of day (UTC)."""

    def printed(told: Line) -> None:
        for number, line in enumerate(told.lines):
            write(f"{' ' * 8 if number else moment(told.at)[11:19]}  {line}")

    return Printer(printed, clock)
