"""Taking back a rollout whose drivers die one after the other: asked for as a person would, and heeded by the next."""

from __future__ import annotations

from collections.abc import Iterable

from gopub.errors import GopubError
from gopub.journal.entry import Entry
from gopub.journal.reading import asked
from gopub.journal.state import State, advance
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.journal.tries import Tries
from gopub.telemetry import log
from gopub.usecases.ask import ask
from gopub.views.absence import Seen, gives_up

ACTOR = "gopub recover"
_log = log("recover")


def give_up(journal: Journal, rollouts: Iterable[str]) -> list[str]:
    """Ask that those go back whose drivers die; gives which. The next driver heeds it before its first box."""
    given: list[str] = []
    for rollout in rollouts:
        try:
            state, tries = folded(journal.read_turns(stream_of(rollout)))
            if not gives_up(state, tries, asked(journal, rollout)):
                continue
            reason = f"{tries.times} drivers in a row ended without getting any further"
            ask(journal, rollout, "abort", reason, actor=ACTOR)
        except GopubError as error:
            _log.error("%s: whether to take it back is not known: %s", rollout, error.problem)
            continue
        _log.error("%s is taken back: %s", rollout, reason)
        given.append(rollout)
    return given


def folded(entries: Iterable[Entry]) -> tuple[State, Tries]:
    """A rollout, and what its drivers came to."""
    state, tries = State(), Tries()
    for entry in entries:
        tries = tries.after(entry, state)
        state = advance(state, entry.event)
    return state, tries


def seen(journal: Journal, rollout: str, state: State, tries: Tries, now: float) -> Seen:
    """With what its stream does not say.

    Raises:
        GopubError: the journal cannot be read.
    """
    seated = journal.seated(state.app, state.env)
    end = journal.lease_end(state.app, state.env)
    return Seen(state, tries, asked(journal, rollout), bool(seated and seated[1]), end, now)
