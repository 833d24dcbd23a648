"""One login: pinned key, the right user, fast ciphers, and every way it can fail told for what it is."""

from __future__ import annotations

import logging
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import asyncssh

from gopub.canon import bounded
from gopub.errors import GopubError, UsageError
from gopub.fleet.backends.known import Pinned
from gopub.fleet.host import SshOptions
from gopub.fleet.jump import DIRECT, leads, parse_hop

LOGIN_SECONDS = 20.0
KEEPALIVE_SECONDS = 5.0
_FAST_FIRST = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
Connection: TypeAlias = asyncssh.SSHClientConnection

asyncssh.set_log_level(logging.WARNING)  # its INFO has every command line, and ours carry a whole program


@dataclass(frozen=True, slots=True)
class Server:
    """A place to connect to: a host or a bastion."""

    name: str
    address: str
    port: int | None
    options: SshOptions


async def handshake(server: Server, tunnel: Connection | None) -> Connection:
    """Connect and log in, through ``tunnel`` if there is one.

    Raises:
        GopubError: GP352 a bad ~/.ssh/config, GP411 unknown key, GP412 changed key, GP414 not let in, GP418 no pins.
        asyncssh.Error | OSError: it may work the next time.
    """
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
        "client_keys": [str(_home(server, options.key))] if options.key else None,
        "proxy_command": None if tunnel else _proxy(server),
        "tunnel": tunnel,
    }
    direct = {"tunnel": None, "proxy_command": None} if options.jump and not leads(options.jump) else {}
    arguments |= direct | {name: value for name, value in given.items() if value}  # whatever ~/.ssh/config says
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
            f"{server.name} does not let {options.user or 'this user'} in: {say(error)}",
            hint="which key and user does the inventory name?",
        ) from error
    except (asyncssh.KeyImportError, FileNotFoundError) as error:
        raise GopubError("GP414", f"{server.name}: the key {options.key} cannot be used: {error}") from error
    except (ValueError, LookupError, RecursionError) as error:  # asyncssh reads ~/.ssh/config while it connects
        raise _bad_config(server, error) from error


def bastion(jump: str, options: SshOptions) -> Server:
    """The bastion that ``[user@]host[:port]`` names; it is reached with the host's own key and pins.

    Raises:
        UsageError: GP413 when it names none.
    """
    try:
        hop = parse_hop(jump)
    except ValueError as error:
        hint = f"write [user@]host[:port], with brackets around an IPv6 address, or {DIRECT}"
        raise UsageError("GP413", str(error), hint=hint) from error
    return Server(
        jump, hop.address, hop.port, SshOptions(user=hop.user, key=options.key, known_hosts=options.known_hosts)
    )


def _home(server: Server, key: Path) -> Path:
    try:
        return key.expanduser()
    except RuntimeError as error:  # ~user, and there is no such user
        raise GopubError("GP414", f"{server.name}: the key {key} cannot be used: {error}") from error


def _bad_config(server: Server, error: Exception) -> UsageError:
    return UsageError(
        "GP352",
        f"{server.name}: ~/.ssh/config cannot be read: {bounded(say(error))}",
        hint="mend the line that it names; `ssh -G HOST` reads the same file",
    )


def _proxy(server: Server) -> list[str]:
    """The words of a proxy command with OpenSSH's tokens filled in."""
    tokens = {"%h": server.address, "%p": str(server.port or 22), "%r": server.options.user or "", "%%": "%"}
    words = shlex.split(server.options.proxy_command or "")
    return [re.sub("%[hpr%]", lambda found: tokens[found[0]], word) for word in words]


def say(error: BaseException) -> str:
    """What an error says, or at least its name."""
    return str(error) or type(error).__name__
