"""A rollout's journal under one seat: what happens is written before it is done, and folded.

On the way back the journal may be down: what it did not take is kept beside it, and written with the next entry that it
does take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile

from gopub.errors import GopubError, LockedError
from gopub.journal import events as ev
from gopub.journal.events import encode
from gopub.journal.late import Late, drop, keep
from gopub.journal.seat import Seat
from gopub.journal.state import State, fold
from gopub.journal.streams import stream_of
from gopub.telemetry import log
from gopub.wiring.ports import Ports

HURRY = 1.0
"""Seconds that a driver which goes back waits for a journal that somebody holds."""
REST = 10.0
"""Seconds for which a journal that failed on the way back is not asked again: edges and hosts come first."""

_log = log("rollout")


class Recorder:
    """Writes and reads one rollout; ``state`` is what the journal and what it did not take yet make together.

    ``heard`` gets every event once it is kept, wherever that is: for a person who watches. What it raises is logged.
    """

    def __init__(self, ports: Ports, seat: Seat, rollout: str, *, actor: str, trace: str) -> None:
        """Read the rollout's state; the seat must have been taken already."""
        self._ports = ports
        self._seat = seat
        self._actor = actor
        self._trace = trace
        self._rests_until = 0.0
        self.rollout = rollout
        self.state = self.read()
        self.unwritten: list[ev.Event] = []
        self._tried: list[tuple[ev.Event, ...]] = []
        """Writes whose outcome nobody knows: the journal has one of them, or none."""
        self.alarms: list[str] = []
        self.heard: Callable[[ev.Event], None] | None = None
        if self.state.back:
            self.hurry()

    def read(self) -> State:
        """The state anew, as the journal has it now."""
        self.state = fold(entry.event for entry in self._ports.journal.read(stream_of(self.rollout)))
        return self.state

    def record(self, *events: ev.Event, must: bool = True) -> None:
        """Append to the journal and fold; with ``must=False`` a journal that is down does not stop us (going back).

        What it did not take is written with the next entry that it does take; after a failure it is left alone for a
        while, so that a locked one delays neither edges nor hosts.
        """
        if not events:
            return
        asked = self._asked(must=must)
        state = fold(events, self.state)
        waiting = [*self.unwritten, *events]
        if asked:
            waiting = self._append(waiting, state.version - len(waiting), must=must)
        before, self.unwritten, self.state = self.unwritten, waiting, state
        if waiting:
            self._keep_unwritten()
        else:  # only now: what breaks in before must find what we tried
            self._tried.clear()
            if before:
                drop(self._ports.kits, self.rollout)
        self._tell(events)

    def _asked(self, *, must: bool) -> bool:
        """Whether the journal is asked now: on the way back, one that failed rests, and so does what it may have."""
        if not must and self._ports.clock.now() < self._rests_until:
            return False
        try:
            self._look()
        except GopubError as error:  # nobody knows behind which entry the next one belongs
            if must:
                raise
            self._is_down(error)
            return False
        return True

    def _tell(self, events: Sequence[ev.Event]) -> None:
        if heard := self.heard:
            for event in events:
                try:
                    heard(event)
                except Exception:  # noqa: BLE001 - telling is never a reason to stop half-way, whatever becomes of it
                    _log.exception("%s: an entry could not be told", self.rollout)

    def _append(self, waiting: list[ev.Event], version: int, *, must: bool) -> list[ev.Event]:
        """Write what waits, and give what waits still."""
        self._tried.append(tuple(waiting))
        try:
            self._ports.journal.append(
                stream_of(self.rollout), version, waiting, actor=self._actor, trace=self._trace, seat=self._seat
            )
        except LockedError:
            raise
        except GopubError as error:
            if must:
                raise
            self._is_down(error)
            return waiting
        return []

    def _is_down(self, error: GopubError) -> None:
        self.alarm(f"journal down: {error.problem}")
        self._rests_until = self._ports.clock.now() + REST

    def settle(self) -> None:
        """See whether the journal has what we were writing when something broke in, and take it as written if so.

        A signal that Prefect turns into an exception may come between the commit and our next line, and a database may
        be lost between a commit and its answer. Without this look our own entry would be somebody else's, and the
        driver would stop before the way back, or in the middle of it.
        """
        with suppress(GopubError):  # it is down: then nothing is known, and the next entry says so
            self._look()

    def _look(self) -> None:
        """As ``settle``; what is there and is none of our attempts is somebody else's, and the next write says so.

        Raises:
            GopubError: GP701 the journal cannot be read.
        """
        if not self._tried:
            return
        events = [entry.event for entry in self._ports.journal.read(stream_of(self.rollout))]
        there = [encode(event) for event in events[self.state.version - len(self.unwritten) :]]
        mine = next((one for one in self._tried if [encode(event) for event in one] == there), None)
        if mine is not None:
            self._take(events, mine)
        self._tried.clear()

    def _take(self, events: list[ev.Event], mine: tuple[ev.Event, ...]) -> None:
        """The journal has these, the last of them ours: what waits still belongs behind them."""
        known = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(mine, self.unwritten, strict=False)))
        left = self.unwritten[known:]
        self.state, self.unwritten = fold(left, fold(events)), left
        if self.unwritten:
            self._keep_unwritten()
        else:
            drop(self._ports.kits, self.rollout)
        self._tell(mine[known:])

    def hurry(self, seconds: float | None = None) -> None:
        """From here on wait only so long (``HURRY``) for a journal that somebody holds; it is asked again at once."""
        self._ports.journal.wait_at_most(HURRY if seconds is None else seconds)
        self._rests_until = 0.0

    def _keep_unwritten(self) -> None:
        missing, state = tuple(self.unwritten), self.state
        late = Late(self.rollout, state.app, state.env, state.version - len(missing), missing, self._actor, self._trace)
        try:
            keep(self._ports.kits, late)
        except OSError as error:
            self.alarm(f"the journal is down, and nothing can be kept beside it: {error}")

    def alarm(self, text: str) -> None:
        """Something a person must know of although the work goes on."""
        if text not in self.alarms:
            self.alarms.append(text)
            _log.error("%s: %s", self.rollout, text)
