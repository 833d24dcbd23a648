"""How a route table is signed, how that travels beside the table, and what an edge says of it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gopub.canon import Json, bounded
from gopub.units import say_seconds

HEADER = "X-Gopub-Signature"
"""The header that a signature travels in, to an edge and back."""
DOMAIN = b"gopub-table-v1\n"
"""Stands before the bytes of a table when they are signed, so that no signature of anything else is one of a table."""


@dataclass(frozen=True, slots=True)
class TableKey:
    """A key that signs route tables: its fingerprint (hex SHA-256), its public half (PEM) and what signs with it.

    ``sign`` gives the DER signature (ECDSA on P-256) over the SHA-256 of what it is given.
    """

    fingerprint: str
    pem: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)

    def header(self, body: bytes) -> str:
        """The header's value for a table in these very bytes."""
        return f"{self.fingerprint}:{base64.b64encode(self.sign(DOMAIN + body)).decode()}"


@dataclass(frozen=True, slots=True)
class Refused:
    """The last table that an edge did not take: when by its clock, and why."""

    at: float
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class EdgeSigning:
    """What an edge says of signatures: whose the table in force is (fingerprint, "" unsigned), and what it believes.

    ``believed`` says whether the edge verified it, ``since`` (by its clock) when both became so. ``keys`` are the
    fingerprints that count there, ``broken`` the key files that it cannot use, and why. Where there is neither, tables
    need no signature. ``standing`` are all upstreams of the edge, whoever's, and whose signature the table of each has.
    """

    key: str = ""
    believed: bool = False
    since: float = 0.0
    keys: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    refused: Refused | None = None
    standing: Mapping[str, str] = field(default_factory=dict)

    def lost(self, laid: Iterable[str], off: Iterable[str]) -> list[str]:
        """The upstreams whose tables the next start would not use, were these keys laid and those taken off."""
        after = {*self.keys, *laid} - {*off}
        if not after and not self.broken:
            return []
        return sorted(upstream for upstream, key in self.standing.items() if key not in after)

    @property
    def asks(self) -> bool:
        """Whether this edge takes only what is signed."""
        return bool(self.keys or self.broken)

    @property
    def lasts(self) -> bool:
        """Whether the table in force would be used after a start of the edge."""
        return self.believed or not self.asks


def read_signing(answer: Json, upstream: str) -> EdgeSigning | None:
    """Of a ``/v1/status``; None where an edge of an older version does not say it, or what it says makes no sense."""
    said = _mapping(answer)
    keys = _mapping(said.get("keys"))
    if "keys" not in said:
        return None
    upstreams = {name: _mapping(told) for name, told in _mapping(said.get("upstreams")).items()}
    own = upstreams.get(upstream, {})
    signature = _mapping(own.get("signature"))
    standing = {bounded(name, 120): _mapping(told.get("signature")).get("key") for name, told in upstreams.items()}
    believed, since = keys.get("believed"), signature.get("since")
    return EdgeSigning(
        key=bounded(str(signature.get("key") or ""), 64),
        believed=signature.get("believed") is True,
        since=float(since) if isinstance(since, int | float) else 0.0,
        keys=tuple(bounded(str(one), 64) for one in believed) if isinstance(believed, list) else (),
        broken={bounded(name, 120): bounded(str(why)) for name, why in _mapping(keys.get("broken")).items()},
        refused=_refused(own.get("refused"), upstream) or _refused(said.get("refused"), upstream),
        standing={name: bounded(str(key or ""), 64) for name, key in standing.items()},
    )


def _refused(told: Json, upstream: str) -> Refused | None:
    found = _mapping(told)
    at = found.get("at")
    if found.get("upstream") != upstream or not isinstance(at, int | float):
        return None
    return Refused(float(at), bounded(str(found.get("code")), 10), bounded(str(found.get("reason")), 400))


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def say_signing(found: EdgeSigning, there: float) -> Iterator[str]:
    """Lines on whose the table in force is, and what is wrong; ``there`` is what the edge's clock shows."""
    whose = f"signed by key {found.key[:16]}" if found.key else "unsigned"
    if found.believed:
        yield f"{whose} since {say_seconds(round(max(0.0, there - found.since)))}"
    elif found.asks:
        yield f"{whose}, which counts no more: the edge's next start will not use this table"
    else:
        yield f"{whose}; no key lies there, so nobody checks" if found.key else whose
    for name, why in sorted(found.broken.items()):
        yield f"key file {name} cannot be used, so nothing unsigned is taken: {why}"
    if found.refused:
        ago = say_seconds(round(max(0.0, there - found.refused.at)))
        yield f"refused a table {ago} ago: {found.refused.code} {found.refused.reason}"
