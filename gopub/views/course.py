"""The entries that a rollout's page is drawn from while it goes on: of a rollout of days not all of its looks. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Plan

MOST = 300
"""Looks that are kept at most: a picture has no more columns that an eye tells apart."""


class Course:
    """Takes a rollout's entries in their order; keeps all that is no look, and looks at equal distances.

    The last look is always there, for it says how the rollout stands, and so is the one that made a step's bake whole.
    A look is a few kilobytes of JSON, tens of kilobytes as objects: the looks of a week would fill a worker.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Take these first; some looks may be left out of them already (`Journal.read_turns`)."""
        self._kept: list[tuple[Entry, bool]] = []
        self._every, self._others, self._version, self._some = 1, 0, 0, 0
        self._last: int | None = None
        self._plan: Plan | None = None
        self._whole: set[int] = set()
        for entry in entries:
            self.add(entry)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is kept, in the order of the journal."""
        return tuple(entry for entry, _ in self._kept)

    @property
    def looks(self) -> int:
        """How many looks there were, those that are not kept among them: entries of a stream are numbered from 1."""
        return self._version - self._others

    def add(self, entry: Entry) -> None:
        """Take one more."""
        self._version = entry.version
        if not isinstance(entry.event, ev.Judged):
            self._others += 1
            self._plan = entry.event.plan if isinstance(entry.event, ev.Planned) else self._plan
            self._kept.append((entry, True))
            return
        if self._last is not None and not self._stays(*self._kept[self._last]):
            del self._kept[self._last]
            self._some -= 1
        self._kept.append((entry, self._completes(entry.event)))
        self._last, self._some = len(self._kept) - 1, self._some + 1
        if self._some > MOST:
            self._thin()

    def _stays(self, entry: Entry, always: bool) -> bool:
        return always or entry.version % self._every == 0

    def _thin(self) -> None:
        self._every *= 2
        self._kept[:-1] = [one for one in self._kept[:-1] if self._stays(*one)]
        self._last = len(self._kept) - 1
        self._some = sum(isinstance(entry.event, ev.Judged) for entry, _ in self._kept)

    def _completes(self, look: ev.Judged) -> bool:
        """Whether the step's bake is whole for the first time."""
        step = next((one for one in self._plan.steps if one.index == look.step), None) if self._plan else None
        if step is None or look.observed < step.bake or look.step in self._whole:
            return False
        self._whole.add(look.step)
        return True
