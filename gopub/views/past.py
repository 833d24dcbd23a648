"""The rollouts that there were, newest first, by the journal: what one stream does not tell, another may."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.reading import DAMAGED, asked
from gopub.journal.state import fold
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.views.history import PastView, Told, past_view
from gopub.views.standing import standing


@dataclass(frozen=True, slots=True)
class Lost:
    """An env whose own stream cannot be read: what is listed of it is what its rollouts tell themselves."""

    app: str
    env: str
    damage: GopubError


@dataclass(frozen=True, slots=True)
class History:
    """The newest rollouts, how many older ones were left out, and the envs that cannot be read."""

    rollouts: tuple[PastView, ...]
    older: int = 0
    lost: tuple[Lost, ...] = ()


def read_history(journal: Journal, now: float, app: str = "", env: str = "", *, most: int) -> History:
    """The newest ``most`` rollouts (of this app and env, if given); a damaged stream is named, and hides no other.

    Raises:
        GopubError: GP701 the journal cannot be read.
    """
    told: list[Told] = []
    lost: list[Lost] = []
    for stream in journal.streams("env/"):
        its_app, its_env = stream.split("/", 2)[1:]
        try:
            told += told_by(its_app, its_env, journal.read(stream))
        except GopubError as error:
            lost.append(Lost(its_app, its_env, of_one_stream(error)))
    listed = {one.rollout for one in told}
    lost = [one for one in lost if app in ("", one.app) and env in ("", one.env)]
    ours = [one for one in told if app in ("", one.app) and env in ("", one.env)]
    if lost:
        ours += _unlisted(journal, listed, {(one.app, one.env) for one in lost}, most)
    ours.sort(key=lambda one: one.seq, reverse=True)
    rows = tuple(read_past(journal, one, now) for one in ours[:most])
    return History(rows, max(len(ours) - most, 0), tuple(lost))


def told_by(app: str, env: str, entries: Sequence[Entry]) -> list[Told]:
    """The rollouts that an env's stream tells of, oldest first."""
    ends = {one.event.rollout: (one.event, one.at) for one in entries if isinstance(one.event, ev.EnvClosed)}
    found = []
    for entry in entries:
        if isinstance(entry.event, ev.EnvOpened):
            rollout = entry.event.rollout
            end, at = ends.get(rollout, (None, None))
            found.append(Told(rollout, app, env, entry.seq, entry.at, entry.actor, entry.event.release,
                              end.outcome.value if end else "", at))  # fmt: skip
    return found


def read_past(journal: Journal, told: Told, now: float) -> PastView:
    """One of them with what its own stream tells; where that is damaged, what is left, and what is wrong."""
    entries: list[Entry] = []
    try:
        entries = journal.read(stream_of(told.rollout))
        state = fold(entry.event for entry in entries)
        outcome = standing(state, asked(journal, told.rollout), now).outcome
    except GopubError as error:
        return past_view(told, entries, "", now, of_one_stream(error))
    return past_view(told, entries, told.outcome or outcome, now)


def of_one_stream(error: GopubError) -> GopubError:
    """The damage, if it is that of one stream; a journal that cannot be read at all hides everything."""
    if error.code not in DAMAGED:
        raise error
    return error


def _unlisted(journal: Journal, listed: Collection[str], envs: Collection[tuple[str, str]], most: int) -> list[Told]:
    """The newest rollouts of envs that no longer tell of them; one that does not tell either may be anybody's."""
    found: list[Told] = []
    for told in _untold(journal, listed):
        if (told.app, told.env) in envs or not told.app:
            found.append(told)
        if len(found) > most:
            break
    return found


def _untold(journal: Journal, listed: Collection[str]) -> Iterator[Told]:
    """Each rollout that no env tells of, as its own first entry does; newest first."""
    seq = sys.maxsize
    for stream in reversed(journal.streams("rollout/")):
        rollout = stream.partition("/")[2]
        if rollout in listed:
            continue
        try:
            first = journal.read(stream)[0]
        except GopubError as error:
            of_one_stream(error)
            yield Told(rollout, "", "", seq, 0.0)
            continue
        seq, opened = first.seq, first.event
        its_app, its_env = (opened.app, opened.env) if isinstance(opened, ev.Opened) else ("", "")
        yield Told(rollout, its_app, its_env, seq, first.at, first.actor)
