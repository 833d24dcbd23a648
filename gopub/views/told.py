"""What is told of rollouts to who keeps the source: by which commit, and what came back in the place of what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import asked, read_env_state, read_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.views.reading import read_seats
from gopub.views.standing import Standing, standing


@dataclass(frozen=True, slots=True)
class Told:
    """A rollout as it stands; its release was built from ``commit``, ``run`` drove it last; empty: not known."""

    state: State
    standing: Standing
    commit: str
    run: str


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """A release that the end of a rollout made stable again, in the place of one that was promoted."""

    rollout: str
    version: str
    commit: str
    run: str


def opened_by(entry: Entry) -> str:
    """The rollout that an entry of an env's stream opens; empty where it is another entry."""
    return entry.event.rollout if isinstance(entry.event, ev.EnvOpened) else ""


def active_in(journal: Journal, app: str, env: str) -> str:
    """The rollout that is active in an env; empty where none is."""
    return read_env_state(journal, app, env).active


def told(journal: Journal, app: str, env: str, rollout: str, now: float) -> Told | None:
    """How a rollout stands, and of which commit; None where the journal does not know it.

    Raises:
        GopubError: the journal, or what it says of this rollout, cannot be read.
    """
    state = read_state(journal, rollout)
    if not state.rollout:
        return None
    stands = standing(state, asked(journal, rollout), now)
    return Told(state, stands, _commit(journal, app, env, state.release, rollout), _run(journal, rollout))


def brought_back(journal: Journal, app: str, env: str, closed: Entry) -> BroughtBack | None:
    """What the end of a rollout brought back; None where it changed nothing, or made its own release stable.

    Raises:
        GopubError: as `told`.
    """
    event = closed.event
    if not isinstance(event, ev.EnvClosed) or not event.stable:
        return None
    before = _stable_before(journal.read(env_stream(app, env)), closed.version)
    if before in ("", event.stable) or read_state(journal, event.rollout).release == event.stable:
        return None
    commit = _commit(journal, app, env, event.stable)
    run = _run(journal, event.rollout)
    return BroughtBack(event.rollout, event.stable_version, commit, run) if commit else None


def _stable_before(entries: Iterable[Entry], version: int) -> str:
    """What was stable before that entry of an env's stream."""
    closed = [one.event for one in entries if one.version < version and isinstance(one.event, ev.EnvClosed)]
    return next((one.stable for one in reversed(closed) if one.stable), "")


def _commit(journal: Journal, app: str, env: str, release: str, rollout: str = "") -> str:
    """What a release was built from, by the rollout itself or the newest one of it into that env."""
    entries = reversed(journal.read(env_stream(app, env)))
    events = [one.event for one in entries]
    same = [one.rollout for one in events if isinstance(one, ev.EnvOpened) and one.release == release]
    for name in (*([rollout] if rollout else []), *same):
        entries_of = journal.read_turns(stream_of(name))
        opened = next((one.event for one in entries_of if isinstance(one.event, ev.Opened)), None)
        if opened and opened.commit:
            return opened.commit
    return ""


def _run(journal: Journal, rollout: str) -> str:
    """The run that drove it last; empty where none of the engine's did."""
    return next((seat.run for seat in reversed(read_seats(journal, rollout)) if seat.run), "")
