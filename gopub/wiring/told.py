"""Who is told of an environment's rollouts: the names of ``notify`` become services that carry messages.

No rollout needs them, so nothing here fails for one: a name that means nothing is a service that takes no message, and
says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gopub.errors import GopubError
from gopub.notify.message import Message
from gopub.notify.protocol import Answer, Notifier, NotifyConnection
from gopub.spec.models import Environment
from gopub.spec.references import notify_names
from gopub.wiring.naming import Elsewhere, complete
from gopub.wiring.project import Project

SENT_WITHIN = 25.0
"""Seconds for one attempt, whatever carries it; less than anybody waits for it before others may make it again."""


@dataclass(frozen=True, slots=True)
class Told:
    """One who is told: the connection's name, of what, in which language, and what carries it there."""

    name: str
    on: tuple[str, ...]
    lang: str
    notifier: Notifier
    hears_ends: bool = False

    async def send(self, message: Message) -> Answer:
        """What came of one attempt, also where whoever carries it is a plug-in that fails or is silent."""
        try:
            async with asyncio.timeout(SENT_WITHIN):
                return await self.notifier.send(message)
        except GopubError as error:
            return Answer(taken=False, says=error.problem)
        except TimeoutError:
            return Answer(taken=False, says=f"no answer within {SENT_WITHIN:g}s")
        except Exception as error:  # noqa: BLE001 - whatever it was, this one was not told, and others are
            return Answer(taken=False, says=_fault(error))


class Nowhere:
    """Stands for a connection that is not to be had."""

    def __init__(self, why: str) -> None:
        """Take nothing, for this reason."""
        self._why = why

    async def send(self, _message: Message) -> Answer:
        """Say why it is not taken."""
        return Answer(taken=False, says=self._why)


async def told_of(project: Project, environment: Environment, elsewhere: Elsewhere | None) -> tuple[Told, ...]:
    """Everybody who is told of an environment, in the order of the file."""
    if not environment.notify:
        return ()
    connections, away = project.connections, ""
    try:
        connections = await complete(connections, lambda _: notify_names(environment), elsewhere)
    except GopubError as error:  # those that the files name are told all the same
        away = error.problem
    made: list[Told] = []
    for one in environment.notify:
        hears = False
        try:
            connection = connections.get(one.to, NotifyConnection)
            notifier: Notifier = connection.open()
            hears = connection.hears_ends
        except GopubError as error:
            notifier = Nowhere(away or error.problem)
        made.append(Told(one.to, one.on, one.lang, notifier, hears))
    return _each_once(made)


def _fault(error: Exception) -> str:
    """By its kind alone, where its words may hold a secret."""
    said = error.strerror if isinstance(error, OSError) else None
    return said.lower() if said else f"it failed with {type(error).__name__}"


def _each_once(made: Sequence[Told]) -> tuple[Told, ...]:
    """One connection is told once of each thing, whichever of its lines wants it; the first line's language counts."""
    by_name: dict[str, Told] = {}
    for one in made:
        known = by_name.get(one.name, one)
        on = tuple(dict.fromkeys((*known.on, *one.on)))
        by_name[one.name] = replace(known, on=on)
    return tuple(by_name.values())
