"""What the journal says of an env and of a rollout, what was asked, and who reads it."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import replace
from itertools import islice

from gopub.errors import UsageError
from gopub.fleet.keeping import Known
from gopub.health.starts import Starts
from gopub.health.wire import from_json
from gopub.journal import events as ev
from gopub.journal.good import known_at
from gopub.journal.state import EnvState, State, fold, fold_env
from gopub.journal.store import Journal
from gopub.journal.streams import asked_of, env_stream, stream_of
from gopub.plan.model import Outcome, Plan

DAMAGED = frozenset({"GP702", "GP703", "GP733"})
"""Entries of one stream that cannot have happened, or cannot be read: what other streams tell is as good as ever."""

MOST_REPEATS = 20
"""Rollouts that are looked through for the one that started the stable release's processes."""


def asked(journal: Journal, rollout: str) -> tuple[ev.Asked, ...]:
    """What people asked of a rollout, oldest first."""
    return tuple(entry.event for entry in journal.read(asked_of(rollout)) if isinstance(entry.event, ev.Asked))


def whoami() -> str:
    """``user@host:pid``: who drives, for people who look for it."""
    return f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid()}"


def read_env_state(journal: Journal, app: str, env: str) -> EnvState:
    """What the env runs and whether a rollout is active there."""
    return fold_env(entry.event for entry in journal.read(env_stream(app, env)))


def harmless_of(journal: Journal, app: str, env: str) -> frozenset[str]:
    """The classes of error lines that people marked as harmless in an env, and did not take back."""
    marks = (entry.event for entry in journal.read(env_stream(app, env)))
    last = {mark.name: mark.harmless for mark in marks if isinstance(mark, ev.LogClassMarked)}
    return frozenset(name for name, harmless in last.items() if harmless)


def known_of(journal: Journal, plan: Plan) -> Known:
    """Which releases the env was well with, once the plan's release is stable there."""
    events = [entry.event for entry in journal.read(env_stream(plan.app, plan.env))]
    return known_at(events, plan.release.release, plan.stable.release if plan.stable else "")


def read_state(journal: Journal, rollout: str) -> State:
    """A rollout as its journal tells it; of looks in a row the last one tells it."""
    entries = journal.read_turns(stream_of(rollout))
    state = fold(entry.event for entry in entries)
    return replace(state, version=entries[-1].version) if entries else state


def starts_of_stable(journal: Journal, app: str, env: str) -> Starts | None:
    """How slow the hosts of the stable release were when they were started: as the rollout saw it that promoted it.

    None where no rollout of this journal did, or where it was one of an older gopub. Rollouts that only brought other
    files to it are passed over: a process that takes them in is not started.
    """
    closed = [entry.event for entry in journal.read(env_stream(app, env)) if isinstance(entry.event, ev.EnvClosed)]
    stable = next((event.stable for event in reversed(closed) if event.stable), "")
    mine = (event for event in reversed(closed) if event.outcome is Outcome.PROMOTED and event.stable == stable)
    states = (read_state(journal, event.rollout) for event in islice(mine if stable else (), MOST_REPEATS))
    promoted = next((state for state in states if not (state.plan and state.plan.revision)), None)
    verdict = promoted.verdict if promoted else None
    memory = verdict.record.get("observer") if verdict else None
    starts = memory.get("starts") if isinstance(memory, dict) else None
    try:
        return from_json(Starts, starts) if starts else None
    except UsageError:
        return None
