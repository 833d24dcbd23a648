"""What people ask of a driver: it reads them at each look."""

from __future__ import annotations

from gopub.clock import Clock, SystemClock
from gopub.errors import LockedError, UsageError
from gopub.rollout import events as ev
from gopub.rollout.gates import closed_gate
from gopub.rollout.journal import Journal
from gopub.rollout.machine import State
from gopub.rollout.opening import read_state, whoami
from gopub.rollout.run import asked_of

TRIES = 5
"""So many people may ask in the same moment."""


def ask(journal: Journal, rollout: str, what: str, reason: str) -> None:
    """Write down that somebody asks; several may ask at the same time.

    Raises:
        LockedError: GP704 others were quicker, again and again.
    """
    stream, actor = asked_of(rollout), whoami()
    for left in reversed(range(TRIES)):
        try:
            journal.append(stream, len(journal.read(stream)), [ev.Asked(what, reason, actor)], actor=actor)
        except LockedError:
            if not left:
                raise
        else:
            return


def ask_promote(journal: Journal, rollout: str, reason: str, clock: Clock | None = None) -> State:
    """Ask for the next step: an approval where one is waited for, else the end of the bake.

    A rollout that has touched nothing yet and whose first step may not begin is about to wait, or does: then that
    step is meant, also where its driver has not written (or died before it wrote) that it waits.

    Raises:
        UsageError: GP943 there is nothing to go on to.
    """
    state = read_state(journal, rollout)
    step = state.step
    if state.closed or state.back or step is None:
        raise UsageError("GP943", f"rollout {rollout} has no step to go on to", hint="see `gopub status`")
    index = step.index if _waits(journal, state, step.index, (clock or SystemClock()).now()) else step.index + 1
    ask(journal, rollout, f"promote:{index}", reason)
    return state


def _waits(journal: Journal, state: State, index: int, now: float) -> bool:
    if state.waiting:
        return True
    if state.touched or state.plan is None:
        return False
    asked = [entry.event for entry in journal.read(asked_of(state.rollout)) if isinstance(entry.event, ev.Asked)]
    return closed_gate(state.plan, index, asked, now) is not None
