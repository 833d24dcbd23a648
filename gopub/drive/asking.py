"""What people ask of a driver: it reads them at each look."""

from __future__ import annotations

from gopub.errors import UsageError
from gopub.rollout import events as ev
from gopub.rollout.journal import Journal
from gopub.rollout.machine import State
from gopub.rollout.opening import read_env_state, read_state, whoami
from gopub.rollout.run import asked_of


def ask(journal: Journal, rollout: str, what: str, reason: str) -> None:
    """Write down that somebody asks; several may ask at the same time."""
    stream = asked_of(rollout)
    actor = whoami()
    journal.append(stream, len(journal.read(stream)), [ev.Asked(what, reason, actor)], actor=actor)


def ask_abort(journal: Journal, app: str, env: str, reason: str) -> str:
    """Ask the active rollout of an env to go back; gives its id, empty when none is active."""
    active = read_env_state(journal, app, env).active
    if active:
        ask(journal, active, "abort", reason)
    return active


def ask_promote(journal: Journal, rollout: str, reason: str) -> State:
    """Ask for the next step: an approval where one is waited for, else the end of the bake.

    Raises:
        UsageError: GP943 there is nothing to go on to.
    """
    state = read_state(journal, rollout)
    step = state.step
    if state.closed or state.back or step is None:
        raise UsageError("GP943", f"rollout {rollout} has no step to go on to", hint="see `gopub status`")
    index = step.index if state.waiting else step.index + 1
    ask(journal, rollout, f"promote:{index}", reason)
    return state
