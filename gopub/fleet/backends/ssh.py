"""Hosts over SSH (asyncssh): one kept connection a host, pinned keys, a limit on everything that waits.

An sshd drops new connections beyond ``MaxStartups`` (10:30:100 as shipped), which looks like a lost connection before
the login: at most 8 handshakes run at a time per server, and per bastion for the hosts behind it; what is dropped all
the same is tried again after a random while, more often than a host that refuses, and one at a time. An order is never
repeated blindly: after a lost connection the same order with the same ``n`` is asked again, and the host answers with
what it did.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import asyncssh
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError
from gopub.fleet import program
from gopub.fleet.backends.certificates import SshCertificate, insist_signed
from gopub.fleet.backends.handshake import Connection, Patience, Server, bastion, end, handshake, server
from gopub.fleet.backends.openfiles import allow_many_files
from gopub.fleet.backends.pinned import Pinned, heard_of, hello_of
from gopub.fleet.backends.presence import insist_none
from gopub.fleet.backends.signing import OrderSign
from gopub.fleet.backends.stream import KILLED, LOST, NoSessionError, take_note, talk, within
from gopub.fleet.backends.trouble import AgainError, no_program, not_begun, say
from gopub.fleet.enrolling import USER
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host, SshOptions
from gopub.fleet.orders import Order, Record
from gopub.fleet.protocol import FleetConnection, OrderSigning, Payload
from gopub.fleet.rootline import RootAnswer, RootVerb, answer_of, as_sent
from gopub.fleet.shells import after_mark, command_line, marked
from gopub.fleet.signed import OrderKey
from gopub.process import Result
from gopub.spec.fields import Switch, Whole, Word
from gopub.spec.kinds import LocalPath
from gopub.spec.texts import UserName
from gopub.telemetry import log

HANDSHAKES = 8  # at a time per server; below the 10 that a stock sshd takes without dropping any
TRIES = 4
TRIES_DROPPED = 7  # of a connection that was taken and hung up on: a place at the server may take seconds to be free
ASK_AGAIN = frozenset({"GP424", "GP449", "GP450", "GP451"})  # what broke off; the host kept no record of it
_Way: TypeAlias = tuple[str, SshOptions, frozenset[str]]
_log = log("fleet.ssh")


class Ssh(FleetConnection):
    """How hosts are reached; ~/.ssh/config fills in what is left out."""

    kind: Literal["ssh"] = "ssh"
    user: UserName | None = None
    """The user."""
    port: Whole | None = Field(None, ge=1, le=65535)
    """The port."""
    key: LocalPath | None = None
    """The private key."""
    known_hosts: LocalPath | None = None
    """Pinned host keys."""
    sudo: Switch = False
    """Whether the host program is run through sudo."""
    proxy_jump: Word | None = None
    """A bastion."""
    sign: OrderSign | None = None
    """What signs orders to enrolled hosts; without it they go unsigned."""
    certificate: SshCertificate | None = None
    """What lets user gopub in, in the place of a standing key; needs `sign`."""

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A kit without a key is one that an older gopub reads."""
        whole: dict[str, Any] = written(self)
        return {name: value for name, value in whole.items() if value or name not in {"sign", "certificate"}}

    @model_validator(mode="after")
    def _for_enrolled(self) -> Ssh:
        insist_signed(self.certificate, signed=self.sign is not None)
        return self

    def options(self) -> SshOptions:
        """What it says, for hosts of which the inventory says nothing."""
        return SshOptions(self.user, self.port, self.key, self.known_hosts, self.sudo, jump=self.proxy_jump)

    def signing(self) -> OrderSigning | None:
        """What signs orders, where the connection says it."""
        return self.sign.signing if self.sign else None

    def open(self) -> SshFleet:
        """Channels over OpenSSH servers; each host holds how it is reached."""
        return SshFleet(authority=self.certificate)

    def open_signed(self, key: OrderKey) -> SshFleet:
        """The same; orders to enrolled hosts are signed with that key."""
        return SshFleet(orders=key, authority=self.certificate)

    def authority(self) -> Path | None:
        """The key whose certificates let user gopub in."""
        return self.certificate.ca if self.certificate else None


class SshFleet:
    """Channels to hosts; made once, closed once."""

    def __init__(
        self, defaults: SshOptions | None = None, *, clock: Clock | None = None, patience: Patience | None = None,
        orders: OrderKey | None = None, authority: SshCertificate | None = None,
    ) -> None:  # fmt: skip
        """``defaults`` hold where the inventory says nothing; ``orders`` signs what enrolled hosts are told.

        ``authority`` certifies each login of user gopub.
        """
        allow_many_files()
        self.orders = orders
        self._authority = authority
        self.patience = patience or Patience()
        self._defaults = defaults or SshOptions()
        self._clock = clock or SystemClock()
        self._channels: dict[str, SshChannel] = {}
        self._bastions: dict[_Way, asyncio.Task[Connection]] = {}
        self._narrow: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._gates: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(HANDSHAKES))

    async def channel(self, host: Host) -> SshChannel:
        """The channel to that host, connected.

        Raises:
            GopubError: GP411 unknown key, GP412 changed key, GP413 not reachable, GP414 not let in, GP418 no pins,
                GP352 a bad ~/.ssh/config.
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
                await end(task.result())
        self._channels.clear()
        self._bastions.clear()

    async def __aenter__(self) -> Self:
        """For ``async with``."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def connect(self, host: Host) -> Connection:
        """A new connection to the host, through its bastion if it has one."""
        options = host.ssh.over(self._defaults)
        options = replace(options, user=host.user or options.user, port=host.port or options.port)
        to = await server(host.name, host.address, options)
        if not to.jump:
            return await self._open(to, None, gate=f"{to.settings.hostname}:{to.settings.port}", last=True)
        through = await self._bastion(to.jump, to.jump_options)  # a jump goes before a proxy command
        return await self._open(to, through, gate=to.jump, last=True)

    async def _bastion(self, jump: str, options: SshOptions, behind: frozenset[str] = frozenset()) -> Connection:
        """The connection to a bastion; ``behind`` are those whose own ProxyJump led here: nobody waits in a ring."""
        way = (jump, options, behind)
        task = self._bastions.get(way)
        if task is None or (task.done() and (task.cancelled() or task.exception() or task.result().is_closed())):
            task = asyncio.create_task(self._hop(jump, options, behind))
            self._bastions[way] = task
        return await asyncio.shield(task)

    async def _hop(self, jump: str, options: SshOptions, behind: frozenset[str]) -> Connection:
        before, _, last = jump.rpartition(",")
        to = await bastion(last, options)
        tunnel = await self._bastion(before, options, behind) if before else None
        if not before and to.jump and to.jump not in behind | {jump}:  # a bastion behind one of its own, as ssh has it
            tunnel = await self._bastion(to.jump, SshOptions(), behind | {jump})
        return await self._open(to, tunnel, gate=jump)

    def _minted(self, to: Server) -> asyncssh.SSHKeyPair | None:
        """A certificate for this login, where it is one of user gopub; a long rollout has a new one each time."""
        return self._authority.pair(self._clock.now()) if self._authority and to.settings.user == USER else None

    async def _open(self, to: Server, tunnel: Connection | None, *, gate: str, last: bool = False) -> Connection:
        attempt, dropped = 0, False
        while True:
            attempt += 1
            try:
                async with self._turn(gate, alone=dropped):
                    return await handshake(to, tunnel, self.patience, self._minted(to) if last else None)
            except AgainError as error:
                dropped = error.dropped
                if attempt >= (TRIES_DROPPED if dropped else TRIES):
                    told = error.told
                    raise GopubError(told.code, f"{told.problem} (tried {attempt} times)", hint=told.hint) from error
                _log.info("%s: try %d: %s", to.name, attempt, error)
                await self.pause(attempt)

    @asynccontextmanager
    async def _turn(self, gate: str, *, alone: bool) -> AsyncIterator[None]:
        """A place for a handshake with that server; those whom it dropped come one after the other."""
        async with self._narrow[gate] if alone else nullcontext(), self._gates[gate]:
            yield

    async def pause(self, attempt: int) -> None:
        """Wait before the next try, longer after each: half a second on average, then one, two, and four."""
        await self._clock.sleep(random.uniform(0.5, 1.5) * 2 ** min(attempt - 2, 2))  # noqa: S311 - jitter


class SshChannel:
    """One kept connection to one host; made again when it was lost."""

    def __init__(self, fleet: SshFleet, host: Host) -> None:
        """Called by :class:`SshFleet` only."""
        self._fleet = fleet
        self._host = host
        self._sudo = host.ssh.over(fleet._defaults).sudo  # noqa: SLF001 - two halves of one backend
        self._connection: Connection | None = None
        self._sessions = 0
        self._connecting: asyncio.Task[Connection] | None = None
        self._pinned = Pinned(host.name, fleet.orders, self._talk) if fleet.orders else None

    @property
    def host(self) -> Host:
        """Whom it leads to."""
        return self._host

    async def connect(self) -> Connection:
        """The connection, made if there is none that lives; who stops waiting does not stop it for the others."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._fleet.connect(self._host))
            self._connecting.add_done_callback(take_note)
        self._connection = await asyncio.shield(self._connecting)
        if self._pinned:
            self._pinned.anew()
        return self._connection

    async def run(self, order: Order, payload: Payload = (), *, timeout: float = 120.0) -> Record:  # noqa: ASYNC109 - a contract
        """Carry out an order; see :class:`gopub.fleet.protocol.HostChannel`.

        Raises:
            GopubError: GP41x; GP415 after ``timeout`` seconds, GP417 when the connection kept being lost.
        """
        async with within(self._host.name, order.verb, timeout):
            for attempt in range(1, TRIES):
                try:
                    record = await self._ask(order, payload)
                except LOST as error:
                    _log.info("%s: asked again after %s", self._host.name, say(error))
                    continue
                if record.code not in ASK_AGAIN:
                    return record
                _log.info("%s: asked again after %s %s", self._host.name, record.code, record.message)
                await self._fleet.pause(attempt)
            return await self._ask(order, payload)

    async def facts(self, instance: str, *, timeout: float = 30.0) -> HostFacts:  # noqa: ASYNC109 - a contract
        """What is so on the host for that instance."""
        order = Order("facts", self._host.name, "", instance, instance, "")
        return HostFacts.parse(await self.run(order, timeout=timeout))

    async def exec(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        *,
        timeout: float = 30.0,  # noqa: ASYNC109 - a contract
        by_root: bool = False,
    ) -> Result:
        """Run a program on the host (as root, where ``sudo`` is set); asked once, repeated by nobody.

        Raises:
            GopubError: GP41x; GP415 after ``timeout`` seconds, GP416 when it was not even begun, GP487 on an enrolled
                host, but ``by_root``.
        """
        async with within(self._host.name, argv[0], timeout):
            if not by_root and await self._enrolled(hello_of(self._host.name)):
                raise no_program(self._host.name, argv[0])
            result = await self._talk(marked(argv), (stdin,))
            printed = after_mark(result.out)
            if printed is None and result.code != KILLED:
                raise not_begun(self._host.name, argv[0], result)
            return replace(result, argv=tuple(argv), out=printed or b"")

    async def ask(self, order: Order, argv: Sequence[str], stdin: bytes = b"", *, timeout: float = 30.0) -> Result:  # noqa: ASYNC109 - a contract
        """What a verb prints; see :class:`gopub.fleet.protocol.HostChannel`. Asked once, repeated by nobody.

        Raises:
            GopubError: as :meth:`exec`, and the host's own code.
        """
        async with within(self._host.name, order.verb, timeout):
            if pinned := await self._enrolled(order):
                return (await pinned.carry_out(order, (stdin,))).raw(argv)
            return await self.exec(argv, stdin, timeout=timeout)

    async def enrolled(self, *, timeout: float = 30.0) -> bool:  # noqa: ASYNC109 - a contract
        """Whether the host obeys signed orders alone; asked once, remembered.

        Raises:
            GopubError: GP41x.
        """
        async with within(self._host.name, "facts", timeout):
            return await self._enrolled(hello_of(self._host.name)) is not None

    async def root(self, verb: RootVerb, said: bytes = b"", *, timeout: float = 120.0) -> RootAnswer | None:  # noqa: ASYNC109 - a contract
        """A word of the roots; see :class:`gopub.fleet.protocol.HostChannel`.

        Raises:
            GopubError: GP41x.
        """
        async with within(self._host.name, verb, timeout):
            result = await self._talk((program.INSTALLED,), (as_sent(verb, said),))
            answer = answer_of(result.out.decode(errors="replace"), host=self._host.name, verb=verb)
            if answer is None:
                await insist_none(self._host.name, verb, result, self._talk)
        return answer

    async def close(self) -> None:
        """End the connection, also one that is only being made."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None and not connecting.done():
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        elif connecting is not None and not connecting.exception():
            self._connection = connecting.result()
        if self._connection is not None:
            await end(self._connection)
            self._connection = None

    async def _ask(self, order: Order, payload: Payload) -> Record:
        if pinned := await self._enrolled(order):
            return (await pinned.carry_out(order, payload)).record
        argv = ("sh", "-c", program.text(), "gopub", order.verb)
        return heard_of(order, await self._talk(argv, (order.lines(), *payload))).record

    async def _enrolled(self, order: Order) -> Pinned | None:
        """How to speak to the host, where it is enrolled; what is known of it is known of this connection."""
        if self._pinned is None:
            return None
        await self.connect()
        return self._pinned if await self._pinned.is_enrolled(order) else None

    async def _talk(self, argv: Sequence[str], pieces: Payload) -> Result:
        opening = self._fleet.patience.session
        try:
            return await self._session(argv, pieces, opening)
        except NoSessionError as error:
            raise GopubError(
                "GP415",
                f"{self._host.name} let us in and then opened no session for {opening:g}s",
                hint="its sshd, or the machine, is stuck or overloaded: look at its console",
            ) from error

    async def _session(self, argv: Sequence[str], pieces: Payload, opening: float) -> Result:
        """What an sshd refuses beyond its ``MaxSessions`` was not begun; a session of ours that ends makes room."""
        refused = 0
        while True:
            connection = await self.connect()
            self._sessions += 1
            try:
                return await talk(connection, self._command(argv), pieces, tuple(argv), opening=opening)
            except asyncssh.ChannelOpenError as error:
                refused += 1
                if self._sessions == 1 and refused == TRIES:  # no session of ours holds the place
                    raise GopubError(
                        "GP416",
                        f"{self._host.name} let us in and opens no session: {say(error)}",
                        hint="its sshd_config says how many there may be on one connection (MaxSessions): at least one",
                    ) from error
            finally:
                self._sessions -= 1
            await self._fleet.pause(min(refused, 2))

    def _command(self, argv: Sequence[str]) -> str:
        return command_line(("sudo", "-n", "--", *argv) if self._sudo else tuple(argv))
