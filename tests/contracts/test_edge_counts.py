"""A real edge asked for its counters on its control socket: what its page for Prometheus says, a tenth as long."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import replace

from gopub.canon import read_json
from gopub.health.backends.edges import EdgeSource
from gopub.health.counters import window
from gopub.health.samples import CounterSnapshot
from gopub.traffic import Endpoint, Peer, Track
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.backends.nginx.counts import read_counts
from gopub.traffic.protocol import CountingRouter, EdgeCounts
from gopub.wiring.counting import RouterReader
from tests.contracts.edge_nginx import BY_HEADER, CANARY, ME, STABLE, Client, LocalEdge, route_table

BOTH = (STABLE[:12], CANARY[:12])


def router_of(edge: LocalEdge) -> NginxRouter:
    async def connect(_: str) -> LocalEdge:
        return edge

    return NginxRouter(["e1"], connect, socket=str(edge.socket))


async def counts(edge: LocalEdge, *releases: str) -> EdgeCounts:
    return await router_of(edge).count("e1", "hello", "lab", "hello", releases or BOTH)


def page_of(found: EdgeCounts) -> dict[str, float]:
    """The same counts as the page for Prometheus names them."""
    page: dict[str, float] = {}
    for one in found.peers:
        own = f'app="hello",env="lab",release="{one.release}",host="{one.host}"'
        for name, value in one.classes.items():
            page[f'gopub_edge_attempts_total{{{own},class="{name}"}}'] = value
        for family, buckets in {"": one.latency, "warming_": one.warming}.items():
            for le, value in buckets.items():
                bound = "+Inf" if math.isinf(le) else f"{le:g}"
                page[f'gopub_edge_{family}request_seconds_bucket{{{own},le="{bound}"}}'] = value
    return page


async def test_it_says_what_its_page_says(edge, backends):
    await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,)))
    client = edge.client()
    for index in range(30):
        await client.ask(headers=ME if index % 3 else {})
    await backends[1].stop()
    await client.ask(headers=ME)
    page = await edge.metrics()
    found = await counts(edge)
    assert isinstance(router_of(edge), CountingRouter)
    assert found.error == ""
    wanted = ("gopub_edge_attempts_total", "gopub_edge_request_seconds_bucket", "gopub_edge_warming_request_seconds_b")
    assert page_of(found) == {name: value for name, value in page.items() if name.startswith(wanted)}
    assert sum(value for name, value in page.items() if name.startswith(wanted[0])) >= 31


async def test_peers_that_warm_up_are_counted_apart(edge, backends):
    warm = route_table(backends[:1], backends[1:], rules=(BY_HEADER,), warmup=600.0)
    track = warm.canary
    peers = tuple(replace(peer, since=time.time()) for peer in track.peers)
    await edge.put(replace(warm, canary=replace(track, peers=peers)))
    await edge.client().ask(headers=ME)
    await edge.metrics()
    found = {one.host: one for one in (await counts(edge)).peers}
    assert (found["b1"].latency[math.inf], found["b1"].warming[math.inf]) == (0.0, 1.0)
    assert found["a1"].warming == {}


async def test_declared_endpoints_come_with_it(edge, backends):
    declared = (Endpoint("/status/*", 10.0), Endpoint("/", None))
    await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,), endpoints=declared))
    for path in ("/", "/status/500", "/"):
        await edge.client().ask(path, headers=ME)
    page = await edge.metrics()
    [canary] = [one for one in (await counts(edge)).peers if one.host == "b1"]
    own = f'app="hello",env="lab",release="{CANARY[:12]}",host="b1"'
    labels = {"ok": "attempts", "error": "attempts", "fine": "answers", "slow": "answers"}
    kinds = {"attempts": "outcome", "answers": "pace"}
    said = {
        f'gopub_edge_endpoint_{labels[how]}_total{{{own},endpoint="{name}",{kinds[labels[how]]}="{how}"}}': value
        for (name, how), value in canary.endpoints.items()
    }
    assert said == {name: value for name, value in page.items() if f"{own},endpoint=" in name}
    assert (canary.endpoints["/", "ok"], canary.endpoints["/status/*", "error"], len(said)) == (2, 1, 6)


async def test_only_what_is_asked_for_is_said_and_of_nobody_else(edge, backends):
    assert (await counts(edge)).peers == (), "without a table there is nothing to count"
    await edge.put(route_table(backends[:1], backends[1:]))
    assert {one.release for one in (await counts(edge, CANARY[:12])).peers} == {CANARY[:12]}
    other = await router_of(edge).count("e1", "shop", "lab", "hello", BOTH)
    assert other.error == "its counters cannot be read: the upstream belongs to hello/lab"
    status, body = await edge.control("GET", "/v1/counters/hello")
    assert (status, len(json.loads(body)["series"])) == (200, 2)
    assert (await edge.control("POST", "/v1/counters/hello"))[0] == 404
    _, page = await edge.control("GET", f"/v1/counters/hello?releases={'.' * 5000}")
    assert json.loads(page)["series"] == []


async def test_a_restart_is_told_from_another_edge_by_the_age_of_its_counters(edge, backends):
    table = route_table(backends[:1], backends[1:], rules=(BY_HEADER,))
    await edge.put(table)
    source = EdgeSource(RouterReader(router_of(edge), ("e1",), "hello"), patience=60)

    async def look() -> CounterSnapshot:
        found = await source.counters("hello", "lab", BOTH, time.time())
        assert isinstance(found, CounterSnapshot), found
        return found

    await edge.client().ask(headers=ME)
    await edge.metrics()
    before = await look()
    first = await counts(edge)
    await edge.restart()
    client = edge.client()
    for _ in range(7):
        await client.ask(headers=ME)
    await edge.metrics()
    after = await look()
    second = await counts(edge)
    assert first.age is not None
    assert second.age is not None
    assert first.identity != second.identity
    assert after.follows == {second.identity: first.identity}
    seen = window(before, after, canary=CANARY[:12], stable=STABLE[:12], slow_above=None)
    assert seen.canary is not None
    assert seen.canary.attempts == 7


async def test_the_answer_is_small_and_quickly_read(edge, backends):
    """What one look at four edges in front of fifty hosts takes of this process; the figures are printed with -s."""
    table = route_table(backends[:1], backends[1:])
    stable = tuple(Peer(f"a{n}", f"127.0.0.1:{10000 + n}") for n in range(45))
    canary = tuple(Peer(f"b{n}", f"127.0.0.1:{20000 + n}") for n in range(5))
    status, said = await edge.put(replace(table, stable=Track(STABLE, stable), canary=Track(CANARY, canary)))
    assert status == 200, said
    _, body = await edge.control("GET", "/v1/counters/hello")
    source = EdgeSource(RouterReader(_Kept(body), ("e1", "e2", "e3", "e4"), "hello"), patience=60)
    begun, turns = time.process_time(), 20
    for turn in range(turns):
        assert isinstance(await source.counters("hello", "lab", BOTH, float(turn)), CounterSnapshot)
    took = (time.process_time() - begun) / turns
    print(f"\n{len(body)} bytes of an edge; {1000 * took:.1f} ms of CPU for four edges")
    page = await Client(edge.metrics_port, "edge", keep=False).ask("/metrics")
    assert 10 * len(body) < len(page.body)


class _Kept:
    """Edges that all answer the same, read as the real ones are."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def count(self, edge, app, env, upstream, releases):
        await asyncio.sleep(0)
        said = read_json(self.body, limit=4 * 1024 * 1024)
        said["edge"] = edge
        return read_counts(edge, said, app, env, releases, time.time())
