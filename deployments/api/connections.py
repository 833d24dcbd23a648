"""How long a connection may be silent, and which one makes room where all places are taken.

The library closes a connection that was used and is silent, and none that has not asked yet: a few hundred clients
that connect and say nothing would take every place, for ever, and webhooks would be answered with 503. Here a request's
head arrives in time or the connection ends; and where all places are taken, the one that has been idle for longest
makes room, so that a client which does ask finds one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_WITHIN = 10.0
"""Seconds for the head of a request, from its first byte on, or from when the connection was made."""
KEEP_ALIVE = 150
"""Seconds between two requests. A proxy must be the first to give up: else it sends a request into a connection that
is being closed, and answers 502. Nginx keeps one for 60 seconds, Go's proxies for 90, Caddy for 120."""


MOST_CONNECTIONS = 256


class Connection(H11Protocol):
    """One client's connection."""

    head_within = HEAD_WITHIN
    _late: asyncio.TimerHandle | None = None
    since = 0.0
    """When it was last asked for nothing more, by the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place; the head is waited for from now on."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._hurry()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A head that is whole was in time; what belongs to none, or to half of one, has to become one."""
        before: Any = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._arrived()
        if self.is_idle() and not self.timeout_keep_alive_task:
            self._hurry()

    def on_response_complete(self) -> None:
        """The connection is idle from now on."""
        self.since = self.loop.time()
        super().on_response_complete()

    def is_idle(self) -> bool:
        """Whether no request is under way."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _hurry(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_within, self.transport.abort)

    def _arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _make_room(self) -> None:
        """End what has been idle for longest, where this connection has the last place."""
        most, there = self.limit_concurrency, [one for one in self.connections if isinstance(one, Connection)]
        taken = [one for one in there if not one.transport.is_closing()]
        idle = [one for one in taken if one is not self and one.is_idle()]
        if most is not None and len(taken) >= most and idle:
            min(idle, key=lambda one: one.since).transport.abort()


LISTENING: Mapping[str, Any] = {
    "http": Connection,
    "ws": "none",
    "limit_concurrency": MOST_CONNECTIONS,
    "timeout_keep_alive": KEEP_ALIVE,
    "timeout_graceful_shutdown": 15,
}
"""What the library is told of connections."""
