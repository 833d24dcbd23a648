"""Whom edges believe: the networks of ``traffic.trust``, and for its word ``inventory`` the house's addresses. Pure.

Each hop of a call goes through an edge, so that what calls is a host that some edge sends to, or an edge: were they not
believed, tags would be taken off at the second hop. An address counts only where it is one host's own:

1. loopback and link-local addresses are anybody's, and none is believed;
2. one that several hosts have leads through something before them, and is not believed;
3. what lies side by side is written as one network, which holds nothing else.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gopub.spec.texts import INVENTORY

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def networks(trust: Sequence[str], house: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What a table is told: the networks as they are written, then those of the inventory. ``house``: by host."""
    written = tuple(one for one in trust if one != INVENTORY)
    if INVENTORY not in trust:
        return written
    seen = _times(house)
    own = [address for addresses in house.values() for address in _own(addresses, seen)]
    return tuple(dict.fromkeys((*written, *_joined(own, 4), *_joined(own, 6))))


def left_out(house: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Hosts of which no address is believed (rules 1 and 2), or none is known."""
    seen = _times(house)
    return tuple(name for name, addresses in house.items() if not _own(addresses, seen))


def told_left_out(house: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """One sentence on them, where there are any."""
    names = left_out(house)
    if not names:
        return ()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return (f"edges do not believe {shown} (traffic.trust: inventory): no address is theirs alone",)


def _times(house: Mapping[str, Sequence[str]]) -> Counter[str]:
    return Counter(one for addresses in house.values() for one in dict.fromkeys(addresses))


def _own(addresses: Sequence[str], seen: Counter[str]) -> list[_Address]:
    known = (_plain(ipaddress.ip_address(text)) for text in addresses if seen[text] == 1)
    return [one for one in known if not (one.is_loopback or one.is_link_local or one.is_unspecified)]


def _plain(address: _Address) -> _Address:
    """``::ffff:10.0.0.5`` as what it stands for."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _joined(addresses: Sequence[_Address], version: int) -> list[str]:
    mine = [ipaddress.ip_network(one) for one in addresses if one.version == version]
    found = ipaddress.collapse_addresses(mine)  # type: ignore[type-var] # all of one kind
    return [str(one.network_address) if one.num_addresses == 1 else str(one) for one in found]
