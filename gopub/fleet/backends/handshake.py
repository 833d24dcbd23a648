"""One login: pinned key, the right user and keys, fast ciphers, and every way it can fail told for what it is."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import socket
from dataclasses import dataclass
from errno import ENOENT
from typing import Any, TypeAlias

import asyncssh

from gopub.canon import bounded
from gopub.errors import UsageError
from gopub.fleet.backends.config import settings_of
from gopub.fleet.backends.identities import Wallet, certified, wallet
from gopub.fleet.backends.known import Pinned
from gopub.fleet.backends.trouble import Phase, Seen, failed, say
from gopub.fleet.host import SshOptions
from gopub.fleet.jump import DIRECT, leads, parse_hop
from gopub.fleet.sshconfig import Asked, Settings
from gopub.process import which

KEEPALIVE_SECONDS = 5.0
_LONGEST_LOGIN = 120.0  # an sshd as shipped waits no longer (LoginGraceTime)
_FAST_FIRST = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_ALGORITHMS = {"kexalgorithms": "kex_algs", "macs": "mac_algs", "casignaturealgorithms": "signature_algs"}
_QUIET = "exec 9>&2 2>/dev/null"
Connection: TypeAlias = asyncssh.SSHClientConnection

asyncssh.set_log_level(logging.WARNING)  # its INFO has every command line, and ours carry a whole program


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds are waited: for a whole login, a session on a connection that is there, and the agent's list."""

    login: float = 15.0
    session: float = 15.0
    agent: float = 5.0


@dataclass(frozen=True, slots=True)
class Server:
    """A place to connect to, a host or a bastion, and what ~/.ssh/config says of it."""

    name: str
    options: SshOptions
    settings: Settings

    @property
    def jump(self) -> str | None:
        """The bastions on the way; the inventory's word counts before the configuration's."""
        if self.options.jump or self.options.proxy_command:
            return self.options.jump if leads(self.options.jump) else None
        return self.settings.get("proxyjump")

    @property
    def jump_options(self) -> SshOptions:
        """How they are reached: as the host, if the inventory names them; else as they stand in the configuration."""
        if not self.options.jump:
            return SshOptions()
        return SshOptions(key=self.options.key, known_hosts=self.options.known_hosts)


async def server(name: str, address: str, options: SshOptions) -> Server:
    """The place, with what the configuration says of it.

    Raises:
        UsageError: GP352 a bad ~/.ssh/config.
    """
    return Server(name, options, await settings_of(Asked(address, options.user, options.port)))


async def bastion(jump: str, options: SshOptions) -> Server:
    """The bastion that ``[user@]host[:port]`` names; it is reached with the host's own key and pins.

    Raises:
        UsageError: GP413 when it names none, GP352.
    """
    try:
        hop = parse_hop(jump)
    except ValueError as error:
        hint = f"write [user@]host[:port], with brackets around an IPv6 address, or {DIRECT}"
        raise UsageError("GP413", str(error), hint=hint) from error
    way = SshOptions(hop.user, hop.port, options.key, options.known_hosts)
    return await server(jump, hop.address, way)


class _Client(asyncssh.SSHClient):
    """What asyncssh asks on the way, and what it lets us see."""

    def __init__(self, keys: Wallet) -> None:
        self._keys = keys
        self.connection: Connection | None = None
        self.shown: asyncssh.SSHKey | None = None

    def connection_made(self, conn: Connection) -> None:
        self.connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.shown = key  # not one of those that are pinned
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.shown = key
        return False

    def public_key_auth_requested(self) -> Any:
        return self._keys.take()

    @property
    def phase(self) -> Phase:
        if self.connection is None:
            return Phase.CONNECTING
        if not self.connection.get_extra_info("server_version"):
            return Phase.GREETING
        return Phase.LOGIN if self.connection.get_server_host_key() else Phase.KEYS


async def handshake(
    server: Server, tunnel: Connection | None, patience: Patience, minted: asyncssh.SSHKeyPair | None = None
) -> Connection:
    """Connect and log in, through ``tunnel`` if there is one; ``minted`` is all that is shown where it is given.

    Raises:
        GopubError: GP411 unknown key, GP412 changed key, GP413 it makes no sense to try again, GP414 not let in,
            GP352 or GP418 a file that cannot be read.
        AgainError: it may work the next time.
    """
    options, settings = server.options, server.settings
    pinned = Pinned(options.known_hosts, settings.pinned_as, _pinned_port(settings), settings)
    keys = certified(minted) if minted else await wallet(server.name, options.key, settings, patience=patience.agent)
    client = _Client(keys)
    try:
        async with asyncio.timeout(_limit(settings, patience)):
            return await asyncssh.connect(settings.hostname, **_arguments(server, tunnel, pinned, client))
    except (asyncssh.Error, OSError) as error:
        raise failed(error, _seen(server, client, keys, patience), pinned) from error
    except (ValueError, LookupError) as error:
        problem = f"{server.name}: asyncssh cannot act on what ~/.ssh/config says: {bounded(say(error))}"
        raise UsageError("GP352", problem, hint="see what `ssh -G HOST` makes of it") from error
    finally:
        keys.close()


def _limit(settings: Settings, patience: Patience) -> float:
    """For how long a login may take: who has slow ways says so with ConnectTimeout; a shorter one is for ssh alone."""
    return min(max(patience.login, settings.connect_timeout), _LONGEST_LOGIN)


def _arguments(server: Server, tunnel: Connection | None, pinned: Pinned, client: _Client) -> dict[str, Any]:
    settings = server.settings
    arguments: dict[str, Any] = {
        "config": None,
        "client_factory": lambda: client,
        "port": settings.port,
        "username": settings.user,
        "known_hosts": pinned.match,
        "server_host_key_algs": pinned.algorithms(settings.get("hostkeyalgorithms")),
        "host_key_alias": settings.pinned_as,
        "client_keys": None,
        "public_key_auth": settings.one.get("pubkeyauthentication", "yes").lower() not in {"no", "false"},
        "encryption_algs": _FAST_FIRST,
        "connect_timeout": None,
        "login_timeout": 0,  # ours holds for all of it
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": 3,
        "family": _FAMILIES.get(settings.one.get("addressfamily", "any").lower(), socket.AF_UNSPEC),
    }
    if tunnel:
        return arguments | {"tunnel": tunnel} | _wished(settings)
    bind = settings.get("bindaddress")
    way = {"proxy_command": _proxy(server), "local_addr": (bind, 0) if bind else None}
    return arguments | {name: value for name, value in way.items() if value} | _wished(settings)


def _wished(settings: Settings) -> dict[str, str]:
    """Algorithms that the configuration names, without those that asyncssh does not speak."""
    found = {}
    for option, name in _ALGORITHMS.items():
        wish = settings.get(option) or ""
        sign = wish[0] if wish[:1] in {"+", "-", "^"} else ""
        spoken = [one for one in wish[len(sign) :].split(",") if one and _speaks(name, one)]
        if spoken:
            found[name] = sign + ",".join(spoken)
    return found


def _speaks(name: str, algorithm: str) -> bool:
    try:
        asyncssh.SSHClientConnectionOptions(config=None, client_keys=None, known_hosts=None, **{name: algorithm})
    except ValueError:
        return False
    return True


def _pinned_port(settings: Settings) -> int:
    return 22 if settings.get("hostkeyalias") else settings.port


def _proxy(server: Server) -> list[str]:
    """The words of a proxy command: the inventory's with its tokens filled in, or the configuration's for a shell.

    Its complaints are kept out of the way: asyncssh takes them for the host's words, and their end for the end.

    Raises:
        FileNotFoundError: there is no such program.
    """
    options, settings = server.options, server.settings
    if options.jump:
        return []
    if not options.proxy_command:
        command = settings.get("proxycommand")
        return ["sh", "-c", f"{_QUIET}; {command}"] if command else []
    tokens = {"%h": settings.hostname, "%p": str(settings.port), "%r": settings.user, "%%": "%"}
    words = [re.sub("%[hpr%]", lambda found: tokens[found[0]], word) for word in shlex.split(options.proxy_command)]
    if words and not which(words[0]):
        raise FileNotFoundError(ENOENT, "there is no such program", words[0])
    return ["sh", "-c", f'{_QUIET}; exec "$@"', "sh", *words]


def _seen(server: Server, client: _Client, keys: Wallet, patience: Patience) -> Seen:
    return Seen(
        name=server.name,
        address=server.settings.hostname,
        user=server.settings.user,
        phase=client.phase,
        limit=_limit(server.settings, patience),
        bastion=server.jump,
        shown_key=client.shown,
        keys_shown=keys.shown,
        complaint=keys.complaint(),
        advice=keys.advice(),
    )


async def end(connection: Connection) -> None:
    """Close a connection, and wait a little for the other side to hear it."""
    connection.close()
    try:
        async with asyncio.timeout(2):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
