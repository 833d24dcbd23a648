"""Whether ``traffic.trust`` believes everybody: who says where a request came from also says who gets the canary."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gopub.spec.texts import INVENTORY

_V4: TypeAlias = ipaddress.IPv4Network
_V6: TypeAlias = ipaddress.IPv6Network
WIDEST_V4, WIDEST_V6 = 8, 16
"""The shortest prefixes of networks that somebody has for his own: 10.0.0.0/8; nobody was given so much of IPv6."""
_OWN = ipaddress.IPv6Network("fc00::/7")


def too_wide(trust: Sequence[str]) -> str:
    """One sentence on networks that are the internet, or a large part of it, together too; empty where none is."""
    wide = [str(one) for one in (*_joined(trust, 4), *_joined(trust, 6)) if _is_wide(one)]
    if not wide:
        return ""
    return (
        f"traffic.trust believes {' and '.join(wide)}: anyone there may choose X-Forwarded-For, and with it who gets "
        "the canary; name the addresses of your own proxies"
    )


def _joined(trust: Sequence[str], version: int) -> Iterator[_V4 | _V6]:
    """The networks of one kind, those that lie side by side as one: two halves are the whole."""
    written = (ipaddress.ip_network(text) for text in trust if text != INVENTORY)
    mine = [one for one in written if one.version == version]
    yield from ipaddress.collapse_addresses(mine)  # type: ignore[type-var] # all of one kind


def _is_wide(network: _V4 | _V6) -> bool:
    if isinstance(network, _V4):
        return network.prefixlen < WIDEST_V4
    return network.prefixlen < WIDEST_V6 and not network.subnet_of(_OWN)
