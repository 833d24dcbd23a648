"""The addresses by which edges reach hosts: an edge looks nothing up."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gopub.errors import GopubError
from gopub.fleet.host import Host


async def by_address(hosts: Sequence[Host]) -> tuple[Host, ...]:
    """The hosts, each with an IP address in the place of a name; IPv4 where a name has both.

    Raises:
        GopubError: GP731 a name has no address, or an address is good on one link only.
    """
    return tuple(await asyncio.gather(*(_by_address(host) for host in hosts)))


async def house_by_address(hosts: Sequence[Host]) -> Mapping[str, tuple[str, ...]]:
    """All addresses of each host; none where its name has none, or none is told soon: only its own calls suffer."""
    asked = {host.name: asyncio.ensure_future(_all_of(host.address)) for host in hosts}
    if asked:
        _, late = await asyncio.wait(asked.values(), timeout=_PATIENCE)
        for one in late:
            one.cancel()
    return {name: one.result() if one.done() and not one.cancelled() else () for name, one in asked.items()}


_PATIENCE = 15.0
"""Seconds for all names together: a plan does not wait for a name server that is away."""


async def _all_of(name: str) -> tuple[str, ...]:
    try:
        return (str(ipaddress.ip_address(name)),)
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(where[0]).partition("%")[0] for *_, where in found))


async def _by_address(host: Host) -> Host:
    try:
        known = ipaddress.ip_address(host.address)
    except ValueError:
        return replace(host, address=await _looked_up(host))
    if isinstance(known, ipaddress.IPv6Address) and known.scope_id:
        raise _no_peer(host, "holds on one network link only")
    return host


async def _looked_up(host: Host) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.address, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _no_peer(host, f"is a name without an address ({error.strerror or error})") from error
    addresses = [str(where[0]) for *_, where in found]
    return next((address for address in addresses if ":" not in address), addresses[0])


def _no_peer(host: Host, why: str) -> GopubError:
    return GopubError("GP731", f"edges cannot be told how to reach {host.name}: {host.address!r} {why}",
                      hint="give it an address in the inventory: ansible_host=10.0.0.11")  # fmt: skip
