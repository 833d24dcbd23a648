"""The journal adopts what was done without it: a rollback while the database was down leaves a journal of its own.

Such a spool is a SQLite journal beside the kits. Adopting closes the rollout that was taken back, frees the env, and
renames the spool; running it twice changes nothing. A rollback that died before its end becomes the env's active
rollout, so that `recover` finds it and goes on.

A way back that began on the journal and lost it keeps what is missing in a file (``rollout.late``), appended here.

Others may share the journal. What they did after the spool's rollback stands: then the spool is kept for the record
and says nothing of the env. While the rollout that was taken back has a driver with a live lease, the spool waits: the
hosts refuse that driver's orders, so it ends soon.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.late import Late, drop, found
from gopub.journal.projects import known_project
from gopub.journal.reading import read_env_state, read_state
from gopub.journal.state import advance, fold, fold_env
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import env_stream, stream_of
from gopub.plan.model import Outcome
from gopub.telemetry import log

_log = log("adopt")


def spools(kits: Path) -> list[Path]:
    """Journals of rollbacks that the main journal has not adopted yet."""
    return sorted(kits.glob("offline-*.db"))


def adopt(journal: Journal, kits: Path) -> int:
    """Take over everything that can be read and need not wait; gives how many."""
    return sum(_adopted(journal, path) for path in spools(kits)) + _append_late(journal, kits)


def _append_late(journal: Journal, kits: Path) -> int:
    """Tell the journal how rollouts went back meanwhile; where somebody acted on one since, what they wrote stands."""
    done = 0
    try:
        for late in found(kits):
            seated = journal.seated(late.app, late.env)
            if seated and seated[1]:
                continue  # the driver that wrote it may live, and writes it itself
            done += _told(journal, late)
            drop(kits, late.rollout)
    except GopubError as error:
        _log.warning("what happened without the journal is not in it yet: %s", error.problem)
    return done


def _told(journal: Journal, late: Late) -> bool:
    """Append them where they belong; what cannot follow is never written, and stays in its file.

    The journal may have the first of them already: it took them, and its answer was lost.
    """
    stream = stream_of(late.rollout)
    before = tuple(entry.event for entry in journal.read(stream))
    there = len(before) - late.version
    if there < 0 or before[late.version :] != late.events[:there]:
        return False
    left = late.events[there:]
    if left:
        fold([*before, *left])
        journal.append(stream, len(before), left, actor=late.actor, trace=late.trace)
    return bool(left)


def _adopted(journal: Journal, path: Path) -> bool:
    """One that cannot be read stops neither the others nor whoever asks."""
    try:
        spool = open_journal(str(path), SystemClock())
        envs = {stream: spool.read(stream) for stream in spool.streams("env/")}
        rollouts = {stream: spool.read(stream) for stream in spool.streams("rollout/")}
        spool.close()
        for entries in rollouts.values():
            fold(entry.event for entry in entries)
    except GopubError as error:
        _log.warning("%s cannot be adopted: %s", path, error.problem)
        return False
    if any(_must_wait(journal, stream, entries) for stream, entries in envs.items()):
        return False
    for stream, entries in rollouts.items():
        if not journal.read(stream):
            events = [_at_home(journal, entry.event) for entry in entries]
            journal.append(stream, 0, events, actor=entries[0].actor, trace=entries[0].trace)
    for stream, entries in envs.items():
        _adopt_env(journal, stream, entries)
    path.rename(path.with_suffix(".adopted"))
    return True


def _must_wait(journal: Journal, stream: str, entries: list[Entry]) -> bool:
    _, app, env = stream.split("/", 2)
    active = _opened(journal.read(stream), read_env_state(journal, app, env).active)
    seated = journal.seated(app, env)
    return active is not None and active.at < entries[0].at and bool(seated and seated[1])


def _opened(entries: list[Entry], rollout: str) -> Entry | None:
    """Where an env's stream opens a rollout."""
    found = (e for e in entries if isinstance(e.event, ev.EnvOpened) and e.event.rollout == rollout)
    return next(found, None)


def _at_home(journal: Journal, event: ev.Event) -> ev.Event:
    """Offline nobody knew where the project lies; the journal does."""
    if isinstance(event, ev.Opened) and event.project == ".":
        return replace(event, project=known_project(journal, event.app, event.env))
    return event


def _adopt_env(journal: Journal, stream: str, entries: list[Entry]) -> None:
    _, app, env = stream.split("/", 2)
    known = read_env_state(journal, app, env)
    opened = [entry.event for entry in entries if isinstance(entry.event, ev.EnvOpened)]
    closed = [entry.event for entry in entries if isinstance(entry.event, ev.EnvClosed)]
    if known.active in {event.rollout for event in opened}:
        return  # we died right after the last append below
    since = (entry.event for entry in journal.read(stream) if entry.at > entries[0].at)
    if any(isinstance(event, ev.EnvOpened | ev.EnvClosed) for event in since):
        _log.warning("%s of %s went on since a rollback without the journal: it is kept for the record", env, app)
        return
    if known.active:
        _close_rollout(journal, known.active, f"taken back offline by {entries[-1].actor}")
    for event in closed:
        again = fold_env(entry.event for entry in journal.read(env_stream(app, env)))
        merged = replace(event, rollout=known.active or event.rollout)
        journal.append(env_stream(app, env), again.version, [merged], actor=entries[-1].actor)
    _go_on_with(journal, stream, [event for event in opened if event.rollout not in {end.rollout for end in closed}])


def _go_on_with(journal: Journal, stream: str, unfinished: list[ev.EnvOpened]) -> None:
    if unfinished:
        version = fold_env(entry.event for entry in journal.read(stream)).version
        journal.append(stream, version, unfinished[-1:], actor="adopt")


def _close_rollout(journal: Journal, rollout: str, reason: str) -> None:
    closed = ev.Closed(Outcome.ROLLED_BACK, reason)
    try:
        state = read_state(journal, rollout)
        if not state.rollout or state.closed:
            return
        advance(state, closed)
        journal.append(stream_of(rollout), state.version, [closed], actor="adopt")
    except GopubError as error:
        _log.warning("%s: %s", rollout, error.problem)
