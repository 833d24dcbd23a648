"""How a route table is signed: what a signature is taken over, and how it travels beside the table. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

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
