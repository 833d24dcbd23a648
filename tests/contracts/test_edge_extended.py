"""The shipped location in a user's own: what may stand beside it, what breaks nginx, and how large a body may be."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gopub.traffic import Peer, RouteTable, Track
from tests.contracts.edge_nginx import ME, STABLE, LocalEdge, route_table, running_backends, running_edge
from tests.contracts.edge_witness import Witness, chunked, send, witness
from tests.contracts.test_edge_websocket import WEBSOCKET
from tests.support.ports import free_port

MINE = """
location / {
    set $gopub_upstream hello;
    include LOCATION;
    proxy_set_header X-Mine 1;
    proxy_read_timeout 7s;
    proxy_send_timeout 7s;
    client_max_body_size 64k;
    add_header X-Served-By mine always;
    proxy_intercept_errors on;
    error_page 502 504 = @sorry;
    error_page 413 = @large;
    set $gopub_connect_timeout 0.4;
    set $gopub_host "inside.example";
    proxy_hide_header X-Secret;
}
location @sorry { return 503 "sorry\\n"; }
location @large { return 413 "too much for us\\n"; }
"""


def with_mine(root: Path, port: int, text: str = MINE) -> str:
    """A server of the user's own."""
    location = f"{root}/gopub/gopub-location.conf"
    return f"server {{ listen 127.0.0.1:{port}; {text.replace('LOCATION', location)} }}"


@asynccontextmanager
async def extended(root: Path, text: str = MINE, address: str = "") -> AsyncIterator[tuple[LocalEdge, Witness, int]]:
    """The edge, the service and the port of the user's own server; ``address`` stands for the service's."""
    port = free_port()
    async with witness() as service, running_edge(root, extra=with_mine(root, port, text), workers=1) as edge:
        stable = Track(STABLE, (Peer("a1", address or service.peer.address),))
        table = RouteTable(app="hello", env="lab", upstream="hello", stable=stable)
        assert (await edge.put(table))[0] == 200
        yield edge, service, port


async def test_a_line_of_ones_own_takes_nothing_away(tmp_path):
    async with extended(tmp_path) as (_, service, port):
        answer = await send(port, "X-Forwarded-Proto: https", *[f"{n}: {v}" for n, v in ME.items()])
        assert (answer.status, answer.headers["x-gopub-peer"], answer.headers["x-served-by"]) == (200, "a1", "mine")
        seen = {name: service.values(name) for name in ("x-mine", "host", "x-forwarded-proto", "x-forwarded-host")}
        assert seen == {"x-mine": ["1"], "host": ["inside.example"], "x-forwarded-proto": ["http"],
                        "x-forwarded-host": ["hello.lab"]}  # fmt: skip
        assert service.values("x-forwarded-for") == ["127.0.0.1"]
        await send(port, "Connection: Upgrade", *[f"{n}: {v}" for n, v in WEBSOCKET.items() if n != "Connection"])
        assert service.values("upgrade") == ["websocket"]


async def test_a_user_may_name_the_protocol_himself_and_it_is_not_doubled(tmp_path):
    """Where a balancer ends TLS and says nothing of it."""
    text = MINE.replace("X-Mine 1;", 'X-Forwarded-Proto https; proxy_set_header X-Forwarded-For "";')
    async with extended(tmp_path, text) as (_, service, port):
        assert (await send(port)).status == 200
        assert service.values("x-forwarded-proto") == ["https"]
        assert service.values("x-forwarded-for") == []


async def test_ones_own_error_page_and_patience_with_a_peer_that_does_not_answer(tmp_path):
    """The service lets nobody in: only the time to connect ends the attempt."""
    quiet = socket.socket()
    with quiet, socket.socket() as first, socket.socket() as second:
        quiet.bind(("127.0.0.1", 0))
        quiet.listen(0)
        for one in (first, second):  # the queue is full: nobody else is let in, and nobody is refused
            one.setblocking(False)
            one.connect_ex(quiet.getsockname())
        async with extended(tmp_path, address=f"127.0.0.1:{quiet.getsockname()[1]}") as (edge, _, port):
            async with asyncio.timeout(40):  # nginx of its own accord waits for a minute
                mine = await send(port)
            assert (mine.status, mine.body) == (503, b"sorry\n")
            metrics = await edge.metrics()
    assert sum(value for name, value in metrics.items() if 'host="a1"' in name and 'class="connect"' in name) == 1


@pytest.mark.parametrize(("size", "status"), [(65536, 200), (65537, 413)])
async def test_a_body_over_the_limit_is_a_413_that_is_told_and_one_up_to_it_arrives(tmp_path, size, status):
    plain = MINE.replace("error_page 413 = @large;", "")
    async with extended(tmp_path, plain) as (edge, service, port):
        body = b"x" * size
        known = await send(port, f"Content-Length: {size}", method="POST", body=body)
        streamed = await send(port, "Transfer-Encoding: chunked", method="POST", body=chunked(body))
        assert (known.status, streamed.status) == (status, status)
        assert service.bodies == ([size, size] if status == 200 else [])
        metrics = await edge.metrics()
        assert metrics['gopub_edge_unrouted_total{reason="too-large"}'] == (0 if status == 200 else 2)
        if status == 413:
            assert {answer.headers["x-gopub-rule"] for answer in (known, streamed)} == {"none"}
            assert "client intended to send too large body" in edge.log()


async def test_ones_own_page_for_a_body_that_is_too_large(tmp_path):
    async with extended(tmp_path) as (_, service, port):
        for line, body in (
            ("Content-Length: 65537", b"x" * 65537),
            ("Transfer-Encoding: chunked", chunked(b"x" * 65537)),
        ):
            answer = await send(port, line, method="POST", body=body)
            assert (answer.status, answer.body) == (413, b"too much for us\n")
        assert service.bodies == []


async def test_a_413_of_the_service_is_its_own_word(tmp_path):
    """The control: it is an answer of a peer, and no body that the edge refused."""
    async with running_backends("a1") as backends, running_edge(tmp_path) as edge:
        assert (await edge.put(route_table(backends)))[0] == 200
        answer = await edge.client().ask("/status/413")
        assert (answer.status, answer.rule) == (413, "default")
        assert (await edge.metrics())['gopub_edge_unrouted_total{reason="too-large"}'] == 0


async def test_the_whole_edge_takes_the_megabyte_that_its_file_says(tmp_path):
    async with witness() as service, running_edge(tmp_path) as edge:
        stable = Track(STABLE, (service.peer,))
        assert (await edge.put(RouteTable(app="hello", env="lab", upstream="hello", stable=stable)))[0] == 200
        for size, status in ((1 << 20, 200), ((1 << 20) + 1, 413)):
            body = b"x" * size
            assert (await send(edge.port, f"Content-Length: {size}", method="POST", body=body)).status == status
