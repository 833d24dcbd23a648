"""When what waits is woken, and whether there is anything to look after at all. Moments are decided purely."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gopub.clock import SystemClock
from gopub.journal import events as ev
from gopub.journal.reading import asked
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.judge.gates import held_until, hold_of, opens_at
from gopub.usecases.recover import active
from gopub.usecases.recover_edges import debts
from gopub.views.untold import read_untold

AFTER = 1.0
"""Seconds after the moment: the clock of whoever is woken may be a little behind the one that wakes."""
LOOK, LEAST = 60, 30
"""Seconds between two looks while there is something to look after, and to the first one."""


@dataclass(frozen=True, slots=True)
class Wake:
    """A rollout that is to be looked at in a moment."""

    app: str
    env: str
    rollout: str
    at: int

    @property
    def key(self) -> str:
        """One run for it, however often it is asked for."""
        return f"wake:{self.rollout}:{self.at}"


def opening(state: State, said: tuple[ev.Asked, ...], now: float) -> float | None:
    """When the rollout that waits may go on by itself; None where a person must say so, or it may go on now. Pure."""
    if state.plan is None or state.step is None or not state.waiting or state.back or state.closed:
        return None
    if any(one.what == "abort" for one in said):
        return None
    if hold := hold_of(said):
        return held_until(state.plan, state.reached, hold)
    return opens_at(state.plan, state.step.index, said, now)


def wake_of(state: State, said: tuple[ev.Asked, ...], now: float) -> Wake | None:
    """The run that wakes it; None where none is needed. Pure."""
    at = opening(state, said, now)
    if at is None or at <= now:
        return None
    return Wake(state.app, state.env, state.rollout, math.ceil(at + AFTER))


def wakes(journal: Journal, now: float) -> list[Wake]:
    """The runs that are to wake what waits."""
    found = (wake_of(one.state, asked(journal, one.state.rollout), now) for one in active(journal))
    return [one for one in found if one]


def changes(wanted: Iterable[Wake], there: Mapping[str, str]) -> tuple[list[Wake], list[str]]:
    """Those that are to be made, and the runs to be removed; ``there`` are runs by the key of each. Pure."""
    keys = {one.key: one for one in wanted}
    return [one for key, one in keys.items() if key not in there], [
        run for key, run in there.items() if key not in keys
    ]


def something_to_look_after(journal: Journal) -> bool:
    """Whether a rollout is active, owed somewhere or still to be told of: then `recover` looks every minute."""
    if next(active(journal), None) is not None or next(debts(journal), None) is not None:
        return True
    return any(one.again is not None for one in read_untold(journal, SystemClock().now()))


def next_look(now: float) -> int:
    """The moment of the next look: full minutes, so that all who ask for it ask for the same. Pure."""
    return (math.floor(now + LEAST) // LOOK + 1) * LOOK
