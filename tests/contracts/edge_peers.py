"""A raw TCP peer behind a real edge: it answers by a script, byte for byte, and ends as the script says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.contracts.edge_nginx import Upstream, read_head

BODY = b"x" * 5000
"""What a whole answer says."""


@dataclass(frozen=True)
class Pause:
    """Says nothing for so long."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """Ends with RST in place of FIN."""


@dataclass(frozen=True)
class Keep:
    """The connection stays for the next request."""


@dataclass(frozen=True)
class Stand:
    """Says nothing until the test lets it: see `RawPeer.stands` and `RawPeer.go_on`."""


Act = bytes | Pause | Stand | Reset | Keep


def answer(*headers: str, body: bytes = b"", status: int = 200, version: str = "1.1") -> bytes:
    """The bytes of an answer: just these headers, and as much of a body."""
    return "\r\n".join([f"HTTP/{version} {status} X", *headers, "", ""]).encode() + body


def chunk(body: bytes) -> bytes:
    """One chunk; an empty one is the last."""
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


@dataclass
class RawPeer(Upstream):
    """Answers every request with ``script``; by default it closes after it."""

    script: Sequence[Act] = ()
    seen: int = 0
    stands: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, headers = await read_head(reader)
        await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen += 1
        for act in self.script:
            if isinstance(act, bytes):
                writer.write(act)
                await writer.drain()
            elif isinstance(act, Pause):
                await asyncio.sleep(act.seconds)
            elif isinstance(act, Stand):
                self.stands.set()
                await self.go_on.wait()
            elif isinstance(act, Reset):
                await asyncio.sleep(0.1)  # what was sent must have been read, or RST takes it back
                plain: socket.socket = writer.get_extra_info("socket")
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
        return Keep() in self.script


@asynccontextmanager
async def raw_peers(*peers: RawPeer) -> AsyncIterator[None]:
    """Started, and ended at the end."""
    for peer in peers:
        await peer.start()
    try:
        yield
    finally:
        for peer in peers:
            peer.go_on.set()
            await peer.stop()
