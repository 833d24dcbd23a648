"""What people ask of a driver: it reads them at each look."""

from __future__ import annotations

from collections.abc import Callable

from gopub.clock import Clock, SystemClock
from gopub.errors import LockedError, RefusedError, UsageError
from gopub.journal import events as ev
from gopub.journal.reading import asked, read_env_state, read_state, whoami
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.journal.streams import asked_of
from gopub.journal.transitions import Phase
from gopub.judge.gates import HOLD, RESUME, UNWATCH, closed_gate, hold_of, say_hold
from gopub.spec.people import People, Who
from gopub.usecases.approvers import Word, word_of
from gopub.wiring.people import house, os_login

LONGEST_REASON = 4000
"""Characters of a reason that are kept: each look of the driver, each page and each message reads it again."""
TRIES = 50
"""So often a person's word gives way to others: a flood of alerts in the same moment keeps no `abort` out."""


def ask(
    journal: Journal,
    rollout: str,
    what: str,
    reason: str,
    *,
    actor: str = "",
    run: str = "",
    word: Word | None = None,
    clock: Clock | None = None,
) -> None:
    """Write down that somebody asks; several may ask at the same time. ``run``: see `events.Asked`.

    ``word`` is that of a person whose name was looked at; ``actor`` of whoever asks otherwise. Of a reason that is a
    book the beginning is kept: it keeps nobody from holding or going back.

    Raises:
        LockedError: GP704 others were quicker, again and again.
    """
    word = word or Word(actor or whoami())
    stream, actor = asked_of(rollout), word.actor
    if len(reason) > LONGEST_REASON:
        reason = f"{reason[: LONGEST_REASON - 1]}…"
    event = ev.Asked(what, reason, actor, (clock or SystemClock()).now(), run, word.verified, word.allowed)
    for left in reversed(range(TRIES)):
        try:
            journal.append(stream, len(journal.read(stream)), [event], actor=actor)
        except LockedError:
            if not left:
                raise
        else:
            return


def ask_promote(
    journal: Journal,
    rollout: str,
    reason: str,
    clock: Clock | None = None,
    *,
    who: Who | None = None,
    people: Callable[[], People | None] = house,
) -> State:
    """Ask for the next step: an approval where one is waited for, else the end of the bake.

    A rollout that has touched nothing yet and whose first step may not begin is about to wait, or does: then that
    step is meant, also where its driver has not written (or died before it wrote) that it waits. ``who`` asks is the
    one who sits here; ``people`` are those of the house.

    Raises:
        UsageError: GP943 there is nothing to go on to.
        RefusedError: GP745 somebody holds it; GP991, GP992, GP993, GP995 the step is not his to approve.
    """
    state = read_state(journal, rollout)
    step = state.step
    if state.phase is Phase.WATCHING:  # nothing is left to go on to but the end of the watch
        _refuse_held(journal, rollout)
        ask(journal, rollout, UNWATCH, reason,
            word=word_of(who or os_login(), state, None, None))  # fmt: skip
        return state
    if state.closed or state.back or step is None:
        raise UsageError("GP943", f"rollout {rollout} has no step to go on to", hint="see `gopub status`")
    _refuse_held(journal, rollout)
    index = step.index if _waits(journal, state, step.index, (clock or SystemClock()).now()) else step.index + 1
    word = word_of(who or os_login(), state, index, people())
    ask(journal, rollout, f"promote:{index}", reason, word=word)
    return state


def _refuse_held(journal: Journal, rollout: str) -> None:
    if hold := standing_hold(journal, rollout):
        raise RefusedError("GP745", f"rollout {rollout} is {say_hold(hold)}", hint=f"first `gopub resume {rollout}`")


def ask_abort(journal: Journal, rollout: str, reason: str) -> State:
    """Ask that the rollout goes back.

    Raises:
        UsageError: GP943 it is over.
    """
    state = read_state(journal, rollout)
    if state.closed:
        what = f"rollout {rollout} is over ({state.closed.outcome.value})"
        raise UsageError("GP943", what, hint="see `gopub rollback`")
    ask(journal, rollout, "abort", reason, word=word_of(os_login(), state, None, None))
    return state


def ask_hold(
    journal: Journal,
    rollout: str,
    reason: str,
    *,
    actor: str = "",
    run: str = "",
    word: Word | None = None,
    clock: Clock | None = None,
) -> ev.Asked:
    """Ask that the rollout grows no further; gives the hold that stands, which may be another's from before.

    One that is for an alert ends with the alert, so it spares nobody's own.

    Raises:
        UsageError: GP943 the rollout is over or goes back.
    """
    state = read_state(journal, rollout)
    if not state.rollout or state.closed or state.back:
        raise UsageError("GP943", f"rollout {rollout} is {_end(state)}: there is nothing to hold",
                         hint="see `gopub status`")  # fmt: skip
    if (hold := standing_hold(journal, rollout)) is None or hold.alert:
        ask(journal, rollout, HOLD, reason, actor=actor, run=run, word=word, clock=clock)
        hold = standing_hold(journal, rollout)
    return hold or ev.Asked(HOLD, reason, word.actor if word else actor)  # somebody resumed it at the same moment


def ask_resume(
    journal: Journal,
    rollout: str,
    reason: str,
    *,
    actor: str = "",
    word: Word | None = None,
    clock: Clock | None = None,
) -> ev.Asked:
    """End the hold that stands; gives it.

    Raises:
        UsageError: GP746 nobody holds the rollout.
    """
    hold = standing_hold(journal, rollout)
    state = read_state(journal, rollout)
    if hold is None or state.closed:
        what = f"is {_end(state)}" if state.closed or not state.rollout else "is not held"
        raise UsageError("GP746", f"rollout {rollout} {what}", hint="see `gopub status`")
    ask(journal, rollout, RESUME, reason, actor=actor, word=word, clock=clock)
    return hold


def under_way(journal: Journal, app: str, env: str) -> str:
    """The rollout of this app into this env.

    Raises:
        UsageError: GP943 none is under way.
    """
    rollout = read_env_state(journal, app, env).active
    if not rollout:
        raise UsageError("GP943", f"no rollout of {app} in {env} is under way", hint="see `gopub status`")
    return rollout


def standing_hold(journal: Journal, rollout: str) -> ev.Asked | None:
    """The hold that stands in the journal, also where no driver has seen it yet."""
    return hold_of(asked(journal, rollout))


def _end(state: State) -> str:
    if state.closed:
        return f"over ({state.closed.outcome.value})"
    return "going back" if state.back else "unknown"


def _waits(journal: Journal, state: State, index: int, now: float) -> bool:
    if state.waiting:
        return True
    if state.touched or state.plan is None:
        return False
    return closed_gate(state.plan, index, asked(journal, state.rollout), now) is not None
