"""A tiny proxy that obeys the table in a file of its machine, and the machine: what a plug-in's router speaks to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gopub.clock import SystemClock
from gopub.process import Result, base_environment, run
from gopub.traffic import Request, RouteTable, explain, from_json
from tests.contracts.edge_nginx import read_head


class PaperEdge:
    """Decides each request by the file as it lies then; one request a connection, for one upstream."""

    def __init__(self, folder: Path, upstream: str = "hello") -> None:
        self.home, self.place = folder, folder / "paper" / upstream
        self.off, self.port, self.turn = 0.0, 0, 0
        self.held: Counter[str] = Counter()
        self.place.mkdir(parents=True)
        (folder / "bin").mkdir()

    @property
    def table(self) -> RouteTable:
        return from_json(json.loads((self.place / "table.json").read_text()))

    def set_clock(self, off: float) -> None:
        """The machine's clock, so many seconds ahead: for the proxy and for whoever asks `date`."""
        self.off = off
        script = self.home / "bin" / "date"
        script.write_text(f"#!/bin/sh\nexec /usr/bin/date --date='{off:+g} seconds' \"$@\"\n")
        script.chmod(0o755)

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        """A program on this machine."""
        path = f"{self.home / 'bin'}:{base_environment()['PATH']}"
        return await run(argv, stdin=stdin, env=base_environment(extra={"PATH": path}), cwd=self.home, check=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = await read_head(reader)
        table = self.table
        hosts = explain(table, Request("127.0.0.1", headers, SystemClock().now() + self.off)).hosts
        tracks = [track for track in (table.stable, table.canary) if track]
        addresses = {peer.host: peer.address for track in tracks for peer in track.peers}
        self.turn += 1
        host = hosts[self.turn % len(hosts)]
        self._hold(host, 1)
        try:
            await self._forward(addresses[host], first, writer)
        finally:
            self._hold(host, -1)
            writer.close()
            await writer.wait_closed()

    async def _forward(self, address: str, first: str, writer: asyncio.StreamWriter) -> None:
        to, _, port = address.rpartition(":")
        back, there = await asyncio.open_connection(to, int(port))
        there.write(f"{first}\r\nHost: hello.lab\r\nContent-Length: 0\r\n\r\n".encode())
        head = await back.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        writer.write(head + await back.readexactly(length))
        await writer.drain()
        there.close()
        await there.wait_closed()

    def _hold(self, host: str, more: int) -> None:
        self.held[host] += more
        (self.place / "held.new").write_text(json.dumps(self.held))
        (self.place / "held.new").replace(self.place / "held.json")


@asynccontextmanager
async def paper_edge(folder: Path) -> AsyncIterator[PaperEdge]:
    """A started one, ended at the end."""
    edge = PaperEdge(folder)
    server = await asyncio.start_server(edge.serve, "127.0.0.1", 0)
    edge.port = server.sockets[0].getsockname()[1]
    try:
        yield edge
    finally:
        server.close()
        await server.wait_closed()
