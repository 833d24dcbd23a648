"""A real edge with an older schema of tables: it says so, and its refusal says what to do; new files put it right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from gopub.traffic import RouteTable, Rule
from gopub.traffic.backends.nginx.client import NginxRouter
from gopub.traffic.conditions import Path as At
from gopub.traffic.protocol import EdgeStatus
from gopub.traffic.shapes import SCHEMA
from tests.contracts.edge_nginx import LocalEdge, route_table


def before(edge: LocalEdge) -> None:
    """What was there before rules had conditions."""
    file = Path(edge.layout.config) / "lua" / "gopub" / "route_table.json"
    schema = json.loads(file.read_text("utf-8"))
    schema["version"] = 1
    schema["types"]["rule"] = schema["types"]["rule by header"]
    file.write_text(json.dumps(schema), "utf-8")


async def told(edge: LocalEdge, table: RouteTable) -> tuple[EdgeStatus, str]:
    """What the driver hears of it, and why it did not take a table."""

    async def connect(_: str) -> LocalEdge:
        return edge

    router = NginxRouter(["e1"], connect, socket=str(edge.socket))
    (ack,) = await router.put(table)
    (status,) = await router.status("hello", "lab", "hello")
    return status, ack.error


async def test_an_older_edge_says_that_it_is_and_takes_the_table_once_its_files_are_new(edge, backends):
    plain = route_table(backends[:1], backends[1:])
    ruled = replace(plain, revision=2, n=2, rules=(Rule("r", At("/shop"), "stable"),))
    before(edge)
    await edge.reload()
    status, error = await told(edge, plain)
    assert (status.tables, status.revision, error) == (1, 1, "")
    status, error = await told(edge, ruled)
    assert (status.tables, status.revision) == (1, 1)
    assert "GP501 rules[0].header is missing" in error
    assert error.endswith("update the edges first (`gopub route install`)")
    edge.write()
    await edge.reload()
    status, error = await told(edge, ruled)
    assert (status.tables, status.revision, error) == (SCHEMA["version"], 2, "")
