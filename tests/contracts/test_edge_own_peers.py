"""Peers of the user's own beside ours in one request: what a canary failed is counted, whoever answered in the end."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.contracts.edge_nginx import BY_HEADER, CANARY, ME, STABLE, Backend, LocalEdge, route_table, running_edge
from tests.contracts.test_edge_redirected import attempts
from tests.support.ports import free_port

OWN = """server { listen 127.0.0.1:%(port)d; proxy_intercept_errors on; set $gopub_upstream hello;
    location / { error_page 502 503 = @sorry; include %(root)s/gopub/gopub-location.conf; }
    location @sorry { rewrite ^ /sorry break; proxy_pass http://127.0.0.1:%(own)d; }
    location /first { error_page 503 = @ours; rewrite ^ /status/503 break; proxy_pass http://127.0.0.1:%(own)d; }
    location @ours { rewrite ^ /fine break; include %(root)s/gopub/gopub-location.conf; } }"""


@pytest.fixture
async def own() -> AsyncIterator[Backend]:
    started = Backend("own")
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def edge(tmp_path: pathlib.Path, own) -> AsyncIterator[LocalEdge]:
    port = free_port()
    async with running_edge(tmp_path, extra=OWN % {"port": port, "root": tmp_path, "own": own.port}) as started:
        started.port = port
        yield started


async def test_what_a_page_from_another_peer_covers_is_counted_as_it_was(edge, backends, own):
    table = route_table(backends[:1], backends[1:], rules=(BY_HEADER,), fallback=False)
    await edge.put(table)
    client = edge.client()
    assert (await client.ask("/status/503", headers=ME)).body == b'{"host": "own"}'
    assert (await client.ask("/status/503")).body == b'{"host": "own"}'
    await backends[1].stop()
    assert (await client.ask("/", headers=ME)).body == b'{"host": "own"}'
    await edge.put(replace(table, revision=2, n=2, fallback=True))
    assert (await client.ask("/status/503", headers=ME)).body == b'{"host": "own"}', "to stable, and then to the page"
    seen = await edge.metrics()
    assert attempts(seen, CANARY, "b1") == {"5xx": 1, "connect": 2}
    assert attempts(seen, STABLE, "a1") == {"5xx": 2}
    assert [path for _, path, _ in own.seen] == ["/sorry"] * 4


async def test_what_came_before_at_another_peer_is_not_ours(edge, backends):
    await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,)))
    client = edge.client()
    answers = [await client.ask("/first", headers=one) for one in ({}, ME)]
    assert [one.peer for one in answers] == ["a1", "b1"]
    seen = await edge.metrics()
    assert (attempts(seen, STABLE, "a1"), attempts(seen, CANARY, "b1")) == ({"2xx": 1}, {"2xx": 1})
