"""Rollouts that need a driver: those that wait and may go on, and those whose driver died."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.reading import DAMAGED, asked, read_env_state, read_state
from gopub.journal.state import State
from gopub.journal.store import Journal
from gopub.journal.streams import stream_of
from gopub.telemetry import log
from gopub.views.absence import may_go_on

_log = log("recover")


@dataclass(frozen=True, slots=True)
class Found:
    """The parameters with which the flow ``rollout`` goes on with a rollout."""

    app: str
    env: str
    version: str
    project: str
    rollout: str

    def to_json(self) -> dict[str, Json]:
        """As parameters of the flow."""
        return {"app": self.app, "env": self.env, "version": self.version, "project": self.project,
                "rollout_id": self.rollout}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Active:
    """An active rollout, and whether a driver with a live lease holds its seat."""

    state: State
    project: str
    driven: bool


def active(journal: Journal, app: str = "", env: str = "") -> Iterator[Active]:
    """Every active rollout (of this app and env, if given).

    One whose entries cannot be understood is an alarm in the log, and hides none of the others.
    """
    for stream in journal.streams("env/"):
        _, its_app, its_env = stream.split("/", 2)
        if app not in ("", its_app) or env not in ("", its_env):
            continue
        try:
            found = _active(journal, its_app, its_env)
        except GopubError as error:
            if error.code not in DAMAGED:
                raise
            _log.error("what is active of %s in %s cannot be told: %s", its_app, its_env, error)
            continue
        if found:
            yield found


def _active(journal: Journal, app: str, env: str) -> Active | None:
    known = read_env_state(journal, app, env)
    if not known.active:
        return None
    seated = journal.seated(app, env)
    state = read_state(journal, known.active)
    if not state.rollout:  # its driver died between the env's entry and its own first one
        state = State(rollout=known.active, app=app, env=env)
    return Active(state, _project(journal, known.active), bool(seated and seated[1]))


def ready(journal: Journal, now: float, app: str = "", env: str = "") -> list[Found]:
    """What the flow ``rollout`` needs for each waiting rollout whose gate is open."""
    return [
        parameters(one)
        for one in active(journal, app, env)
        if one.state.waiting and not one.driven and may_go_on(one.state, asked(journal, one.state.rollout), now)
    ]


def orphans(journal: Journal, app: str = "", env: str = "") -> list[Found]:
    """What the flow ``rollout`` needs for each active rollout that nobody drives and that does not wait."""
    return [parameters(one) for one in active(journal, app, env) if not one.driven and not one.state.waiting]


def parameters(one: Active) -> Found:
    """What the flow ``rollout`` needs to go on with this one."""
    state = one.state
    return Found(state.app, state.env, state.release_version, one.project, state.rollout)


def found(state: State, journal: Journal) -> Found:
    """The same for a rollout whose state is at hand."""
    return parameters(Active(state, _project(journal, state.rollout), driven=False))


def _project(journal: Journal, rollout: str) -> str:
    with suppress(GopubError):
        for entry in journal.read_turns(stream_of(rollout)):
            if isinstance(entry.event, ev.Opened):
                return entry.event.project
    return "."
