"""How a source holds a route table: a line with its name, a line with its signature, then its very bytes. Pure."""

from __future__ import annotations

import re

from gopub.canon import JsonError, read_json
from gopub.errors import GopubError
from gopub.traffic.table import RouteTable
from gopub.traffic.wire import from_json

TITLE = "gopub-table/v1"
MOST = 1 << 20
"""Bytes of a table, as an edge takes it."""
_UNSIGNED = "-"
_SIGNATURE = re.compile(r"[A-Za-z0-9+/=:.,_ -]{1,4000}")


def enveloped(upstream: str, body: bytes, signature: str) -> bytes:
    """The value for an upstream; ``signature`` is that of the header, empty where there is none."""
    if signature and not _SIGNATURE.fullmatch(signature):
        raise ValueError("a signature is one line of plain characters")
    return f"{TITLE} {upstream}\n{signature or _UNSIGNED}\n".encode() + body


def opened(upstream: str, value: bytes) -> tuple[bytes, RouteTable] | None:
    """The bytes of a table in an envelope, and the table; None where it is none for that upstream. Edges see whose."""
    title, _, rest = value[: MOST + 8192].partition(b"\n")
    signature, line, body = rest.partition(b"\n")
    if title != f"{TITLE} {upstream}".encode() or not line or len(signature) > 4000 or len(body) > MOST:
        return None
    try:
        table = from_json(read_json(body, limit=MOST))
    except (JsonError, GopubError):
        return None
    return (body, table) if table.upstream == upstream else None
