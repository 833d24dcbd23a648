"""A peer that keeps every line of a request's head as it came, and a client that sends the lines that it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.contracts.edge_nginx import Answer, Upstream, read_answer

Place = int | Path | tuple[str, int]
"""A port of 127.0.0.1, a unix socket, or an address and a port."""


@dataclass
class Witness(Upstream):
    """Answers 200 and remembers; a header that came twice is there twice."""

    heads: list[list[str]] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
        length = next((line for line in lines if line.lower().startswith("content-length:")), ":0")
        self.bodies.append(len(await reader.readexactly(int(length.partition(":")[2]))))
        self.heads.append(lines)
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n")
        return True

    def values(self, name: str) -> list[str]:
        """What the last request had under that name, each line for itself."""
        pairs = (line.split(":", 1) for line in self.heads[-1])
        return [value.strip() for found, value in pairs if found.lower() == name.lower()]


@asynccontextmanager
async def witness(host: str = "a1") -> AsyncIterator[Witness]:
    """Started, and ended at the end."""
    found = Witness(host)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


async def send(
    place: Place,
    *lines: str,
    source: str | None = None,
    method: str = "GET",
    body: bytes = b"",
    host: str = "hello.lab",
) -> Answer:
    """One request of just these header lines, from the address ``source``."""
    if isinstance(place, Path):
        reader, writer = await asyncio.open_unix_connection(place)
    else:
        address, port = place if isinstance(place, tuple) else ("127.0.0.1", place)
        reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0) if source else None)
    head = [f"{method} / HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
    writer.write("".join(f"{line}\r\n" for line in [*head, ""]).encode("utf-8", "surrogateescape") + body)
    try:
        return await read_answer(reader)
    finally:
        writer.close()


def chunked(body: bytes, size: int = 8192) -> bytes:
    """The body without a length."""
    parts: Sequence[bytes] = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in [*parts, b""])
