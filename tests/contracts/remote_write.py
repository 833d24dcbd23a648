"""Prometheus' remote write, by hand: what promtool cannot backfill, such as the marks of a scrape that failed."""

from __future__ import annotations

import struct
import urllib.request
from collections.abc import Iterable, Mapping

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""Prometheus ends a series with this value."""
FLAGS = ("--web.enable-remote-write-receiver",)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def zigzag(number: int, value: int) -> bytes:
    return whole(number, value << 1 if value >= 0 else (-value << 1) - 1)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def labels_of(labels: Mapping[str, str]) -> bytes:
    return b"".join(field(1, field(1, name.encode()) + field(2, labels[name].encode())) for name in sorted(labels))


def series(labels: Mapping[str, str], samples: Iterable[tuple[float, float]]) -> bytes:
    """One time series of a write request."""
    points = (field(2, double(1, value) + whole(2, round(at * 1000))) for at, value in samples)
    return field(1, labels_of(labels) + b"".join(points))


def write(url: str, request: bytes) -> None:
    """Send it, in a snappy block of literals alone."""
    block = bytearray(varint(len(request)))
    for begin in range(0, len(request), 1 << 16):
        part = request[begin : begin + (1 << 16)]
        block += bytes([61 << 2]) + struct.pack("<H", len(part) - 1) + part
    asked = urllib.request.Request(  # noqa: S310 - our own loopback address
        f"{url}/api/v1/write",
        data=bytes(block),
        headers={"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        assert answer.status in (200, 204), answer.status
