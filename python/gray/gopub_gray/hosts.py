"""The hosts of the house: the only ones that are told of tags."""

from __future__ import annotations

import ipaddress
import re

_NAME = re.compile(r"(?!\.)(?!.*\.\.)[a-z0-9._-]{1,253}")
_NETWORK = re.compile(r"[0-9a-f:.]+(?:/[0-9]{1,3})?")


class Allow:
    """Patterns of hosts.

    A name (``orders.corp``), all names below one (``*.corp``), an address (``10.0.0.7``) or a network
    (``10.0.0.0/8``). Ports do not matter. A name is compared as it is written in a URL, it is not looked up.
    Without any pattern there is no house.
    """

    def __init__(self, *hosts: str) -> None:
        """Raises ValueError for a pattern that is none."""
        self._exact: set[str] = set()
        self._below: list[str] = []
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for host in hosts:
            self._add(host)

    def _add(self, host: str) -> None:
        low = host.removesuffix(".").lower()
        name = low.removeprefix("*.")
        if _NETWORK.fullmatch(low) and (network := _network(low)):
            self._networks.append(network)
        elif not _NAME.fullmatch(name):
            raise ValueError(f"{host!r} is no host of a house: name it as orders.corp, *.corp, 10.0.0.7 or 10.0.0.0/8")
        elif name == low:
            self._exact.add(low)
        else:
            self._below.append("." + name)

    def __contains__(self, host: str) -> bool:
        """Whether a host, with a port or without, is of the house."""
        name = _without_port(host).removesuffix(".").lower()
        try:
            address = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return bool(_NAME.fullmatch(name)) and (name in self._exact or name.endswith(tuple(self._below)))
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
