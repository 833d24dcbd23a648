"""What the API needs of an engine: start a deployment once per key, and say how a run stands.

``Starter`` is a Protocol so that tests use a recording one and the program uses Prefect (deployments/engine.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gopub.canon import Json, canonical, sha256
from gopub.tracing.context import header, parse

DEPLOY, RELEASE, ROLLOUT = "deploy/deploy", "release/release", "rollout/rollout"
LATEST = "latest"
"""The queue of an order that a newer push takes the place of, as long as it waits."""
_OURS = frozenset({DEPLOY, RELEASE, ROLLOUT})


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A run to start: what of, where to, and the key that makes a second order the same run. Without ``env``: nowhere.

    ``commit`` is what was pushed; empty where nobody pushed anything, and nothing is the same as this order. ``after``
    is the rollout whose end it follows, if it follows one. ``pushed`` is the full name of the branch or tag that was
    pushed, ``queue`` whether a newer push takes its place while it waits (`LATEST`). ``trace`` is the ``traceparent``
    of what asks for it: unless given, the place at which the order is made.
    """

    app: str
    env: str
    key: str
    parameters: Mapping[str, Json]
    deployment: str = DEPLOY
    commit: str = ""
    after: str = ""
    pushed: str = ""
    queue: str = ""
    trace: str = field(default_factory=header, compare=False)

    @property
    def ours(self) -> bool:
        """Whether gopub's own flow is started, and not somebody's that an alert is to start."""
        return self.deployment in _OURS

    @property
    def place(self) -> str:
        """Where it goes, for people."""
        return self.env or "the store"

    @property
    def trace_id(self) -> str:
        """The id of its trace; empty where it has none."""
        place = parse(self.trace)
        return place.trace if place else ""

    @property
    def same(self) -> str:
        """What orders of the same push have in common, whichever delivery brought them: one run does for all.

        A tag counts with its name, from which the version follows; two branches at one commit are one release.
        """
        if not self.commit:
            return ""
        return sha256(canonical([self.app, self.env, self.deployment, str(self.parameters.get("ref")), self.commit]))


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the engine shows it; times are RFC 3339 in UTC, empty when not reached yet.

    ``rollout`` is the id of the rollout that it drives, empty while there is none. What became of that is the journal's
    word: ``outcome`` is active, held, waiting or how it ended, and only an end there is ``final``, whatever became of
    the run. ``until`` is when what it ``waits_for`` ends by itself. ``trace`` is the id of the trace that it is in.
    """

    id: str
    name: str
    state: str
    app: str = ""
    env: str = ""
    final: bool = False
    message: str = ""
    created: str = ""
    started: str = ""
    ended: str = ""
    rollout: str = ""
    outcome: str = ""
    waits_for: str = ""
    until: str = ""
    trace: str = ""


class Starter(Protocol):
    """Starts deployments; never waits for their end."""

    async def start(self, order: RunOrder) -> RunView:
        """Start a run, or give the one that this key started before.

        Raises:
            GopubError: GP918 the engine does not answer, GP919 it does not know the deployment or refuses it.
        """

    async def run(self, run_id: str) -> RunView | None:
        """How a run stands; None when the engine knows no such run.

        Raises:
            GopubError: GP918 the engine does not answer.
        """

    async def cancel_unbegun(self, run_id: str, why: str) -> bool:
        """Cancel a run that no worker took up; gives whether it is over now, False where it has begun.

        May be done twice. Who takes it up in the same moment has it, or it is canceled: never both.

        Raises:
            GopubError: GP918 the engine does not answer.
        """
