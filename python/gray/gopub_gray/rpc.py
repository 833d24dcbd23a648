"""grpc.aio: from the metadata of each call into its context, and from there into the calls to hosts of the house.

    server = grpc.aio.server(interceptors=[server_interceptor()])

    target = "dns:///stock.corp.internal:443"
    channel = grpc.aio.secure_channel(target, tls, interceptors=client_interceptors(target, "*.corp.internal"))

Interceptors are not told where a channel leads, so they are made for its target. A stream has the tags that it began
with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any

import grpc
import grpc.aio

from gopub_gray.hosts import Allow
from gopub_gray.tags import BAGGAGE, HEADER, Tags, adopt, carrying, current, incoming, is_gray, outgoing, outside

_LISTS = ("ipv4", "ipv6")
_BY_NAME = ("dns", "xds")
_OTHERS = ("unix", "unix-abstract", "vsock")


def hosts_of(target: str) -> tuple[str, ...]:
    """The hosts that a channel's target names, with their ports; none where it names a socket of the machine."""
    scheme, _, rest = target.partition(":")
    if scheme.lower() in _OTHERS:
        return ()
    if scheme.lower() not in (*_LISTS, *_BY_NAME):
        return (target,)
    place = rest[2:].partition("/")[2] if rest.startswith("//") else rest
    if "%" in place:  # gRPC decodes it; nobody writes a host so
        return ()
    return tuple(place.split(",")) if scheme.lower() in _LISTS else (place,)


def client_interceptors(target: str, *hosts: str) -> list[grpc.aio.ClientInterceptor]:
    """One for each kind of call, for a channel to this target. See ``Allow`` for the patterns of hosts.

    Tags go along where all hosts of the target are of the house; from other calls they are taken off, whoever put
    them there. Give them last: those of libraries for tracing write the baggage.
    """
    allow = Allow(*hosts)
    inside = bool(hosts_of(target)) and all(host in allow for host in hosts_of(target))
    return [kind(inside=inside) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]


def server_interceptor() -> grpc.aio.ServerInterceptor:
    """Puts the tags of each call into its context.

    Believe them only behind an edge: gopub's edges take x-gray-tag off what comes from addresses that they do not
    trust.
    """
    return _Server()


def _lines(pairs: Iterable[tuple[str, Any]], name: str) -> list[str]:
    found = [value for key, value in pairs if key.lower() == name]
    return [value.decode("latin-1") if isinstance(value, bytes) else value for value in found]


# Clients -------------------------------------------------------------------------------------------------------------


class _Kind:
    def __init__(self, *, inside: bool) -> None:
        self._inside = inside

    def told(self, details: Any) -> grpc.aio.ClientCallDetails:
        """The details of the call with the tags of the context, or without any; all else stays."""
        pairs = list(details.metadata or ())
        came = _lines(pairs, BAGGAGE)
        header, baggage = outgoing(came, current()) if self._inside else ("", outside(came))
        gone = {HEADER, BAGGAGE} if self._inside else {BAGGAGE, *filter(is_gray, (key.lower() for key, _ in pairs))}
        kept = [(key, value) for key, value in pairs if key.lower() not in gone]
        ours = [(key, value) for key, value in ((HEADER, header), (BAGGAGE, baggage)) if value]
        metadata = grpc.aio.Metadata(*kept, *ours)
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _UnaryUnary(_Kind, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self.told(client_call_details), request)


class _UnaryStream(_Kind, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self.told(client_call_details), request)


class _StreamUnary(_Kind, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self.told(client_call_details), request_iterator)


class _StreamStream(_Kind, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self.told(client_call_details), request_iterator)


# Servers -------------------------------------------------------------------------------------------------------------


class _Server(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Each call is a task of its own, and this runs in it; what is no coroutine runs in a thread."""
        pairs = handler_call_details.invocation_metadata or ()
        tags = incoming(_lines(pairs, HEADER), _lines(pairs, BAGGAGE))
        adopt(tags)
        handler = await continuation(handler_call_details)
        return handler and _in_threads(handler, tags)


def _in_threads(handler: Any, tags: Tags) -> Any:
    """The handler; if it is a plain function, one that carries the tags in the threads that call it."""
    kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    plain = getattr(handler, kind)
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        return handler
    wrapped = _items(plain, tags) if handler.response_streaming else _item(plain, tags)
    made = getattr(grpc, f"{kind}_rpc_method_handler")
    return made(wrapped, handler.request_deserializer, handler.response_serializer)


def _item(plain: Callable[[Any, Any], Any], tags: Tags) -> Callable[[Any, Any], Any]:
    def carried(request: Any, context: Any) -> Any:
        with carrying(tags):
            return plain(request, context)

    return carried


def _items(plain: Callable[[Any, Any], Iterable[Any]], tags: Tags) -> Callable[[Any, Any], Iterable[Any]]:
    def carried(request: Any, context: Any) -> Iterable[Any]:
        room = copy_context()  # each item may be asked for by another thread
        room.run(adopt, tags)
        items = room.run(iter, room.run(plain, request, context))
        while (item := room.run(next, items, _END)) is not _END:
            yield item

    return carried


_END = object()
