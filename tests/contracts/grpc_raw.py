"""A peer of HTTP/2 that answers every call by the frames that it is told, however wrong they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.contracts.edge_nginx import Upstream

DATA, HEADERS, RST, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def pairs(**headers: str) -> bytes:
    """Headers after a status of 200, as HPACK writes what it never keeps; ``_`` is a hyphen."""
    said = b"\x88"
    for name, value in headers.items():
        plain = name.replace("_", "-").encode()
        said += b"\x10" + bytes([len(plain)]) + plain + bytes([len(value)]) + value.encode()
    return said


BEGUN = (HEADERS, END_HEADERS, pairs(content_type="application/grpc"))
MESSAGE = (DATA, 0, b"\x00\x00\x00\x00\x00")


@dataclass
class RawGrpc(Upstream):
    """After ``script`` the connection is closed, where ``closes`` says so."""

    script: Sequence[tuple[int, int, bytes]] = ()
    closes: bool = False

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        assert await reader.readexactly(len(OPENING)) == OPENING
        writer.write(frame(SETTINGS, 0, 0))
        while True:
            head = await reader.readexactly(9)
            body = await reader.readexactly(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind == SETTINGS and not flags & ACK:
                writer.write(frame(SETTINGS, ACK, 0))
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                for one in self.script:
                    on = 0 if one[0] == GOAWAY else stream
                    writer.write(frame(one[0], one[1], on, one[2]))
                await writer.drain()
                if self.closes:
                    return False
            del body
