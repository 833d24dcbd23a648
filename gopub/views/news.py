"""What of a rollout people are told outside of the house, and under which key each is told once. Pure.

Less than programs are told as events: what somebody has to do, or will ask in the morning. A key follows from the
journal alone, so whoever reads it again, another process or the next version, finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gopub.canon import Json
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import State, advance
from gopub.journal.tries import Tries
from gopub.judge.after import Finding
from gopub.judge.verdict import Cause, Kind
from gopub.plan.model import Outcome
from gopub.views.notices import gate_is_closed

STUCK_AFTER = 300.0
"""Seconds for which a verdict holds a rollout before people are told."""
PATIENTLY = 1800.0
"""The same where nothing is wrong but that there is too little to judge by."""
_GOES_BY_ITSELF = frozenset({Cause.BAKES, Cause.COLD, Cause.LEAK, Cause.GOOD, Cause.EVIDENCE, Cause.UNSAID})
_LITTLE = frozenset({Cause.FEW, Cause.QUIET, Cause.SILENT, Cause.UNSCORED})
_ENDS = {
    Outcome.PROMOTED: "promoted",
    Outcome.ROLLED_BACK: "rolled-back",
    Outcome.FAILED: "rolled-back",
    Outcome.WITHDRAWN: "withdrawn",
}


class Loss(StrEnum):
    """Why a rollout does not go on though no verdict holds it."""

    NOBODY = "nobody"
    DIES = "dies"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class Lost:
    """What drivers do not tell: since when, and how many of them got no further."""

    why: Loss
    since: float
    times: int = 0


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell: ``about`` are the values of ``on`` that ask for it, the first one names it.

    ``state`` is the rollout as it stood then, ``step`` counts from 0 and is None of an end; ``lost`` says why it is
    stuck where no verdict does.
    """

    key: str
    about: tuple[str, ...]
    at: float
    state: State
    step: int | None = None
    lost: Lost | None = None


@dataclass(slots=True)
class Newsroom:
    """Draws the news of one rollout, entry by entry from its first on."""

    state: State = field(default_factory=State)
    needed: frozenset[int] = frozenset()
    stuck: frozenset[int] = frozenset()
    held_since: float | None = None
    entries: int = 0
    tries: Tries = field(default_factory=Tries)

    def after(self, entry: Entry) -> tuple[News, ...]:
        """Those of one more entry."""
        self.entries = entry.version
        self.tries = self.tries.after(entry, self.state)
        self.state = advance(self.state, entry.event)
        return tuple(self._news(entry))

    def _news(self, entry: Entry) -> Iterable[News]:
        match entry.event:
            case ev.Waiting(step=step):
                yield from self._approval(entry, step)
            case ev.Judged() as judged:
                if gate_is_closed(judged):
                    yield from self._approval(entry, judged.step + 1)
                yield from self._held(entry, judged)
            case ev.Watched() as seen:
                yield from self._watched(entry, seen)
            case ev.Closed() as closed:
                about = [_ENDS[closed.outcome]] if closed.outcome in _ENDS else []
                about += ["owed"] if closed.owed or closed.owed_edges else []
                if about:
                    yield News("ended", tuple(about), entry.at, self.state)
            case _:
                return

    def _approval(self, entry: Entry, step: int) -> Iterable[News]:
        """Once for each step that waits for a person."""
        steps = self.state.plan.steps if self.state.plan else ()
        if step < len(steps) and steps[step].approve and step not in self.needed:
            self.needed |= {step}
            yield News(f"approval-needed/{step + 1}", ("approval-needed",), entry.at, self.state, step)

    def _watched(self, entry: Entry, seen: ev.Watched) -> Iterable[News]:
        """Once, where a promoted release breaks what it promised and is left where it is."""
        steps = len(self.state.plan.steps) if self.state.plan else 0
        alone = self.state.watch is not None and self.state.watch.then == "alarm"
        left = seen.finding == Finding.OUTSIDE or (seen.finding == Finding.BREACH and alone)
        if left and steps not in self.stuck:
            self.stuck |= {steps}
            yield News("stuck/watch", ("stuck",), entry.at, self.state)

    def _held(self, entry: Entry, judged: ev.Judged) -> Iterable[News]:
        """Once for each step, when a verdict has held it for long."""
        patience = _patience(judged)
        if patience is None:
            self.held_since = None
            return
        if self.held_since is None:
            self.held_since = entry.at
        if entry.at - self.held_since >= patience and judged.step not in self.stuck:
            self.stuck |= {judged.step}
            yield News(f"stuck/{judged.step + 1}", ("stuck",), entry.at, self.state, judged.step)


def _patience(judged: ev.Judged) -> float | None:
    """Seconds for which nobody is told of what holds it; None where nothing does, or a person."""
    record = _below(judged.record, "record")
    history, cause = _below(record, "history"), _below(record, "verdict").get("cause")
    if judged.kind != Kind.HOLD or history.get("held") or history.get("gate") or cause in _GOES_BY_ITSELF:
        return None
    return PATIENTLY if cause in _LITTLE else STUCK_AFTER


def _below(tree: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    found = tree.get(name)
    return found if isinstance(found, Mapping) else {}
