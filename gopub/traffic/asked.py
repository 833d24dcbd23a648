"""A request as the edge sees it: what of its headers is read, whether they are believed, who is behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote_to_bytes

from gopub.traffic.addresses import Networks, client
from gopub.traffic.headers import Headers, Seen, is_read, looked_for
from gopub.traffic.shapes import fits
from gopub.traffic.table import RouteTable

TAGS = "x-gray-tag"
MOST_TAGS = 64
LONGEST_LIST = 4096
"""Bytes of all lines of ``x-gray-tag`` together; a longer list is malformed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request decides.

    The connection's address, its headers (any case), the time in seconds, its method, its path as nginx normalises it
    (decoded, without ``..``) and its query as it was sent.
    """

    address: str
    headers: Headers = field(default_factory=dict)
    at: float = 0.0
    method: str = "GET"
    path: str = "/"
    query: str = ""


class Asked:
    """The request, read by the rules of one table."""

    def __init__(self, table: RouteTable, request: Request) -> None:
        """Nothing is decided yet."""
        self._sticky = table.sticky
        self._request = request
        self._trust = Networks(table.trust)
        self._headers = Seen(request.headers, trusted=self._trust.hold(request.address))
        self.at, self.method, self.path = request.at, request.method, request.path

    def header(self, name: str) -> str | None:
        """The first line of that name."""
        return self._headers.first(name)

    def cookie(self, name: str) -> str | None:
        """The first cookie of that name."""
        return self._headers.cookie(name)

    @cached_property
    def client(self) -> str:
        """The address behind trusted proxies."""
        return client(self._trust, self._request.address, self._headers.chain())

    @cached_property
    def subject(self) -> str:
        """Whom a percentage draws for; empty where the sticky key is missing."""
        kind, _, name = self._sticky.partition(":")
        if kind == "header":
            return self.header(name) or ""
        return (self.cookie(name) or "") if kind == "cookie" else self.client

    @cached_property
    def tags(self) -> frozenset[str] | None:
        """The tags that it carries; None: its list is malformed, and nothing is to be concluded from it."""
        lines = self._headers.lines(TAGS)
        if sum(len(one.encode("utf-8", "surrogateescape")) for one in lines) + max(0, len(lines) - 1) > LONGEST_LIST:
            return None
        words = [word.strip(" \t") for word in ",".join(lines).split(",")]
        words = [word for word in words if word]
        is_tag = fits("tag")
        if len(words) > MOST_TAGS or not all(is_tag(word) for word in words):
            return None
        return frozenset(words)

    @cached_property
    def query(self) -> dict[str, bytes]:
        """The first value of each parameter, decoded once; one without ``=`` has no value."""
        found: dict[str, bytes] = {}
        for part in self._request.query.split("&"):
            name, is_pair, value = part.partition("=")
            if is_pair:
                found.setdefault(_decoded(name).decode("latin-1"), _decoded(value))
        return found

    def lost(self) -> str:
        """Why it has no subject although one seems to be there: the header that nginx drops."""
        kind, _, name = self._sticky.partition(":")
        wanted = looked_for(name)
        dropped = next((one for one in self._headers.dropped if looked_for(one) == wanted), None)
        if kind != "header" or (dropped is None and is_read(wanted)):
            return ""
        return f": nginx drops {dropped or name}, whose name has more than letters, digits and hyphens"


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogateescape"))
