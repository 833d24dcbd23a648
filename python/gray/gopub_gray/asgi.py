"""ASGI: from the headers of each request and WebSocket into its context, under every framework that speaks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from gopub_gray.tags import BAGGAGE, HEADER, carrying, incoming, outside

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Fields = Iterable[tuple[bytes, bytes]]


class GrayMiddleware:
    """Put it outermost: ``app = GrayMiddleware(app)``, or ``app.add_middleware(GrayMiddleware)`` as the last one.

    Our members are taken off the baggage that the app sees: libraries for tracing would send them to everybody. Believe
    the tags only behind an edge: gopub's edges take x-gray-tag off what comes from addresses that they do not trust.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one WebSocket, or the life of the app, which belongs to no request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        baggage = _lines(scope["headers"], BAGGAGE)
        tags = incoming(_lines(scope["headers"], HEADER), baggage)
        if baggage:  # in its place: what is around us reads what the app writes into this very scope
            scope["headers"] = _with_baggage(scope["headers"], outside(baggage))
        with carrying(tags):
            await self._app(scope, receive, send)


def _lines(fields: Fields, name: str) -> list[str]:
    wanted = name.encode()
    return [value.decode("latin-1") for written, value in fields if written.lower() == wanted]


def _with_baggage(fields: Fields, line: str) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in fields if name.lower() != BAGGAGE.encode()]
    return [*kept, (BAGGAGE.encode(), line.encode("latin-1"))] if line else kept
