"""WebSockets through a real edge: they are opened, routed, held and counted; nothing else is switched to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.contracts.edge_nginx import BY_HEADER, ME, Backend, LocalEdge, read_head, route_table

WEBSOCKET = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@asynccontextmanager
async def asking(
    edge: LocalEdge, headers: dict[str, str]
) -> AsyncIterator[tuple[str, dict[str, str], asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that asked for ``/`` with these headers, and the answer's first line and headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET / HTTP/1.1\r\nHost: hello.lab\r\n{lines}\r\n".encode())
    try:
        yield (*await read_head(reader), reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(("more", "host"), [({}, "a1"), (ME, "b1")])
async def test_a_websocket_is_opened_on_the_track_of_its_request(edge, backends, more, host):
    await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,)))
    async with asking(edge, WEBSOCKET | more) as (first, headers, reader, writer):
        assert first == "HTTP/1.1 101 Switching Protocols"
        assert (headers["upgrade"], headers["x-gopub-peer"]) == ("websocket", host)
        for word in (b"one", b"two"):
            writer.write(word)
            expected = (f"{host} hears ".encode() if word == b"one" else b"") + word
            assert await asyncio.wait_for(reader.readexactly(len(expected)), 60) == expected
        assert (await edge.inflight())[host] == 1


async def test_an_open_websocket_is_neither_an_error_nor_slow(edge, backends):
    await edge.put(route_table(backends[:1]))
    async with asking(edge, WEBSOCKET):
        await asyncio.sleep(1.2)
    metrics = await edge.metrics()
    labels = 'app="hello",env="lab",release="aaaaaaaaaaaa",host="a1"'
    counts = {name: metrics[f'gopub_edge_attempts_total{{{labels},class="{name}"}}'] for name in ("2xx", "5xx")}
    assert counts == {"2xx": 1, "5xx": 0}
    assert metrics[f"gopub_edge_request_seconds_count{{{labels}}}"] == 1
    assert metrics[f'gopub_edge_request_seconds_bucket{{{labels},le="1"}}'] == 1
    assert (await edge.inflight())["a1"] == 0


async def test_a_failed_handshake_is_an_answer_like_any_other(edge, backends, monkeypatch):
    async def refuse(self: Backend, protocol, reader, writer):
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setattr(Backend, "_switch", refuse)
    await edge.put(route_table(backends[:1]))
    async with asking(edge, WEBSOCKET) as (first, _, _, _):
        assert first.split()[1] == "500"
    metrics = await edge.metrics()
    assert [value for name, value in metrics.items() if 'class="5xx"' in name] == [1]


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "websocket, h2c"])
async def test_no_other_protocol_is_switched_to(edge, backends, protocol):
    """The control of the first test: the backend would switch to whatever it is asked for."""
    await edge.put(route_table(backends[:1]))
    more = {"Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"}
    async with asking(edge, more | {"Upgrade": protocol}) as (first, _, _, _):
        assert first.split()[1] == "200"
    [(_, _, seen)] = backends[0].seen
    assert "upgrade" not in seen
    assert "connection" not in seen


async def test_connections_are_kept_beside_websockets(edge, backends):
    await edge.put(route_table(backends[:1]))
    async with asking(edge, WEBSOCKET):
        for _ in range(3):
            await edge.client().ask_many([{}] * 50)
    assert len(backends[0].seen) == 151
    assert backends[0].connections <= 1 + 3
