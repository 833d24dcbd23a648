"""Both sides of gRPC's own interop service (tests/support/grpcpair) with a real edge between them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gopub.process import base_environment
from gopub.traffic import Peer
from tests.support.ports import free_port

OK, CANCELLED, UNKNOWN, INVALID, DEADLINE, NOT_FOUND, EXHAUSTED, INTERNAL, UNAVAILABLE = 0, 1, 2, 3, 4, 5, 8, 13, 14
LONG = 300


def tool(name: str) -> str:
    """A program of scripts/tools.sh."""
    found = Path(os.environ["GOPUB_CACHE"]) / "bin" / name
    assert found.exists(), f"{found} is missing: run scripts/setup.sh tools"
    return str(found)


class _Lines:
    """A process that says JSON, line by line."""

    process: asyncio.subprocess.Process

    async def run(self, *argv: str, stdin: int | None = None) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *argv, stdin=stdin, stdout=asyncio.subprocess.PIPE, env=base_environment(), limit=2**20
        )

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout
        async with asyncio.timeout(LONG):
            text = await self.process.stdout.readline()
        assert text, "it ended"
        found: dict[str, Any] = json.loads(text)
        return found

    async def end(self, number: int = signal.SIGKILL) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)
        await self.process.wait()


@dataclass
class GrpcPeer(_Lines):
    """A server; `seen` is what it was told, call by call, up to the last look."""

    host: str
    port: int = field(default_factory=free_port)
    seen: list[dict[str, Any]] = field(default_factory=list)
    reading: asyncio.Task[None] | None = None

    @property
    def peer(self) -> Peer:
        return Peer(self.host, f"127.0.0.1:{self.port}")

    async def start(self) -> None:
        await self.run(tool("grpcpair"), "serve", f"127.0.0.1:{self.port}", self.host)
        assert (await self.line())["host"] == self.host
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        async for text in self.process.stdout:
            self.seen.append(json.loads(text))

    async def stop(self, number: int = signal.SIGKILL) -> None:
        """Ends, and with it all its connections; SIGTERM: it waits for its calls."""
        await self.end(number)
        if self.reading:
            await self.reading  # all that it said is read

    def told(self, name: str) -> list[str]:
        """What the last call had under that name."""
        return list(self.seen[-1]["told"].get(name, []))


@dataclass(frozen=True)
class Told:
    """An answer as a client of gRPC has it."""

    code: int
    message: str
    size: int
    header: Mapping[str, list[str]]

    @property
    def peer(self) -> str:
        return self.header.get("x-gopub-peer", [""])[0]

    @property
    def rule(self) -> str:
        return self.header.get("x-gopub-rule", [""])[0].rpartition("@")[0]


class GrpcClient(_Lines):
    """A client that never tries again: one connection for what it is told, a fresh one where it is asked for."""

    async def start(self, port: int, name: str = "hello.lab") -> None:
        await self.run(tool("grpcpair"), "call", f"127.0.0.1:{port}", name, stdin=asyncio.subprocess.PIPE)

    async def ask(self, **order: Any) -> Told:
        """A unary call, or with ``stream`` a message of a stream of that name, or its ``end``."""
        (found,) = await self.ask_many([order])
        return found

    async def ask_many(self, orders: list[dict[str, Any]]) -> list[Told]:
        """One after the other."""
        assert self.process.stdin
        self.process.stdin.write("".join(json.dumps(order) + "\n" for order in orders).encode())
        found = [await self.line() for _ in orders]
        return [Told(one["code"], one["message"], one["size"], one["header"] or {}) for one in found]


@asynccontextmanager
async def grpc_peers(*hosts: str) -> AsyncIterator[list[GrpcPeer]]:
    """Started servers, ended at the end."""
    async with AsyncExitStack() as stack:
        peers = [GrpcPeer(host) for host in hosts]
        for peer in peers:
            await peer.start()
            stack.push_async_callback(peer.stop)
        yield peers


@asynccontextmanager
async def grpc_client(port: int, name: str = "hello.lab") -> AsyncIterator[GrpcClient]:
    """A started client, ended at the end."""
    client = GrpcClient()
    await client.start(port, name)
    try:
        yield client
    finally:
        await client.end()
