"""Addresses and networks as the edge reads them (address.lua)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_WRITTEN = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""What load balancers write into x-forwarded-for: ``ip:port``, ``[v6]:port``, ``[v6]``."""
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")
_NETWORK = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")


class Networks:
    """Some networks, of which an address may be."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(text, strict=False) for text in texts]

    def hold(self, text: str) -> bool:
        """Whether one of them holds the address, or the IPv4 one that it stands for."""
        address = _address(text)
        if address is None:
            return False
        both = (address, _mapped(address) or address)
        return any(one in network for network in self._networks for one in both)


def client(trust: Networks, remote: str, chain: Iterable[str]) -> str:
    """Who is behind trusted proxies: the rightmost untrusted hop; what is no address ends the chain."""
    found = bare(remote) or remote
    for written in reversed(list(chain)):
        hop = bare(written)
        if hop is None or not trust.hold(found):
            return found
        found = hop
    return found


def bare(text: str) -> str | None:
    """The address alone of what a proxy writes: without brackets and port, IPv4 in its short form; None: it is none."""
    match = _WRITTEN.fullmatch(text)
    found = (match[1] or match[2]) if match else text
    address = _address(found)
    if address is None or (match and match[1] and address.version == 4):
        return None
    return str(_mapped(address) or found)


def is_endpoint(text: str) -> bool:
    """Whether the text is ``ip:port`` or ``[v6]:port``."""
    match = _ENDPOINT.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= 65535:
        return False
    return _is_ip(match[1] or match[2], 6 if match[1] else 4)


def is_network(text: str) -> bool:
    """Whether the text is an address or a CIDR network, host bits allowed."""
    try:
        return bool(_NETWORK.fullmatch(text)) and bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _mapped(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for (::ffff:10.0.0.5), as a socket for both kinds tells it."""
    return address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None


def _address(text: str) -> _Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
