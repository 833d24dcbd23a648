"""A real nginx edge on loopback with tiny real upstreams, and a client that never retries.

Every port is free at the moment it is asked for; the master is ended by its pid.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gopub.process import Result, base_environment, run
from gopub.traffic import Peer, RouteTable, Rule, Track, encode
from gopub.traffic.backends.nginx import EdgeLayout, edge_files
from gopub.traffic.conditions import Header
from tests.support.ports import free_port

STABLE, CANARY = "a" * 64, "b" * 64
ME = {"x-canary": "true"}
BY_HEADER = Rule("me", Header("x-canary", "true"))


def route_table(stable: Sequence[Backend], canary: Sequence[Backend] = (), **more: Any) -> RouteTable:
    """The table of hello in lab over these backends; ``more`` are fields of it."""
    return RouteTable(
        app="hello",
        env="lab",
        upstream="hello",
        salt="r-1",
        stable=Track(STABLE, tuple(backend.peer for backend in stable)),
        canary=Track(CANARY, tuple(backend.peer for backend in canary)) if canary else None,
        **more,
    )


@dataclass
class Answer:
    """What the client got; ``status`` 0 means that no whole answer came."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""

    @property
    def peer(self) -> str:
        """The host that answered, as the edge names it."""
        return self.headers.get("x-gopub-peer", "")

    @property
    def rule(self) -> str:
        """The rule that the edge names, without the revision."""
        return self.headers.get("x-gopub-rule", "").rpartition("@")[0]


class Client:
    """One connection, kept while the server keeps it; a request that fails is failed."""

    def __init__(self, port: int, host: str = "hello.lab", *, keep: bool = True) -> None:
        self.port, self.host, self.keep = port, host, keep
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(
        self, path: str = "/", *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        try:
            return await self._ask(path, method, headers or {}, body)
        except (OSError, EOFError, ValueError) as error:
            await self.close()
            return Answer(0, problem=repr(error))

    async def _ask(self, path: str, method: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        head += [] if self.keep else ["Connection: close"]
        self.writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await self.writer.drain()
        answer = await read_answer(self.reader)
        if not self.keep or answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def ask_many(self, requests: Sequence[Mapping[str, str]], path: str = "/") -> list[Answer]:
        """One GET for each set of headers, written at once and answered in order."""
        if self.writer is None or self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        for headers in requests:
            lines = (f"{name}: {value}\r\n" for name, value in headers.items())
            self.writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{''.join(lines)}\r\n".encode())
        return [await read_answer(self.reader) for _ in requests]

    async def close(self) -> None:
        if self.writer:
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()
        self.reader = self.writer = None


async def read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """First line and headers (names in lower case)."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    pairs = (line.split(": ", 1) for line in lines)
    return first, {name.lower(): value for name, value in pairs}


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One answer with a length or in chunks."""
    first, headers = await read_head(reader)
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split()[1]), headers, body)


@dataclass
class Upstream(ABC):
    """A process behind an edge: what it says is its kind's business."""

    host: str
    port: int = field(default_factory=free_port, kw_only=True)
    server: asyncio.Server | None = field(default=None, kw_only=True)
    connections: int = field(default=0, kw_only=True)
    writers: set[asyncio.StreamWriter] = field(default_factory=set, kw_only=True)

    @property
    def peer(self) -> Peer:
        return Peer(self.host, f"127.0.0.1:{self.port}")

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Dies: no listener, every connection gone."""
        if self.server:
            self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()
        if self.server:
            await self.server.wait_closed()
        self.server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    @abstractmethod
    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether another may follow."""


@dataclass
class Backend(Upstream):
    """One upstream process: says its name; its paths misbehave on demand (/status/N, /slow/S, /held, /drop, /hang)."""

    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    busy: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """What /held waits for."""

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, headers = await read_head(reader)
        await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ")
        self.seen.append((method, path, headers))
        self.busy += 1
        try:
            if headers.get("upgrade") and "upgrade" in headers.get("connection", "").lower():
                await self._switch(headers["upgrade"], reader, writer)
                return False
            await self._answer(path, writer)
        finally:
            self.busy -= 1
        return True

    async def _switch(self, protocol: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Whatever protocol is asked for: says its name, then says again what it hears."""
        head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\nConnection: Upgrade\r\n\r\n"
        writer.write(head.encode() + f"{self.host} hears ".encode())
        while heard := await reader.read(4096):
            writer.write(heard)
            await writer.drain()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        kind, _, value = path.partition("?")[0].lstrip("/").partition("/")
        if kind == "drop":
            raise ConnectionError
        if kind == "slow":
            await asyncio.sleep(float(value))
        if kind == "held":
            await self.go_on.wait()
        status = int(value) if kind == "status" else 200
        body = json.dumps({"host": self.host}).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()


@dataclass
class LocalEdge:
    """An nginx of our own under ``root``."""

    root: Path
    port: int
    metrics_port: int
    grpc_port: int
    process: asyncio.subprocess.Process | None = None
    clients: list[Client] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.root / "edge.sock"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @classmethod
    def at(cls, root: Path) -> LocalEdge:
        return cls(root, free_port(), free_port(), free_port())

    @property
    def layout(self) -> EdgeLayout:
        """This prefix and these ports."""
        return EdgeLayout(
            config=f"{self.root}/gopub",
            state=str(self.state),
            socket=str(self.socket),
            pid=f"{self.root}/nginx.pid",
            log=f"{self.root}/log",
            user="user root;" if os.getuid() == 0 else "",
            data=f"listen 127.0.0.1:{self.port}",
            grpc=f"listen 127.0.0.1:{self.grpc_port}",
            metrics=f"listen 127.0.0.1:{self.metrics_port}",
        )

    def write(self, *, extra: str = "", workers: int = 2) -> None:
        """The shipped files, moved to this layout."""
        for name in ("log", "state", "temp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for path, content in edge_files(self.layout).items():
            local = self.root / path.rpartition("/")[2] if not path.startswith(str(self.root)) else Path(path)
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)
        main = self.root / "nginx.conf"
        temporary = "".join(
            f"{kind}_temp_path {self.root}/temp/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = main.read_text()
        text = text.replace("worker_processes auto", f"worker_processes {workers}")
        text = text.replace("worker_rlimit_nofile 65536;", "")
        text = text.replace("worker_connections 8192", "worker_connections 1024")
        text = text.replace("server_tokens off;", f"server_tokens off; {temporary} {extra}")
        main.write_text(text)

    async def begin(self) -> asyncio.subprocess.Process:
        """Start its master, which is not waited for."""
        self.process = await asyncio.create_subprocess_exec(
            "nginx", "-c", str(self.root / "nginx.conf"), "-g", "daemon off;",
            env=base_environment(),
        )  # fmt: skip
        return self.process

    async def start(self) -> None:
        await self.begin()
        for _ in range(10_000):
            if (await self.control("GET", "/v1/status"))[0] == 200:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"nginx did not start: {self.log()}")

    async def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process and self.process.returncode is None:
            workers = self.workers()
            self.process.send_signal(number)
            await self.process.wait()
            async with asyncio.timeout(300):
                while any(map(lives, workers)):  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(0.01)
            self.socket.unlink(missing_ok=True)  # as systemd does with the runtime directory
        self.process = None

    async def restart(self, number: int = signal.SIGTERM) -> None:
        await self.stop(number)
        await self.start()

    async def reload(self) -> None:
        """As after `nginx -s reload`, once every worker is a new one."""
        assert self.process
        before = set(self.workers())
        self.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(300):
            while before & set(self.workers()) or not self.workers():  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.01)

    def log(self) -> str:
        """The error log."""
        path = self.root / "log" / "error.log"
        return path.read_text() if path.exists() else "(no error log)"

    def workers(self) -> list[int]:
        """The pids of the master's children."""
        assert self.process
        pid = self.process.pid
        return sorted(int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        """What the fleet's channel does on a real edge."""
        return await run(argv, stdin=stdin, check=False, timeout=300)

    async def control(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request on the control socket, raw."""
        answer = await self.ask_control(method, path, body)
        return answer.status, answer.body

    async def ask_control(self, method: str, path: str, body: bytes = b"", *lines: str) -> Answer:
        """The same with further lines of the head, and the answer's headers."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return Answer(0)
        head = [f"{method} {path} HTTP/1.1", "Host: edge", "Connection: close", f"Content-Length: {len(body)}", *lines]
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        answer = await read_answer(reader)
        writer.close()
        await writer.wait_closed()
        return answer

    async def put(self, table: RouteTable) -> tuple[int, dict[str, object]]:
        """Puts a table past our own client and checks, as anybody could."""
        status, body = await self.control("PUT", f"/v1/tables/{table.upstream}", encode(table))
        return status, json.loads(body)

    async def inflight(self, upstream: str = "hello") -> dict[str, int]:
        _, body = await self.control("GET", "/v1/status")
        held: dict[str, int] = json.loads(body)["upstreams"][upstream]["inflight"]
        return held

    async def metrics(self) -> dict[str, float]:
        """The samples of /metrics by name and labels, once the last answer is counted: that comes after it is sent."""
        async with asyncio.timeout(300):
            while any(value for name, value in (await self._metrics()).items() if "inflight" in name):  # noqa: ASYNC110 - another process counts
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        return await self._metrics()

    async def _metrics(self) -> dict[str, float]:
        answer = await Client(self.metrics_port, "edge", keep=False).ask("/metrics")
        assert answer.status == 200, answer
        lines = (line for line in answer.body.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def client(self, *, keep: bool = True, host: str = "hello.lab") -> Client:
        """A client of the data port; closed when the edge is."""
        self.clients.append(Client(self.port, host, keep=keep))
        return self.clients[-1]


def lives(pid: int) -> bool:
    """Whether there is a process of that pid."""
    return Path(f"/proc/{pid}").exists()


@asynccontextmanager
async def running_edge(root: Path, *, extra: str = "", workers: int = 2) -> AsyncIterator[LocalEdge]:
    """A started edge, ended at the end."""
    edge = LocalEdge.at(root)
    edge.write(extra=extra, workers=workers)
    await edge.start()
    try:
        yield edge
    finally:
        for client in edge.clients:
            await client.close()
        await edge.stop()


@asynccontextmanager
async def running_backends(*hosts: str) -> AsyncIterator[list[Backend]]:
    """Started upstreams, ended at the end."""
    backends = [Backend(host) for host in hosts]
    for backend in backends:
        await backend.start()
    try:
        yield backends
    finally:
        for backend in backends:
            await backend.stop()
