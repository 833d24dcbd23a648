"""A disk that stands still for longer than a put may hold its lock: the older table must not come after the newer."""

from __future__ import annotations

import asyncio
import json
import pathlib
from dataclasses import replace

import pytest

from gopub.traffic import encode
from tests.contracts.edge_nginx import route_table, running_edge
from tests.support.ports import free_port

STUCK = """server { listen 127.0.0.1:%d; location / { content_by_lua_block {
    local disk, store = require "gopub.disk", ngx.shared.gopub_tables
    local place, real = ngx.var.arg_place, disk.replace
    local function stand(body)
      if body:find('"revision":11,', 1, true) then
        store:set("stuck", true)
        while not store:get("newer") do ngx.sleep(0.005) end
      end
      return true
    end
    disk.replace = function(directory, name, body, more, may)
      local fine, problem
      if place == "before" then
        fine, problem = real(directory, name, body, more, function() return stand(body) and (not may or may()) end)
      else
        fine, problem = real(directory, name, body, more, may)
        stand(body)
      end
      return fine, problem
    end
    ngx.print("set")
} }
location /expire { content_by_lua_block { ngx.shared.gopub_tables:delete("lock") ngx.print(1) } }
location /stuck { content_by_lua_block { ngx.print(tostring(ngx.shared.gopub_tables:get("stuck"))) } }
location /on { content_by_lua_block { ngx.shared.gopub_tables:set("newer", true) ngx.print(1) } } }"""


@pytest.mark.parametrize("place", ["before", "after"])
async def test_what_a_stuck_disk_held_up_does_not_come_after_what_was_put_meanwhile(
    tmp_path: pathlib.Path, backends, place
):
    port = free_port()
    async with running_edge(tmp_path, extra=STUCK % port, workers=1) as edge:
        first = route_table(backends[:1], revision=10, n=10)
        older = replace(route_table(backends[1:]), revision=11, n=11)
        newer = replace(first, revision=12, n=12)
        assert (await edge.put(first))[0] == 200
        data, edge.port = edge.port, port
        client = edge.client()
        await client.ask(f"/?place={place}")
        held = asyncio.create_task(edge.put(older))
        async with asyncio.timeout(60):
            while b"true" not in (await client.ask("/stuck")).body:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        await client.ask("/expire")  # as after ten seconds
        assert (await edge.put(newer))[0] == 200
        await client.ask("/on")
        status, answer = await held
        assert (status, answer["code"]) == (500, "GP503"), answer
        edge.port = data
        assert json.loads((await edge.control("GET", "/v1/tables/hello"))[1])["revision"] == 12
        assert (edge.state / "hello.json").read_bytes() == encode(newer)
        assert {(await edge.client(keep=False).ask()).peer for _ in range(3)} == {"a1"}
        last = replace(newer, revision=13, n=13)
        assert (await edge.put(last))[0] == 200, "control: nothing holds the lock"
