"""Hosts over SSH (asyncssh): one kept connection a host, pinned keys, a limit on everything that waits.

An sshd drops new connections beyond ``MaxStartups`` (10:30:100 as shipped), which looks like a lost connection
before the login: at most 8 handshakes run at a time per server, and per bastion for the hosts behind it; what is
dropped all the same is tried again after a random while. An order is never repeated blindly: after a lost
connection the same order with the same ``n`` is asked again, and the host answers with what it did.
"""

from __future__ import annotations

import asyncio
import random
import re
import shlex
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import asyncssh

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError
from gopub.fleet import program
from gopub.fleet.backends.known import Pinned
from gopub.fleet.backends.stream import talk
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order, Record
from gopub.fleet.protocol import Payload
from gopub.process import Result
from gopub.telemetry import log

HANDSHAKES = 8  # at a time per server; below the 10 that a stock sshd takes without dropping any
TRIES = 4
LOGIN_SECONDS = 20.0
KEEPALIVE_SECONDS = 5.0
_FAST_FIRST = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
_Connection: TypeAlias = asyncssh.SSHClientConnection
_LOST = (asyncssh.ConnectionLost, asyncssh.ChannelOpenError, ConnectionError)
_log = log("fleet.ssh")


@dataclass(frozen=True, slots=True)
class _Server:
    """A place to connect to: a host or a bastion."""

    name: str
    address: str
    port: int | None
    options: SshOptions


class SshFleet:
    """Channels to hosts; made once, closed once."""

    def __init__(self, defaults: SshOptions | None = None, *, clock: Clock | None = None) -> None:
        """``defaults`` hold where the inventory says nothing."""
        self._defaults = defaults or SshOptions()
        self._clock = clock or SystemClock()
        self._channels: dict[str, SshChannel] = {}
        self._bastions: dict[str, asyncio.Task[_Connection]] = {}
        self._gates: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(HANDSHAKES))

    async def channel(self, host: Host) -> SshChannel:
        """The channel to that host, connected.

        Raises:
            GopubError: GP411 unknown key, GP412 changed key, GP413 not reachable, GP414 not let in, GP418 no pins.
        """
        channel = self._channels.get(host.name)
        if channel is None or channel.host != host:  # the inventory may say something else by now
            if channel is not None:
                await channel.close()
            channel = self._channels[host.name] = SshChannel(self, host)
        await channel.connect()
        return channel

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        for task in self._bastions.values():
            task.cancel()
            if task.done() and not task.cancelled() and not task.exception():
                await _end(task.result())
        self._channels.clear()
        self._bastions.clear()

    async def __aenter__(self) -> Self:
        """For ``async with``."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def connect(self, host: Host) -> _Connection:
        """A new connection to the host, through its bastion if it has one."""
        options = host.ssh.over(self._defaults)
        options = replace(options, user=host.user or options.user, port=host.port or options.port)
        server = _Server(host.name, host.address, options.port, options)
        bastion = await self._bastion(options) if options.jump else None  # a jump goes before a proxy command
        return await self._open(server, bastion, gate=options.jump or f"{host.address}:{options.port}")

    async def _bastion(self, options: SshOptions) -> _Connection:
        jump = options.jump or ""
        task = self._bastions.get(jump)
        if task is None or (task.done() and (task.cancelled() or task.exception() or task.result().is_closed())):
            task = asyncio.create_task(self._open(_bastion(jump, options), None, gate=jump))
            self._bastions[jump] = task
        return await asyncio.shield(task)

    async def _open(self, server: _Server, tunnel: _Connection | None, *, gate: str) -> _Connection:
        for attempt in range(1, TRIES + 1):
            try:
                async with self._gates[gate]:
                    return await _handshake(server, tunnel)
            except (asyncssh.Error, OSError) as error:
                if attempt == TRIES:
                    raise GopubError(
                        "GP413",
                        f"{server.name} ({server.address}) cannot be reached: {_say(error)}",
                        hint="is it up, and does its sshd listen there?",
                    ) from error
                _log.info("%s: try %d: %s", server.name, attempt, _say(error))
                await self._clock.sleep(random.uniform(0.5, 1.5) * 2 ** (attempt - 2))  # noqa: S311 - jitter
        raise AssertionError  # the loop returns or raises


class SshChannel:
    """One kept connection to one host; made again when it was lost."""

    def __init__(self, fleet: SshFleet, host: Host) -> None:
        """Called by :class:`SshFleet` only."""
        self._fleet = fleet
        self._host = host
        self._sudo = host.ssh.over(fleet._defaults).sudo  # noqa: SLF001 - two halves of one backend
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    @property
    def host(self) -> Host:
        """Whom it leads to."""
        return self._host

    async def connect(self) -> _Connection:
        """The connection, made if there is none that lives."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._fleet.connect(self._host)
            return self._connection

    async def run(self, order: Order, payload: Payload = (), *, timeout: float = 120.0) -> Record:  # noqa: ASYNC109 - a contract
        """Carry out an order; see :class:`gopub.fleet.protocol.HostChannel`.

        Raises:
            GopubError: GP41x; GP415 after ``timeout`` seconds, GP417 when the connection kept being lost.
        """
        argv = ("sh", "-c", program.text(), "gopub", order.verb)
        result = await self._ask(argv, (order.lines(), *payload), timeout)
        if b"gopub-record=" not in result.out:
            raise GopubError(
                "GP416",
                f"{self._host.name}: {order.verb}: the host program answered nothing (exit {result.code}): "
                f"{result.complaint or 'it was silent'}",
                hint="it needs root (ansible_become or sudo: true), sh and systemd",
            )
        return Record.parse(result.out.decode(errors="replace"), host=self._host.name)

    async def facts(self, instance: str, *, timeout: float = 30.0) -> HostFacts:  # noqa: ASYNC109 - a contract
        """What is so on the host for that instance."""
        order = Order("facts", self._host.name, "", instance, instance, "")
        return HostFacts.parse(await self.run(order, timeout=timeout))

    async def exec(self, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 30.0) -> Result:  # noqa: ASYNC109 - a contract
        """Run a program on the host (as root, where ``sudo`` is set); asked once, repeated by nobody."""
        async with self._limit(argv[0], timeout), self._lost(argv[0]):
            return await talk(await self.connect(), self._command(argv), (stdin,), tuple(argv))

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            await _end(self._connection)
            self._connection = None

    async def _ask(self, argv: Sequence[str], pieces: Sequence[bytes | Path], seconds: float) -> Result:
        async with self._limit(argv[-1], seconds), self._lost(argv[-1]):
            for _ in range(TRIES - 1):
                try:
                    return await talk(await self.connect(), self._command(argv), pieces, tuple(argv))
                except _LOST as error:
                    _log.info("%s: asked again after %s", self._host.name, _say(error))
            return await talk(await self.connect(), self._command(argv), pieces, tuple(argv))

    def _command(self, argv: Sequence[str]) -> str:
        return shlex.join(("sudo", "-n", "--", *argv) if self._sudo else argv)

    @asynccontextmanager
    async def _limit(self, what: str, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise GopubError(
                "GP415", f"{self._host.name}: {what} had no answer within {seconds:g}s", hint="ask the host again"
            ) from error

    @asynccontextmanager
    async def _lost(self, what: str) -> AsyncIterator[None]:
        try:
            yield
        except _LOST as error:
            raise GopubError(
                "GP417", f"{self._host.name}: the connection was lost during {what}: {_say(error)}"
            ) from error


async def _handshake(server: _Server, tunnel: _Connection | None) -> _Connection:
    options = server.options
    pinned = Pinned(options.known_hosts)
    arguments: dict[str, Any] = {
        "known_hosts": pinned.match,
        "encryption_algs": _FAST_FIRST,
        "connect_timeout": LOGIN_SECONDS,
        "login_timeout": LOGIN_SECONDS,
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": 3,
    }
    given = {
        "port": server.port,
        "username": options.user,
        "client_keys": [str(options.key.expanduser())] if options.key else None,
        "proxy_command": None if tunnel else _proxy(server),
        "tunnel": tunnel,
    }
    arguments |= {name: value for name, value in given.items() if value}
    try:
        return await asyncssh.connect(server.address, **arguments)
    except asyncssh.HostKeyNotVerifiable as error:
        raise pinned.refusal(server.name, error) from error
    except asyncssh.KeyExchangeFailed as error:
        if pinned.listed and "host key" in str(error):  # it shows only keys of other kinds than the pinned one
            raise pinned.refusal(server.name, error) from error
        raise
    except asyncssh.PermissionDenied as error:
        raise GopubError(
            "GP414",
            f"{server.name} does not let {options.user or 'this user'} in: {_say(error)}",
            hint="which key and user does the inventory name?",
        ) from error
    except (asyncssh.KeyImportError, FileNotFoundError) as error:
        raise GopubError("GP414", f"{server.name}: the key {options.key} cannot be used: {error}") from error


def _bastion(jump: str, options: SshOptions) -> _Server:
    user, _, place = jump.rpartition("@")
    address, colon, port = place.rpartition(":")
    if not colon or not port.isdigit():
        address, port = place, ""
    reached = SshOptions(user=user or None, key=options.key, known_hosts=options.known_hosts)
    return _Server(jump, address, int(port) if port else None, reached)


def _proxy(server: _Server) -> list[str]:
    """The words of a proxy command with OpenSSH's tokens filled in."""
    tokens = {"%h": server.address, "%p": str(server.port or 22), "%r": server.options.user or "", "%%": "%"}
    words = shlex.split(server.options.proxy_command or "")
    return [re.sub("%[hpr%]", lambda found: tokens[found[0]], word) for word in words]


async def _end(connection: _Connection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(2):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()


def _say(error: BaseException) -> str:
    return str(error) or type(error).__name__
