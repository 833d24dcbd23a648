"""Hosts and edges in memory behind connections, so that whoever opens connections opens them: a plug-in of the tests.

What is installed beside the tests (`site`) names them, as any distribution does; `tests/conftest.py` puts it on the
path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol
from weakref import WeakValueDictionary

from gopub.fleet.host import SshOptions
from gopub.fleet.protocol import FleetConnection
from gopub.traffic.door import Connect, RouterConnection
from gopub.traffic.protocol import Router
from tests.support.doubles import MemoryFleet, MemoryHost


class Outside(Protocol):
    """What a test keeps in memory."""

    machines: Mapping[str, MemoryHost]
    router: Router


_KNOWN: WeakValueDictionary[str, Outside] = WeakValueDictionary()


def known_as(outside: Outside) -> str:
    """The name by which connections reach it, as long as it lives."""
    name = f"world-{id(outside)}"
    _KNOWN[name] = outside
    return name


class Memory(FleetConnection):
    """Hosts in memory."""

    kind: Literal["memory"] = "memory"
    world: str
    """Whose."""

    def options(self) -> SshOptions:
        return SshOptions()

    def open(self) -> MemoryFleet:
        return MemoryFleet(_KNOWN[self.world].machines)


class Edges(RouterConnection):
    """Edges in memory."""

    kind: Literal["memory-edges"] = "memory-edges"
    world: str
    """Whose."""

    def open(self, edges: Sequence[str], connect: Connect) -> Router:
        del edges, connect
        return _KNOWN[self.world].router
