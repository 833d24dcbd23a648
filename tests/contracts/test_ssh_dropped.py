"""An sshd that is full takes a connection and hangs up: tried again for longer, one at a time, and told as that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError
from gopub.fleet.backends.ssh import TRIES, TRIES_DROPPED, SshFleet

from .ssh_server import Server, serving


@dataclass
class Door:
    """What stands before a server: it drops connections as sshd does with MaxStartups, and lets the others through."""

    server: int
    drops: int = 0
    together: int = 0
    """So many are dropped once all of them are there."""
    full: bool = False
    dropped: int = 0
    all_there: asyncio.Event = field(default_factory=asyncio.Event)
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.append(writer)
        if self.dropped < max(self.drops, self.together) or self.full:
            self.dropped += 1
            if self.dropped >= self.together:
                self.all_there.set()
            await self.all_there.wait()
            writer.write(b"Exceeded MaxStartups\r\n")
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.server)
        self.open.append(inner_writer)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def behind(server: Server, door: Door) -> AsyncIterator[Server]:
    """The server, reached through the door."""
    listener = await asyncio.start_server(door, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    server.pin()
    try:
        yield server
    finally:
        listener.close()
        for writer in door.open:
            writer.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as made:
        yield made


async def test_a_login_that_is_dropped_for_a_while_comes_about(server: Server) -> None:
    door = Door(server.port, drops=TRIES_DROPPED - 1)
    clock = ManualClock()
    began = clock.now()
    async with behind(server, door) as full, SshFleet(clock=clock) as fleet:
        assert (await (await fleet.channel(full.host())).exec(("echo", "in"))).text == "in"
    assert door.dropped == TRIES_DROPPED - 1 > TRIES
    assert clock.now() - began > sum((0.25, 0.5, 1, 2, 2, 2)) - 0.001, "the pauses grow, and are spread"


async def test_one_that_stays_dropped_is_told_with_what_full_servers_do(server: Server) -> None:
    door = Door(server.port, full=True)
    async with behind(server, door) as full, SshFleet(clock=ManualClock()) as fleet:
        with pytest.raises(
            GopubError, match=rf"GP413 h1 .*hung up before it greeted.*\(tried {TRIES_DROPPED} times\)"
        ) as told:
            await fleet.channel(full.host())
    assert "MaxStartups" in told.value.hint
    assert door.dropped == TRIES_DROPPED


async def test_a_host_that_refuses_is_no_full_one(server: Server) -> None:
    async with behind(server, Door(server.port)) as gone:
        host = gone.host()
    async with SshFleet(clock=ManualClock()) as fleet:
        with pytest.raises(GopubError, match=rf"GP413 h1 .*\(tried {TRIES} times\)") as told:
            await fleet.channel(host)
    assert "MaxStartups" not in told.value.hint


async def test_those_that_were_dropped_come_one_after_the_other(server: Server) -> None:
    """Six at once are all dropped: from then on no two of them are at their login, so that one place is enough."""
    door, server.slow = Door(server.port, together=6), 0.05
    async with behind(server, door) as full, SshFleet(clock=ManualClock()) as fleet:
        await asyncio.gather(*(fleet.channel(full.host(f"h{n}")) for n in range(6)))
    assert (door.dropped, server.handshakes, server.most_at_once) == (6, 6, 1)
