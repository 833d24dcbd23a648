"""A request that ``error_page`` sends to a routed location again, on a real edge: what was decided first stays."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
from collections.abc import AsyncIterator

import pytest

from gopub.traffic import Rule
from gopub.traffic.conditions import Path, Query
from tests.contracts.edge_nginx import CANARY, STABLE, LocalEdge, lives, route_table, running_edge
from tests.support.ports import free_port

MINE = """server { listen 127.0.0.1:%d; location / { set $gopub_upstream hello;
    proxy_intercept_errors on; error_page 502 503 = /page; include %s/gopub/gopub-location.conf; } }"""
RULES = (Rule("r-path", Path("/status/503")), Rule("r-query", Query("lane", "beta")))


def attempts(seen: dict[str, float], release: str, host: str) -> dict[str, float]:
    """Attempts of one peer by class, without those that there are none of."""
    begin = f'gopub_edge_attempts_total{{app="hello",env="lab",release="{release[:12]}",host="{host}",class="'
    return {name.removeprefix(begin)[:-2]: value for name, value in seen.items() if name.startswith(begin) and value}


@pytest.fixture
async def edge(tmp_path: pathlib.Path) -> AsyncIterator[LocalEdge]:
    """One whose second port serves a page of the service's own where the service says 502 or 503."""
    port = free_port()
    async with running_edge(tmp_path, extra=MINE % (port, tmp_path)) as started:
        started.port = port
        yield started


async def test_a_rule_by_path_or_query_is_not_asked_again_of_the_page(edge, backends):
    await edge.put(route_table(backends[:1], backends[1:], rules=RULES))
    client = edge.client()
    first = [await client.ask("/status/503"), await client.ask("/status/502?lane=beta")]
    assert [(one.status, one.peer, one.rule) for one in first] == [(200, "b1", "r-path"), (200, "b1", "r-query")]
    assert [path for _, path, _ in backends[1].seen] == ["/status/503", "/page", "/status/502?lane=beta", "/page"]
    page = await client.ask("/page")
    assert (page.peer, page.rule) == ("a1", "default"), "control: no rule holds of the page alone"
    seen = await edge.metrics()
    assert attempts(seen, CANARY, "b1") == {"5xx": 2, "2xx": 2}, "what came before the page is counted, too"
    assert attempts(seen, STABLE, "a1") == {"2xx": 1}


async def test_a_connection_that_serves_others_afterwards_keeps_nothing_of_it(edge, backends):
    await edge.put(route_table(backends[:1], backends[1:], rules=RULES))
    client = edge.client()
    peers = [(await client.ask(path)).peer for path in ("/status/503", "/", "/page", "/status/502?lane=beta", "/")]
    assert peers == ["b1", "a1", "a1", "b1", "a1"]


async def test_what_a_worker_counted_last_is_told_when_it_ends(edge, backends):
    await edge.put(route_table(backends[:1]))
    client = edge.client()
    answers = [await client.ask("/") for _ in range(20)]
    assert {one.status for one in answers} == {200}
    workers = edge.workers()
    assert edge.process is not None
    os.kill(edge.process.pid, signal.SIGHUP)
    await client.close()
    async with asyncio.timeout(300):
        while any(map(lives, workers)):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)
    assert attempts(await edge.metrics(), STABLE, "a1") == {"2xx": 20}
