"""Hosts and edges in memory behind connections, so that whoever opens connections opens them: a plug-in of the tests.

What is installed beside the tests (`site`) names them, as any distribution does; `tests/conftest.py` puts it on the
path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol
from weakref import WeakValueDictionary

from gopub.fleet.host import SshOptions
from gopub.fleet.protocol import FleetConnection
from gopub.notify.message import Message
from gopub.notify.protocol import Answer, NotifyConnection
from gopub.traffic.door import Connect, RouterConnection
from gopub.traffic.protocol import Router
from tests.support.doubles import MemoryFleet, MemoryHost


class Outside(Protocol):
    """What a test keeps in memory."""

    machines: Mapping[str, MemoryHost]
    router: Router


class Ear:
    """One who is told, in memory; ``says`` is what it answers to each message, None takes it."""

    def __init__(self) -> None:
        self.came: list[Message] = []
        self.says: str | None = None
        self.breaks: Exception | None = None
        self.now = self.most = 0
        self.hangs: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def send(self, message: Message) -> Answer:
        self.came.append(message)
        self.arrived.set()
        if self.breaks:
            raise self.breaks
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await (self.hangs.wait() if self.hangs else asyncio.sleep(0))
        finally:
            self.now -= 1
        return Answer(taken=self.says is None, says=self.says or "taken")


EARS: WeakValueDictionary[str, Ear] = WeakValueDictionary()
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


class MemoryRoom(NotifyConnection):
    """One who is told, in memory."""

    kind: Literal["memory-room"] = "memory-room"
    ear: str
    """Whose."""

    def open(self) -> Ear:
        return EARS[self.ear]


class Edges(RouterConnection):
    """Edges in memory."""

    kind: Literal["memory-edges"] = "memory-edges"
    world: str
    """Whose."""

    def open(self, edges: Sequence[str], connect: Connect) -> Router:
        del edges, connect
        return _KNOWN[self.world].router
