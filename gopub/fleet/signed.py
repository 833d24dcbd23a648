"""Orders as an enrolled host takes them: signed, with a nonce of the host's. Pure (docs/reference/host-program.md)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from gopub.errors import GopubError
from gopub.fleet.orders import Order, as_lines

DOMAIN = b"gopub-order-v1\n"
"""Stands before the lines of an order when they are signed: no signature of anything else is one of an order."""
MOST_HEAD = 65536
"""Bytes of an order before its payload, the signature's line included."""
FORMAT = "2"


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A key that signs orders: its fingerprint (hex SHA-256), and what signs with it.

    ``sign`` gives the DER signature (ECDSA on P-256) over the SHA-256 of what it is given, ``anew`` the key that lies
    by now where this one was read: keys are rotated while orders are given.
    """

    fingerprint: str
    sign: Callable[[bytes], bytes] = field(repr=False)
    anew: Callable[[], OrderKey] | None = field(default=None, repr=False, compare=False)


def lines_v2(order: Order, nonce: str = "") -> bytes:
    """An order in format 2, with the empty line that ends it; behind :data:`DOMAIN` these are the bytes to sign.

    Raises:
        GopubError: GP419 when a value has a control character.
    """
    more = {"nonce": nonce, "journal": order.journal}
    admission = {f"admission.{name}": text for name, text in order.admission.items()}
    pairs = {**dict(order.pairs()), "gopub": FORMAT, **more, **admission}
    return as_lines(order, [(key, text) for key, text in pairs.items() if text])


def signed_lines(order: Order, key: OrderKey, nonce: str = "") -> bytes:
    """An order as it goes to an enrolled host; the payload follows.

    Raises:
        GopubError: GP419 when a value has a control character, or all of them are too long together.
    """
    lines = lines_v2(order, nonce)
    signature = base64.b64encode(key.sign(DOMAIN + lines)).decode()
    head = f"gopub-sig=1 {key.fingerprint} {signature}\n".encode() + lines
    if len(head) > MOST_HEAD:
        raise GopubError(
            "GP419",
            f"the order {order.verb} for {order.host} has {len(head)} bytes, a host takes {MOST_HEAD}",
            hint="shorten the words of the config check, or the reason",
        )
    return head
