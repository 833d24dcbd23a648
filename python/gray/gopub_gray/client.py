"""httpx: from the context into the requests that a client sends to hosts of the house, and off all others.

    client = attach(httpx.AsyncClient(), "*.corp.internal", "10.0.0.0/8")

Redirects are requests of their own: one that leads out of the house takes no tags along.
"""

from __future__ import annotations

from typing import TypeVar

import httpx

from gopub_gray.hosts import Allow
from gopub_gray.tags import BAGGAGE, HEADER, current, is_gray, outgoing, outside

_Client = TypeVar("_Client", bound=httpx.Client | httpx.AsyncClient)


def attach(client: _Client, *hosts: str) -> _Client:
    """Let the client pass tags on to these hosts (see ``Allow``). Its other hooks and its proxies stay as they are."""
    allow = Allow(*hosts)

    def tell(request: httpx.Request) -> None:
        _tell(request, allow)

    async def tell_too(request: httpx.Request) -> None:
        _tell(request, allow)

    hook = tell_too if isinstance(client, httpx.AsyncClient) else tell
    client.event_hooks = {**client.event_hooks, "request": [*client.event_hooks["request"], hook]}
    return client


class GrayTransport(httpx.BaseTransport):
    """The same as a transport, which has the last word after all hooks.

    A client with a transport heeds no proxy of the environment.
    """

    def __init__(self, base: httpx.BaseTransport, *hosts: str) -> None:
        self._base, self._allow = base, Allow(*hosts)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it with the tags of the context, or without any."""
        _tell(request, self._allow)
        return self._base.handle_request(request)

    def close(self) -> None:
        """Close the transport below."""
        self._base.close()


class AsyncGrayTransport(httpx.AsyncBaseTransport):
    """The same for an AsyncClient."""

    def __init__(self, base: httpx.AsyncBaseTransport, *hosts: str) -> None:
        self._base, self._allow = base, Allow(*hosts)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it with the tags of the context, or without any."""
        _tell(request, self._allow)
        return await self._base.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._base.aclose()


def _tell(request: httpx.Request, allow: Allow) -> None:
    headers, lines = request.headers, request.headers.get_list(BAGGAGE)
    if request.url.raw_host.decode("ascii") in allow:
        ours = dict(zip((HEADER, BAGGAGE), outgoing(lines, current()), strict=True))
    else:
        ours = {BAGGAGE: outside(lines)} | {name: "" for name in headers if is_gray(name)}
    for name, value in ours.items():
        if value:
            headers[name] = value
        elif name in headers:
            del headers[name]
