"""Which peer a request would reach, by which rule and why: the edge's own decision (decide.lua), in words."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal

from gopub.canon import Json
from gopub.traffic.buckets import bucket
from gopub.traffic.headers import Headers, Seen, is_read, looked_for
from gopub.traffic.table import RouteTable, Track

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_WRITTEN = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""What load balancers write into x-forwarded-for: ``ip:port``, ``[v6]:port``, ``[v6]``."""


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request decides: the connection's address, its headers (any case), the time in seconds."""

    address: str
    headers: Headers = field(default_factory=dict)
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the request goes. ``rule`` is what the edge writes before the ``@`` of ``x-gopub-rule``.

    ``hosts`` are the peers that take turns; ``subject`` and ``bucket`` are set where a percentage was asked.
    """

    track: Literal["stable", "canary", "none"]
    rule: str
    why: str
    release: str = ""
    hosts: tuple[str, ...] = ()
    subject: str | None = None
    bucket: int | None = None

    def to_json(self) -> dict[str, Json]:
        """For ``gopub route explain --json``."""
        return {
            "track": self.track,
            "rule": self.rule,
            "why": self.why,
            "release": self.release,
            "hosts": list(self.hosts),
            "subject": self.subject,
            "bucket": self.bucket,
        }


def explain(table: RouteTable, request: Request) -> Explanation:
    """Decide as the edge does.

    1. A track without peers does not exist; with one track left, it takes everything.
    2. A canary whose term is over takes nothing, where ``lapse`` is ``stable``.
    3. The first rule whose header has its value sends the request to the canary.
    4. The percentage draws by the subject's bucket; without a subject the request goes to stable. While peers of
       the canary warm up, the percentage grows to what it shall be.
    """
    stable, canary = _some(table.stable), _some(table.canary)
    # 1
    if canary is None:
        return _to("stable", stable, "default", "there is no canary") if stable else _NOWHERE
    if stable is None:
        return _to("canary", canary, "only-canary", "there is no stable peer")
    # 2
    if table.lapse == "stable" and table.canary_until is not None and request.at >= table.canary_until:
        why = f"the canary's term ended {request.at - table.canary_until:.3f}s ago"
        return _to("stable", stable, "lapsed", why)
    # 3
    seen = _Seen(table, request)
    for rule in table.rules:
        if seen.header(rule.header_name) == rule.header_value:
            why = f"header {rule.header_name.lower()} is {rule.header_value!r}"
            return _to("canary", canary, rule.id, why)
    # 4
    return _by_weight(table, stable, canary, seen)


def _by_weight(table: RouteTable, stable: Track, canary: Track, seen: _Seen) -> Explanation:
    if table.weight == 0:
        return _to("stable", stable, "default", "the canary's weight is 0")
    subject = seen.subject()
    if not subject:
        return _to("stable", stable, "no-subject", f"the request has no {table.sticky}{seen.lost()}")
    place, weight = bucket(table.salt, subject), table.weight_at(seen.at)
    inside = place < weight
    why = f"bucket {place} of {table.sticky} {subject!r} is {'below' if inside else 'not below'} {weight}"
    if weight != table.weight:
        why += f" (of {table.weight}: the canary warms up)"
    if inside:
        return _to("canary", canary, "weight", why, (subject, place))
    return _to("stable", stable, "default", why, (subject, place))


_NOWHERE = Explanation("none", "none", "no track has a peer")


def _some(track: Track | None) -> Track | None:
    return track if track and track.peers else None


def _to(
    name: Literal["stable", "canary"],
    track: Track,
    rule: str,
    why: str,
    drawn: tuple[str, int] | None = None,
) -> Explanation:
    hosts = tuple(peer.host for peer in track.peers)
    subject, place = drawn or (None, None)
    return Explanation(name, rule, why, track.release[:12], hosts, subject, place)


class _Seen:
    """The request as the edge sees it: whether it is trusted, and what of its headers is read."""

    def __init__(self, table: RouteTable, request: Request) -> None:
        self._table = table
        self.at = request.at
        self._address = request.address
        self._trust = [ipaddress.ip_network(text, strict=False) for text in table.trust]
        self._headers = Seen(request.headers, trusted=self._is_trusted(request.address))

    def header(self, name: str) -> str | None:
        return self._headers.first(name)

    def subject(self) -> str | None:
        kind, _, name = self._table.sticky.partition(":")
        if kind == "header":
            return self.header(name)
        return self._headers.cookie(name) if kind == "cookie" else self._client()

    def lost(self) -> str:
        """Why it has none although one seems to be there: the header that nginx drops."""
        kind, _, name = self._table.sticky.partition(":")
        wanted = looked_for(name)
        dropped = next((one for one in self._headers.dropped if looked_for(one) == wanted), None)
        if kind != "header" or (dropped is None and is_read(wanted)):
            return ""
        return f": nginx drops {dropped or name}, whose name has more than letters, digits and hyphens"

    def _client(self) -> str:
        """The rightmost untrusted hop; what is no address ends the chain."""
        client = _bare(self._address) or self._address
        for written in reversed(self._headers.chain()):
            hop = _bare(written)
            if hop is None or not self._is_trusted(client):
                return client
            client = hop
        return client

    def _is_trusted(self, text: str) -> bool:
        address = _address(text)
        if address is None:
            return False
        both = (address, _mapped(address) or address)
        return any(one in network for network in self._trust for one in both)


def _bare(text: str) -> str | None:
    """The address alone of what a proxy writes: without brackets and port, IPv4 in its short form; None: it is none."""
    match = _WRITTEN.fullmatch(text)
    found = (match[1] or match[2]) if match else text
    address = _address(found)
    if address is None or (match and match[1] and address.version == 4):
        return None
    return str(_mapped(address) or found)


def _mapped(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for (::ffff:10.0.0.5), as a socket for both kinds tells it."""
    return address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None


def _address(text: str) -> _Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
