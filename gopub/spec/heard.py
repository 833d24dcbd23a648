"""What an edge can hear of a request: a key that nginx drops, or that says nothing of a user, would choose nobody."""

from __future__ import annotations

import re

MOST_NAME, MOST_VALUE = 64, 256
"""Characters of a header's or cookie's name and of a value to compare, as an edge takes them."""

_READ = re.compile(r"[A-Za-z0-9-]+")
_PRINTABLE = re.compile(r"[ -~]*")
_GRAY = ("x-gray-", "x-gopub-")
_OF_THE_CONNECTION = frozenset({
    "connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",
})  # fmt: skip


def deaf_to(name: str, *, trust: bool) -> tuple[str, str] | None:
    """Why an edge never hears a header, and what to do; None: it does. ``trust``: some network is believed."""
    low = name.lower()
    if not _READ.fullmatch(name):
        plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
        text = f"nginx drops header {name!r}: its name has more than letters, digits and hyphens"
        return text, f'let clients send "{plain.lower() or "x-user-id"}"'
    if len(name) > MOST_NAME:
        return f"the name has {len(name)} characters", f"{MOST_NAME} is the most that an edge takes"
    if low in _OF_THE_CONNECTION:
        return f"header {name!r} is about the connection, not about a user", "choose another header"
    if low.startswith(_GRAY) and not trust:
        text = f"header {name!r} counts from trusted addresses only, and none is trusted"
        return text, "name your proxies in `traffic.trust`, or choose a header without x-gray- and x-gopub-"
    return None


def useless_key(sticky: str, *, trust: bool) -> tuple[str, str] | None:
    """Why a sticky key tells no users apart at an edge, and what to do; None: it may."""
    kind, _, name = sticky.partition(":")
    if kind == "cookie" and len(name) > MOST_NAME:
        return f"the cookie's name has {len(name)} characters", f"{MOST_NAME} is the most that an edge takes"
    if kind != "header":
        return None
    if name.lower() == "host":
        return "all users of a site send the same Host", "write address, or a header or cookie of the user"
    if name.lower() == "cookie":
        return "all cookies together change whenever one does", "name one of them: cookie:session"
    return deaf_to(name, trust=trust)


def never_equal(value: str) -> tuple[str, str] | None:
    """Why no header of a request can have this value at an edge, and what to do; None: one can."""
    if len(value) > MOST_VALUE or not _PRINTABLE.fullmatch(value):
        return "the value is not printable ASCII of at most 256 characters", "choose a shorter or plainer one"
    if value != value.strip():
        return f"{value!r} has blanks around it, and a header's value has none", f'write "{value.strip()}"'
    return None
