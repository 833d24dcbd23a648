"""An SSH server in this process that runs what it is told with a real shell: for what happens on the way to hosts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from gopub.fleet.host import Host, SshOptions

MAX_AUTH_TRIES = 6
_THREADS = ThreadPoolExecutor(64)


@dataclass
class Server:
    """A running server, and what it saw."""

    port: int
    keys: Path
    acceptor: asyncssh.SSHAcceptor | None = None
    handshakes: int = 0
    at_once: int = 0
    most_at_once: int = 0
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    slow: float = 0.0
    greeting: bytes = b""
    instead: str = ""
    places: Mapping[str, Path] = field(default_factory=dict)
    tunnels: int = 0
    refused_keys: list[asyncssh.SSHKey] = field(default_factory=list)
    address: str = "127.0.0.1"
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    serving: set[asyncio.Task[None]] = field(default_factory=set)
    most_sessions: int | None = None
    open_sessions: int = 0
    refused_sessions: int = 0

    def pin(self, name: str = "known_hosts", key: str = "host_key") -> Path:
        """A known_hosts file that pins a key of this folder for this server."""
        path = self.keys / name
        public = (self.keys / f"{key}.pub").read_text()
        path.write_text(f"[{self.address}]:{self.port} {public}")
        return path

    def show(self, *names: str) -> None:
        """Show these host keys from the next connection on."""
        assert self.acceptor
        self.acceptor.update(server_host_keys=[str(self.keys / name) for name in names])

    def host(self, name: str = "h1", **options: object) -> Host:
        """This server as a host of an inventory."""
        told = {"key": self.keys / "user_key", "known_hosts": self.keys / "known_hosts", "user": "ops", **options}
        return Host(name, self.address, port=self.port, ssh=SshOptions(**told))  # type: ignore[arg-type]

    async def drop(self) -> None:
        """Cut every connection that is open, without a word."""
        for connection in self.connections:
            connection.abort()
        self.connections.clear()
        await asyncio.sleep(0)


class _Guest(asyncssh.SSHServer):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._counted = False
        self._refused = 0
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.handshakes += 1
        self._server.at_once += 1
        self._server.most_at_once = max(self._server.most_at_once, self._server.at_once)
        self._counted = True
        self._server.connections.append(conn)
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._leave()

    async def begin_auth(self, username: str) -> bool:
        del username
        await asyncio.sleep(self._server.slow)
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Asked for keys that may not log in: sshd ends it at the sixth, as shipped."""
        del username
        self._server.refused_keys.append(key)
        self._refused += 1
        if self._refused == MAX_AUTH_TRIES and self._connection:
            self._connection.disconnect(asyncssh.DISC_PROTOCOL_ERROR, "Too many authentication failures")
        return False

    def session_requested(self) -> Any:
        """Asked for each session where only some are allowed, as with MaxSessions."""
        if self._server.open_sessions >= (self._server.most_sessions or 0):
            self._server.refused_sessions += 1
            return False
        self._server.open_sessions += 1
        assert self._connection
        process = asyncssh.SSHServerProcess(lambda process: _serve(self._server, process), None, 3, False)
        return self._connection.create_server_channel(encoding=None), process

    def auth_completed(self) -> None:
        self._leave()

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        del dest_host, dest_port, orig_host, orig_port
        self._server.tunnels += 1
        return True

    def _leave(self) -> None:
        self._server.at_once -= self._counted
        self._counted = False


async def _serve(server: Server, process: asyncssh.SSHServerProcess[bytes]) -> None:
    task = asyncio.current_task()
    assert task
    server.serving.add(task)
    task.add_done_callback(server.serving.discard)
    server.asked.set()
    child = subprocess.Popen(  # noqa: ASYNC220 - it starts at once; its pipes are served by threads
        (
            "sh",
            "-c",
            server.instead or _placed(process.command or "true", server.places),
            "sshd",
            process.command or "",
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    if server.greeting:
        process.stdout.write(server.greeting)
    feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
    try:
        await asyncio.gather(_copy(child.stdout, process.stdout), _copy(child.stderr, process.stderr))
        process.exit(await _aside(child.wait))
    except (asyncssh.Error, OSError):
        pass  # the client went away
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        feeding.cancel()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        server.open_sessions -= 1
        await process.wait_closed()


def _placed(command: str, places: Mapping[str, Path]) -> str:
    """The command with places of the host where they are here."""
    for there, here in places.items():
        command = command.replace(there, str(here))
    return command


async def _feed(source: asyncssh.SSHReader[bytes], sink: Any) -> None:
    with suppress(asyncssh.Error, OSError, ValueError):  # the program need not read it all
        while block := await source.read(65536):
            await _aside(sink.write, block)
            await _aside(sink.flush)
        sink.close()


async def _copy(source: Any, sink: asyncssh.SSHWriter[bytes]) -> None:
    while block := await _aside(source.read1, 65536):
        sink.write(block)
        await sink.drain()


async def _aside(work: Callable[..., Any], *words: Any) -> Any:
    """Blocking work in a thread; more of them than asyncio's own few."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work, *words)


@asynccontextmanager
async def serving(
    folder: Path, *, algorithm: str = "ssh-ed25519", address: str = "127.0.0.1", most_sessions: int | None = None
) -> AsyncIterator[Server]:
    """A server with fresh keys; ``user_key`` may log in, ``host_key`` is pinned in ``known_hosts``."""
    for name, kind in (("host_key", algorithm), ("user_key", "ssh-ed25519"), ("other_key", "ssh-ed25519")):
        key = asyncssh.generate_private_key(kind)
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
    server = Server(0, folder, address=address, most_sessions=most_sessions)
    server.acceptor = await asyncssh.create_server(
        lambda: _Guest(server),
        address,
        0,
        server_host_keys=[str(folder / "host_key")],
        authorized_client_keys=str(folder / "user_key.pub"),
        process_factory=(lambda process: _serve(server, process)) if most_sessions is None else None,
        encoding=None,
    )
    server.port = server.acceptor.get_port()
    server.pin()
    try:
        yield server
    finally:
        server.acceptor.close()
        await server.drop()
        for task in server.serving:
            task.cancel()
        await asyncio.gather(*server.serving, return_exceptions=True)
        await server.acceptor.wait_closed()
