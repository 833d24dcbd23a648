"""Names that no connections.yaml gives are looked for elsewhere, such as among the Blocks of a Prefect server.

A name in a file always wins, and nobody is asked about it: what is elsewhere may be away then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from gopub.errors import SpecError
from gopub.spec.connections import Connections
from gopub.spec.kinds import Connection
from gopub.spec.references import Reference


class Elsewhere(Protocol):
    """A place outside the files that knows connections by name."""

    def words(self) -> str:
        """The place as an error names it."""
        ...

    async def find(self, reference: Reference) -> Connection | None:
        """The connection, or None where the place answers that it has none.

        Raises:
            GopubError: the place does not answer, or what it holds is refused.
        """
        ...


async def complete(
    connections: Connections, needed: Callable[[Connections], Iterable[Reference]], elsewhere: Elsewhere | None
) -> Connections:
    """The connections with every needed name that only ``elsewhere`` has.

    ``needed`` is asked again after each round: a router's connection names further ones.

    Raises:
        GopubError: a needed name is in no file, and ``elsewhere`` cannot be asked.
    """
    if elsewhere is None:
        return connections
    asked: set[Reference] = set()
    while wanted := [one for one in dict.fromkeys(needed(connections)) if one not in asked and _open(one, connections)]:
        asked |= set(wanted)
        answers = await asyncio.gather(*(elsewhere.find(one) for one in wanted))
        found = _by_name((one.name, made) for one, made in zip(wanted, answers, strict=True) if made)
        connections = connections.with_found(found, elsewhere.words())
    return connections


def _open(one: Reference, connections: Connections) -> bool:
    return not connections.is_said(one.name)


def _by_name(found: Iterable[tuple[str, Connection]]) -> dict[str, Connection]:
    """A name means one thing, though elsewhere it may stand once for each kind."""
    made: dict[str, Connection] = {}
    for name, connection in found:
        other = made.setdefault(name, connection)
        if other.kind != connection.kind:
            problem = f"{name!r} is needed as a connection of kind {other.kind} and of kind {connection.kind}"
            raise SpecError("GP141", problem, hint="a name means one connection: give them two names")
    return made
