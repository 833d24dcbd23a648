"""Answers that nginx makes itself in a routed location, on a real edge: what is counted is what the peer said."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator

import pytest

from tests.contracts.edge_nginx import STABLE, Backend, LocalEdge, route_table, running_edge
from tests.contracts.test_edge_redirected import attempts
from tests.support.ports import free_port

MINE = """proxy_cache_path {root}/kept keys_zone=kept:1m;
    server {{ listen 127.0.0.1:{port}; set $gopub_upstream hello;
        location / {{ include {root}/gopub/gopub-location.conf; error_page 502 =200 /sorry;
            if ($uri = /sorry) {{ return 200 "sorry"; }} }}
        location /kept {{ include {root}/gopub/gopub-location.conf; add_header x-kept $upstream_cache_status;
            proxy_cache kept; proxy_cache_valid 200 1s; proxy_cache_use_stale error; }} }}"""


class Tagged(Backend):
    """One whose answers have a tag."""

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 2\r\n\r\nhi')
        await writer.drain()


@pytest.fixture
async def edge(tmp_path: pathlib.Path) -> AsyncIterator[LocalEdge]:
    """One whose second port has a page of its own, and keeps answers."""
    port = free_port()
    async with running_edge(tmp_path, extra=MINE.format(root=tmp_path, port=port)) as started:
        started.port = port
        yield started


async def test_a_page_or_a_kept_answer_in_place_of_a_dead_peers_is_no_success(edge):
    backend = Tagged("a1")
    await backend.start()
    await edge.put(route_table([backend]))
    client = edge.client()
    assert (await client.ask("/kept")).headers["x-kept"] == "MISS"
    assert (await client.ask("/")).body == b"hi"
    assert attempts(await edge.metrics(), STABLE, "a1") == {"2xx": 2}, "control: the peer answered both"
    await backend.stop()
    page = await client.ask("/")
    assert (page.status, page.body) == (200, b"sorry")
    async with asyncio.timeout(300):
        while (kept := await client.ask("/kept")).headers["x-kept"] == "HIT":  # noqa: ASYNC110 - nginx's clock
            await asyncio.sleep(0.05)
    assert (kept.status, kept.headers["x-kept"]) == (200, "STALE")
    seen = attempts(await edge.metrics(), STABLE, "a1")
    assert seen.pop("2xx") == 2
    assert seen["connect"] >= 2, "a kept connection may have been tried before"
    assert set(seen) <= {"connect", "5xx"}


async def test_what_the_client_has_already_is_an_answer_of_the_peer_all_the_same(edge):
    backend = Tagged("a1")
    await backend.start()
    try:
        await edge.put(route_table([backend]))
        answer = await edge.client().ask("/kept", headers={"If-None-Match": '"1"'})
        assert (answer.status, answer.headers["x-kept"]) == (304, "MISS")
        assert attempts(await edge.metrics(), STABLE, "a1") == {"2xx": 1}
    finally:
        await backend.stop()
