"""One edge in two jobs of a real Prometheus: it is counted once, and who is missing or a stranger is known."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gopub.health.backends.prometheus import PrometheusSource, _counters, _raw
from gopub.health.backends.targets import Targets
from gopub.health.config import JudgeConfig
from gopub.health.counters import window
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, ProcessHealth
from gopub.traffic.backends.nginx import NginxRouter
from tests.contracts.edge_nginx import (
    BY_HEADER,
    CANARY,
    ME,
    STABLE,
    Backend,
    LocalEdge,
    route_table,
    running_backends,
)
from tests.contracts.prometheus_server import prometheus
from tests.support.ports import free_port

CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: edges
    static_configs: [{targets: ["127.0.0.1:PORT"], labels: {edge: edge-1}}]
  - job_name: more
    static_configs: [{targets: ["localhost:PORT"]}]
"""


@dataclass
class World:
    """A real edge with two backends, scraped as two targets."""

    edge: LocalEdge
    backends: list[Backend]
    source: PrometheusSource

    async def counters(self) -> CounterSnapshot:
        found = await self.source.counters("hello", "lab", (STABLE[:12], CANARY[:12]), time.time())
        assert isinstance(found, CounterSnapshot), found
        return found

    async def scraped(self, canary: int) -> CounterSnapshot:
        """Once both targets show so many requests of the canary: a sum is exact."""
        async with asyncio.timeout(300):
            while True:
                text = f'sum by (job) (gopub_edge_attempts_total{{release="{CANARY[:12]}",class="2xx"}})'
                rows = await asyncio.to_thread(self.source._query, text, time.time())
                if [float(row["value"][1]) for row in rows] == [canary, canary]:
                    return await self.counters()
                await asyncio.sleep(0.3)


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("p"), config=CONFIG.replace("PORT", str(ports[1]))) as url:
        yield url


@pytest.fixture
async def world(tmp_path: Path, server: str, ports: tuple[int, int]) -> AsyncIterator[World]:
    async with running_backends("a1", "b1") as backends:
        edge = LocalEdge(tmp_path, *ports, free_port())
        edge.write()
        await edge.start()
        await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,)))
        source = PrometheusSource(server)
        yield World(edge, backends, source)
        source.close()
        await edge.stop()


async def identities(edge: LocalEdge) -> dict[str, str]:
    """What the driver hears on the control socket."""

    async def connect(_: str) -> LocalEdge:
        return edge

    [status] = await NginxRouter(["e1"], connect, socket=str(edge.socket)).status("hello", "lab", "hello")
    assert not status.error
    return {"e1": status.identity}


async def ask(edge: LocalEdge, count: int) -> None:
    client = edge.client()
    for _ in range(count):
        assert (await client.ask(headers=ME)).status == 200
    await client.close()


async def test_an_edge_in_two_jobs_is_counted_once_and_known_by_the_driver(world):
    who = await identities(world.edge)
    observer = Observer(world.source, None, JudgeConfig("hello", "lab", "r-1", CANARY[:12], STABLE[:12]))
    await world.scraped(0)
    await observer.start(time.time())
    await ask(world.edge, 20)
    found = await world.scraped(20)
    assert set(found.edges) == set(who.values())
    assert sum(series.classes["2xx"] for series in found.series) == 20
    port = world.edge.metrics_port
    assert f"127.0.0.1:{port} and localhost:{port} are one edge: it is counted once" in found.notes

    async def look(edges: Mapping[str, str]) -> Observation:
        return await observer.look(time.time(), (ProcessHealth("b1"),), 0, edges=edges)

    missing = await look({**who, "e2": "0" * 16})
    assert missing.no_data == "no fresh counts of e2: is each edge scraped, with its label edge_id? seen: e1"
    other = await look({"e1": "0" * 16})
    assert "no fresh counts of e1" in (other.no_data or ""), "an edge of the same name is no proof"
    seen = await look(who)
    assert (seen.no_data, seen.step_totals.canary_requests) == (None, 20)

    control = _raw(await world.source._ask(_counters("hello", "lab", (CANARY[:12],)), time.time(), []), Targets())
    assert sum(series.classes["2xx"] for series in control) == 40, "by its names alone it would be two"


async def test_a_restarted_edge_is_another_whose_requests_all_count(world):
    first = await identities(world.edge)
    before = await world.scraped(0)
    world.edge.process.send_signal(signal.SIGHUP)
    await asyncio.sleep(0.5)
    assert await identities(world.edge) == first, "a reload keeps the counters, so it keeps the identity"
    await world.edge.restart()
    second = await identities(world.edge)
    assert second != first
    await ask(world.edge, 7)
    after = await world.scraped(7)
    assert after.follows[second["e1"]] == first["e1"]
    seen = window(before, after, canary=CANARY[:12], stable=STABLE[:12], slow_above=None)
    assert seen.canary.attempts == 7
