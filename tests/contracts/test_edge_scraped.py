"""Two real edges and a real Prometheus that scrapes one of them: who is missing is told, and no verdict rests on it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gopub.health.backends.checked import CheckedSource
from gopub.health.backends.edges import EdgeSource
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.samples import CounterSnapshot
from gopub.traffic.backends.nginx import NginxRouter
from gopub.wiring.counting import RouterReader
from tests.contracts.edge_nginx import BY_HEADER, CANARY, ME, STABLE, LocalEdge, route_table, running_edge
from tests.contracts.prometheus_server import prometheus

CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: edges
    file_sd_configs: [{files: ["FILE"], refresh_interval: 1s}]
"""


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    return tmp_path / "targets.json"


@pytest.fixture
def server(tmp_path: Path, targets: Path) -> Iterator[str]:
    (tmp_path / "p").mkdir()
    with prometheus(tmp_path / "p", config=CONFIG.replace("FILE", str(targets))) as url:
        yield url


def scrape(targets: Path, *edges: LocalEdge) -> None:
    groups = [{"targets": [f"127.0.0.1:{edge.metrics_port}" for edge in edges]}]
    beside = targets.with_suffix(".new")
    beside.write_text(json.dumps(groups), encoding="utf-8")
    beside.rename(targets)


def router_of(edges: dict[str, LocalEdge]) -> NginxRouter:
    async def connect(name: str) -> _OnItsSocket:
        return _OnItsSocket(edges[name])

    return NginxRouter(tuple(edges), connect, socket="SOCKET", limit=60)


class _OnItsSocket:
    def __init__(self, edge: LocalEdge) -> None:
        self.edge = edge

    async def exec(self, argv, stdin=b""):
        return await self.edge.exec([str(self.edge.socket) if part == "SOCKET" else part for part in argv], stdin)


async def test_an_edge_that_is_not_scraped_is_told_until_it_is(tmp_path, server, targets, backends):
    async with AsyncExitStack() as stack:
        edges = {name: await stack.enter_async_context(running_edge(tmp_path / name)) for name in ("e1", "e2")}
        for edge in edges.values():
            await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,)))
        scrape(targets, edges["e1"])
        direct = EdgeSource(RouterReader(router_of(edges), tuple(edges), "hello"), patience=60)
        source = CheckedSource(direct, PrometheusSource(server), directly=True, every=1.0, late=2.0)
        clients = [edge.client() for edge in edges.values()]
        asked = 0

        async def until(missing: bool) -> CounterSnapshot:
            nonlocal asked
            async with asyncio.timeout(240):
                while True:
                    for client in clients:
                        assert (await client.ask(headers=ME)).status == 200
                    asked += 1
                    await asyncio.sleep(0.3)
                    found = await source.counters("hello", "lab", (STABLE[:12], CANARY[:12]), time.time())
                    assert isinstance(found, CounterSnapshot), found
                    if any("of e2, which counted" in note and "nothing" in note for note in found.notes) == missing:
                        return found

        told = await until(missing=True)
        counted = {told.names[one.edge]: one.classes["2xx"] for one in told.series if one.release == CANARY[:12]}
        assert counted["e2"] > 0, "what it counts is judged by all the same"
        scrape(targets, *edges.values())
        await until(missing=False)
        await source.aclose()
