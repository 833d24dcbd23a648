"""What was read back from the process that serves on each host, as it was proven when it was switched. By the journal.

Only named variables and limits are in a proof (`service.runtime`, `service.limits` of gopub.yaml). Of a script it is
told by what it is interpreted, for that is what its proof leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.store import Journal
from gopub.journal.streams import env_stream, stream_of
from gopub.telemetry import one_line
from gopub.views.amounts import names
from gopub.views.standing import moment

_VARIABLE, _LIMIT = "runtime.", "limit."
_MOST = 20
"""Rollouts back in which a host is looked for: one that is older than so many of them was switched by each."""


@dataclass(frozen=True, slots=True)
class Proven:
    """One host's newest proof: variables and limits as text, and when it was, seconds since the epoch."""

    app: str
    env: str
    host: str
    runs: str
    variables: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]
    at: float
    interpreter: str = ""

    @property
    def says(self) -> str:
        """Variables, then limits, for people; behind them what interprets a script."""
        limits = [f"limit {name} {text}" for name, text in self.limits]
        script = (
            [f"{self.interpreter} of the host, which the proof of a script does not cover"] if self.interpreter else []
        )
        return ", ".join((*(f"{name}={text}" for name, text in self.variables), *limits, *script))

    def to_json(self) -> dict[str, Json]:
        """As `gopub status --verify --json` has it."""
        read: dict[str, Json] = {"variables": dict(self.variables), "limits": dict(self.limits)}
        whose: dict[str, Json] = {"app": self.app, "env": self.env, "host": self.host, "runs": self.runs}
        read |= {"interpreter": self.interpreter} if self.interpreter else {}
        return whose | read | {"proven_at": moment(self.at)}


def read_proven(journal: Journal, app: str = "", env: str = "") -> list[Proven]:
    """The newest proof of every host that has one with variables, limits or an interpreter; a damaged stream has none.

    Raises:
        GopubError: GP701 the journal cannot be read.
    """
    named = [stream.split("/", 2)[1:] for stream in journal.streams("env/")]
    return [
        one
        for its_app, its_env in named
        if app in ("", its_app) and env in ("", its_env)
        for one in _of_env(journal, its_app, its_env)
    ]


def proof_lines(found: Sequence[Proven]) -> list[str]:
    """For people: hosts with the same stand together."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for one in found:
        groups.setdefault((one.app, one.env, one.runs, one.says), []).append(one.host)
    return [
        one_line(f"{app} in {env}: {names(tuple(hosts))} {'runs' if len(hosts) == 1 else 'run'} {runs} with {says}")
        for (app, env, runs, says), hosts in groups.items()
    ]


def _of_env(journal: Journal, app: str, env: str) -> list[Proven]:
    try:
        rollouts = [e.event.rollout for e in journal.read(env_stream(app, env)) if isinstance(e.event, ev.EnvOpened)]
        newest: dict[str, Entry] = {}
        for rollout in reversed(rollouts[-_MOST:]):
            for entry in reversed(journal.read(stream_of(rollout))):
                if isinstance(entry.event, ev.HostSwitched):
                    newest.setdefault(entry.event.host, entry)
    except GopubError as error:
        if error.code == "GP701":
            raise
        return []  # the rows above tell what is damaged
    return sorted(_proven(app, env, tuple(newest.values())), key=lambda one: one.host)


def _proven(app: str, env: str, entries: Sequence[Entry]) -> Iterator[Proven]:
    for entry in entries:
        event = entry.event
        if isinstance(event, ev.HostSwitched) and event.values:
            variables, limits = _part(event, _VARIABLE), _part(event, _LIMIT)
            script = event.values.get("unit.interpreter", "")
            if variables or limits or script:
                yield Proven(app, env, event.host, event.to, variables, limits, event.at or entry.at, script)


def _part(event: ev.HostSwitched, prefix: str) -> tuple[tuple[str, str], ...]:
    return tuple((key.removeprefix(prefix), text) for key, text in event.values.items() if key.startswith(prefix))
