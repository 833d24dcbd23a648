"""Bastions as OpenSSH's ``ProxyJump`` names them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

DIRECT = "none"
"""Instead of a bastion: there is none, whatever is said elsewhere."""
_BRACKETS = re.compile(r"\[([^\[\]]+)\](?::(.*))?")


@dataclass(frozen=True, slots=True)
class Hop:
    """One bastion; what is None comes from ``~/.ssh/config`` and OpenSSH's defaults."""

    user: str | None
    address: str
    port: int | None


def parse_hop(text: str) -> Hop:
    """Read ``[user@]host[:port]``, also with ``ssh://`` before it; an IPv6 address with a port needs brackets.

    Raises:
        ValueError: it is none of these.
    """
    user, at, place = text.strip().removeprefix("ssh://").removesuffix("/").rpartition("@")
    if found := _BRACKETS.fullmatch(place):
        address, port = found[1], found[2]
    elif is_ipv6(place):
        address, port = place, None
    else:
        address, colon, rest = place.partition(":")
        port = rest if colon else None
    if not address or any(char in address for char in " []/,") or (at and not user):
        raise ValueError(f"{text!r} is no bastion")
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is no bastion: {port!r} is no port")
    return Hop(user or None, address, int(port) if port else None)


def leads(jump: str | None) -> bool:
    """Whether it names a bastion at all."""
    return bool(jump) and str(jump).lower() != DIRECT


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, without brackets."""
    try:
        return bool(IPv6Address(text))
    except ValueError:
        return False


def unbracketed(address: str) -> str:
    """``[2001:db8::4]`` as the address that it is; anything else as it stands."""
    inside = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else ""
    return inside if is_ipv6(inside) else address


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if ":" in address else address
