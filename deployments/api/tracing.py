"""Each request is handled at its place in a trace: the one that its ``traceparent`` names, else a new one.

Whoever asks may name any: it decides nothing, and what is started for nobody known is started in none.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from gopub.tracing.context import HEADER, TraceContext, begin, parse, within
from gopub.tracing.spans import Kind, span

_NAMED = re.compile(r"/v1/(?:deploy|hold|resume|hooks/[a-z]{1,20})|/healthz")


class Traced:
    """An ASGI application whose requests are each handled within a trace."""

    def __init__(self, app: ASGIApp) -> None:
        """Around that application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with within(place_of(scope)), span(name_of(scope), Kind.SERVER):
            await self._app(scope, receive, send)


def name_of(scope: Scope) -> str:
    """What is asked for: few names, whatever strangers ask for."""
    path = str(scope["path"])
    return f"{scope['method']} {path if _NAMED.fullmatch(path) else '/…'}"


def place_of(scope: Scope) -> TraceContext:
    """The place that the request names, where it names one and only one."""
    said = [value for name, value in scope["headers"] if name == HEADER.encode()]
    place = parse(said[0].decode("latin-1").strip()) if len(said) == 1 else None
    return place or begin()
