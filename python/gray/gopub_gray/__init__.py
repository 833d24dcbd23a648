"""Carries the tags of gray traffic through a service: from the request that came in to those that it makes.

A gateway tags users in the header ``x-gray-tag``, and gopub's edges send by it. A service that calls others must pass
the tags on, else its callee serves a tagged user from stable. They travel in a context variable and nowhere else.

    gopub_gray.asgi    GrayMiddleware: from HTTP and WebSockets into the context
    gopub_gray.client  attach, GrayTransport, AsyncGrayTransport: from the context into what httpx sends
    gopub_gray.rpc     server_interceptor, client_interceptors: both, for grpc.aio

This package itself and ``asgi`` need the standard library alone; httpx and grpc are imported by their modules only.
The same rules in Go: go/gray.
"""

from gopub_gray.hosts import Allow
from gopub_gray.tags import (
    MalformedError,
    Tags,
    carrying,
    current,
    incoming,
    outgoing,
    outside,
    parse,
)

__all__ = ["Allow", "MalformedError", "Tags", "carrying", "current", "incoming", "outgoing", "outside", "parse"]
