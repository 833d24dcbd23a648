"""Telling live what happens: the journal is read while a flow runs, wherever that flow runs."""

from __future__ import annotations

from collections.abc import Callable

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import whoami
from gopub.journal.state import State, fold, fold_env
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.telemetry import one_line
from gopub.views.progress import Progress, say_progress
from gopub.views.worth import Told, worth

LOOK = 0.25


class Follower:
    """Gives every new entry of an env's rollouts to ``on_entry``, in order, once."""

    def __init__(self, journal: Journal, app: str, env: str, on_entry: Callable[[Entry], None]) -> None:
        """Begin after what the journal holds now."""
        self._journal, self._app, self._env, self._on_entry = journal, app, env, on_entry
        self._known = {stream: len(journal.read(stream)) for stream in journal.streams("rollout/")}
        self._opened = len(journal.read(env_stream(app, env)))
        self._before, self._opened_before = dict(self._known), self._opened
        self.rollout = ""

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
            since = [entry.event for entry in entries[self._before.get(stream_of(rollout), 0) :]]
            drivers = [event.driver for event in since if isinstance(event, ev.SeatTaken)]
            if drivers and drivers[-1] == whoami():
                return fold(entry.event for entry in entries)
        return None

    def catch_up(self) -> None:
        """Tell what is new; a journal that is away for a moment is asked again next time."""
        try:
            env = self._journal.read(env_stream(self._app, self._env))
            # One that is refused opens and closes between two looks.
            opened = [one.event.rollout for one in env[self._opened :] if isinstance(one.event, ev.EnvOpened)]
            active = fold_env(entry.event for entry in env).active
            for rollout in filter(None, dict.fromkeys((self.rollout, *opened, active))):
                self._tell(rollout)
        except GopubError:
            return
        self._opened = len(env)

    def _tell(self, rollout: str) -> None:
        stream = stream_of(rollout)
        entries = self._journal.read(stream)
        for entry in entries[self._known.get(stream, 0) :]:
            self._on_entry(entry)
        self._known[stream], self.rollout = len(entries), rollout


class Telling:
    """Entries as lines for people who watch, in order: each as its first line and those that belong to it.

    Remembers the last verdict of each rollout, and what was told of it: see ``worth``.
    """

    def __init__(self) -> None:
        """Nothing was told yet."""
        self._judged: dict[str, ev.Judged] = {}
        self._told: dict[str, Told] = {}
        self._progress: dict[str, Progress] = {}

    def lines(self, entry: Entry) -> tuple[str, ...]:
        """What is told of this entry; empty where nothing is."""
        event, stream = entry.event, entry.stream
        known = self._progress[stream] = self._progress.get(stream, Progress()).after(event)
        if isinstance(event, ev.Judged):
            self._judged[stream] = event
            tells, self._told[stream] = worth(self._told.get(stream, Told()), event, entry.at)
            if not tells:
                return ()
        return say_progress(known, event, self._judged.get(stream))


def line_printer(write: Callable[[str], None]) -> Callable[[Entry], None]:
    """Prints entries that are worth a line, with the time of day (UTC)."""
    telling = Telling()

    def show(entry: Entry) -> None:
        for number, line in enumerate(telling.lines(entry)):
            write(f"{' ' * 8 if number else entry.when[11:19]}  {one_line(line)}")

    return show
