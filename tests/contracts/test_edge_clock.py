"""An edge whose clock is set back while a peer rests: what was to last ten seconds must not last for an hour."""

from __future__ import annotations

import pathlib

from tests.contracts.edge_nginx import route_table, running_edge
from tests.support.ports import free_port

CLOCK = """server { listen 127.0.0.1:%d; location / { content_by_lua_block {
    local now = ngx.now
    ngx.now = function() return now() - 3600 end
    ngx.print("set")
} } }"""


async def test_a_peer_that_rests_when_the_clock_is_set_back_comes_in_again(tmp_path: pathlib.Path, backends):
    port = free_port()
    async with running_edge(tmp_path, extra=CLOCK % port, workers=1) as edge:
        assert (await edge.put(route_table(backends)))[0] == 200
        client = edge.client()
        await backends[1].stop()
        assert {(await client.ask()).peer for _ in range(4)} == {"a1"}
        await backends[1].start()
        assert {(await client.ask()).peer for _ in range(4)} == {"a1"}, "control: it rests"
        data, edge.port = edge.port, port
        assert (await edge.client(keep=False).ask()).status == 200
        edge.port = data
        assert {(await client.ask()).peer for _ in range(4)} == {"a1", "b1"}
