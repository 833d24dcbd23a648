"""Where ``gopub logs receive`` listens, and whom it lets send."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from gopub.errors import GopubError, UsageError
from gopub.spec.kinds import SecretRef

TOKEN = "GOPUB_LOGS_TOKEN"  # noqa: S105 - the variable's name
METRICS_TOKEN = "GOPUB_METRICS_TOKEN"  # noqa: S105 - the same
SHORTEST = 16
"""Characters of a token."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([0-9]{1,5})")


def address_of(text: str) -> tuple[str, int]:
    """The host and the port of ``HOST:PORT``.

    Raises:
        UsageError: GP977 it is no address.
    """
    match = _ADDRESS.fullmatch(text)
    if not match or int(match[3]) > 65535:
        raise UsageError(
            "GP977", f"{text!r} is no address to listen on", hint="write HOST:PORT, such as 127.0.0.1:4318"
        )
    return match[1] or match[2], int(match[3])


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Raises:
        GopubError: GP977 it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        hint = "name another address with --listen, or end what listens there"
        raise GopubError("GP977", f"{host}:{port} cannot be listened on: {error.strerror}", hint=hint) from None


def token_of(file: Path | None, variable: str = TOKEN) -> str:
    """The token that is asked for, by a file or the variable, empty where none is.

    Raises:
        UsageError: GP142 the file cannot be read, GP977 the token can be guessed.
    """
    if not file and not os.environ.get(variable):
        return ""
    token = (SecretRef(file=file) if file else SecretRef(env=variable)).reveal()
    if len(token) < SHORTEST:
        raise UsageError(
            "GP977", f"the token has fewer than {SHORTEST} characters", hint="make one with `openssl rand -hex 32`"
        )
    return token


def insist_safe(host: str, token: str, *, tls: bool) -> None:
    """Let only this machine send without a token, and in clear text.

    Raises:
        UsageError: GP914 a token would cross the network in clear text, GP977 anybody could send.
    """
    if host in LOOPBACK:
        return
    if not token:
        raise UsageError(
            "GP977",
            f"refused to receive logs on {host} without a token: whoever reaches it could have a release taken back",
            hint=f"give --token-file or {TOKEN}, or listen on 127.0.0.1",
        )
    if not tls:
        raise UsageError(
            "GP914",
            f"refused to serve {host} without TLS: tokens would cross the network in clear text",
            hint="give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS",
        )


def insist_unseen(host: str, token: str, *, tls: bool) -> None:
    """Let no token cross a network in clear text.

    Raises:
        UsageError: GP914 it would.
    """
    if token and not tls and host not in LOOPBACK:
        raise UsageError(
            "GP914",
            f"refused to serve {host} without TLS: tokens would cross the network in clear text",
            hint="give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS",
        )
