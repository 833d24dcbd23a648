"""Lua of the user's own beside the include: a log phase of a server takes none of our counts away, in silence."""

from __future__ import annotations

import pathlib

from gopub.process import run
from tests.contracts.edge_nginx import BY_HEADER, CANARY, ME, STABLE, LocalEdge, route_table, running_edge
from tests.contracts.test_edge_redirected import attempts
from tests.support.ports import free_port

SERVER = """server { listen 127.0.0.1:%d; log_by_lua_block { ngx.shared.gopub_tables:incr("mine", 1, 0) }
    location /mine { content_by_lua_block { ngx.print(ngx.shared.gopub_tables:get("mine")) } }
    location / { set $gopub_upstream hello; %s include %s/gopub/gopub-location.conf; } }"""


async def test_a_server_with_a_log_phase_of_its_own_counts_what_it_routes(tmp_path: pathlib.Path, backends):
    port = free_port()
    async with running_edge(tmp_path, extra=SERVER % (port, "", tmp_path), workers=1) as edge:
        await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,)))
        edge.port = port
        client = edge.client()
        assert [(await client.ask(headers=one)).peer for one in ({}, ME, ME)] == ["a1", "b1", "b1"]
        assert [(await client.ask("/mine")).status for _ in range(2)] == [200, 200]
        seen = await edge.metrics()
        assert attempts(seen, STABLE, "a1") == {"2xx": 1}
        assert attempts(seen, CANARY, "b1") == {"2xx": 2}
        assert (await client.ask("/mine")).body == b"2", "control: it runs where nothing is routed"


async def test_a_log_phase_in_a_routed_location_is_refused_by_nginx(tmp_path: pathlib.Path):
    edge = LocalEdge.at(tmp_path)
    for mine, fine in (("", True), ("log_by_lua_block { local x = 1 }", False)):
        edge.write(extra=SERVER % (free_port(), mine, tmp_path))
        done = await run(["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], check=False)
        assert (done.code == 0) == fine, done.err
        assert fine or b"duplicate" in done.err
