"""What the edge shows to Prometheus; promtool is the judge of the format."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from gopub.process import run
from gopub.traffic import Peer, RouteTable, Track
from tests.contracts.edge_nginx import (
    BY_HEADER,
    CANARY,
    ME,
    STABLE,
    Backend,
    Client,
    route_table,
)
from tests.support.changing import changed

BOUNDS = [*map(str, (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75)), "1", "1.5"]
BOUNDS += ["2.5", "5", "10", "+Inf"]
SHOWN = [*map(str, (0.01, 0.025, 0.05, 0.1, 0.25, 0.5)), "1", "2.5", "5", "10", "60", "600", "+Inf"]
CLASSES = ("2xx", "3xx", "4xx", "5xx", "connect", "timeout", "cut", "left", "unknown_end")
HISTOGRAMS = {"request": BOUNDS, "header": SHOWN, "total": SHOWN}


def table_of(backends: list[Backend]) -> RouteTable:
    """All to stable, but for who asks by header."""
    return route_table(backends[:1], backends[1:], rules=(BY_HEADER,))


def labels(release: str, host: str, **more: str) -> str:
    pairs = {"app": "hello", "env": "lab", "release": release[:12], "host": host} | more
    return "{" + ",".join(f'{name}="{value}"' for name, value in pairs.items()) + "}"


def expected(release: str, host: str) -> set[str]:
    buckets = ((name, bound) for name, bounds in HISTOGRAMS.items() for bound in bounds)
    return {
        *(f"gopub_edge_attempts_total{labels(release, host, **{'class': name})}" for name in CLASSES),
        *(f"gopub_edge_{name}_seconds_bucket{labels(release, host, le=bound)}" for name, bound in buckets),
        *(f"gopub_edge_{name}_seconds_sum{labels(release, host)}" for name in HISTOGRAMS),
        *(f"gopub_edge_{name}_seconds_count{labels(release, host)}" for name in HISTOGRAMS),
        f'gopub_edge_inflight{{app="hello",env="lab",host="{host}"}}',
    }


async def test_every_series_begins_at_zero_when_a_table_names_the_peer(edge, backends):
    table = table_of(backends)
    await edge.put(table)
    wanted = expected(STABLE, "a1") | expected(CANARY, "b1")
    metrics = await edge.metrics()
    assert {metrics[name] for name in wanted} == {0.0}
    of_the_edge = tuple(f"gopub_edge_{name}" for name in ("unrouted", "table_keys", "tables", "unsigned", "bad"))
    own = {re.sub(r',edge_id="[0-9a-f]{16}"', "", name) for name in metrics if not name.startswith(of_the_edge)}
    assert own - wanted == {
        'gopub_edge_table_revision{app="hello",env="lab"}',
        'gopub_edge_no_subject_total{app="hello",env="lab"}',
    }
    # Another put of known peers changes no number; a restart begins again at 0, with every series there.
    await edge.client().ask_many([{}] * 3)
    await edge.put(replace(table, revision=2, n=1))
    counted = await edge.metrics()
    assert counted[f"gopub_edge_attempts_total{labels(STABLE, 'a1', **{'class': '2xx'})}"] == 3
    assert [value for name, value in counted.items() if "table_revision" in name] == [2]
    await edge.restart()
    again = await edge.metrics()
    assert {again[name] for name in wanted} == {0.0}


async def test_promtool_finds_nothing_to_mend(edge, backends):
    await edge.put(table_of(backends))
    await edge.client().ask()
    page = await Client(edge.metrics_port, "edge", keep=False).ask("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4"
    done = await run(["promtool", "check", "metrics"], stdin=page.body, check=False)
    assert (done.code, done.complaint) == (0, "")
    broken = await run(["promtool", "check", "metrics"], stdin=page.body + b"gopub_edge{ 1\n", check=False)
    assert broken.code != 0


async def test_the_histogram_counts_every_answer_in_its_bucket(edge, backends):
    await edge.put(table_of(backends))
    for path in ("/slow/0.6", "/slow/0.6", "/slow/0.8", "/status/500"):
        await edge.client().ask(path, headers=ME)
    metrics = await edge.metrics()
    counts = [metrics[f"gopub_edge_request_seconds_bucket{labels(CANARY, 'b1', le=bound)}"] for bound in BOUNDS]
    assert counts == sorted(counts)
    assert metrics[f"gopub_edge_request_seconds_bucket{labels(CANARY, 'b1', le='0.5')}"] == 1
    assert counts[-1] == metrics[f"gopub_edge_request_seconds_count{labels(CANARY, 'b1')}"] == 4
    assert metrics[f"gopub_edge_request_seconds_sum{labels(CANARY, 'b1')}"] >= 2.0


async def test_requests_without_the_sticky_key_are_counted(edge, backends):
    table = table_of(backends)
    await edge.put(replace(table, sticky="header:x-user-id", weight=10_000))
    await edge.client().ask_many([{}, {}, {"x-user-id": "u"}, {"x-user-id": ""}])
    assert (await edge.metrics())['gopub_edge_no_subject_total{app="hello",env="lab"}'] == 3


async def test_a_peer_that_left_keeps_its_numbers_and_its_release(edge, backends):
    """Also on the other track: what it did as stable stays under stable's release."""
    table = table_of(backends)
    await edge.put(table)
    await edge.client().ask_many([{}] * 5)
    moved = changed(table, stable=Track(STABLE), canary=Track(CANARY, (backends[0].peer,))).ordered(0, "", 1)
    await edge.put(moved)
    await edge.client().ask_many([ME] * 2)
    metrics = await edge.metrics()
    assert metrics[f"gopub_edge_attempts_total{labels(STABLE, 'a1', **{'class': '2xx'})}"] == 5
    assert metrics[f"gopub_edge_attempts_total{labels(CANARY, 'a1', **{'class': '2xx'})}"] == 2
    assert metrics[f"gopub_edge_attempts_total{labels(CANARY, 'b1', **{'class': '2xx'})}"] == 0


async def test_strange_host_headers_make_no_series(edge, backends):
    await edge.put(table_of(backends))
    before = set(await edge.metrics())
    for host in ("x" * 60 + ".lab", "nobody.lab", "a.b.c", "hello.lab.evil"):
        await edge.client(host=host).ask()
    assert set(await edge.metrics()) == before


def fleet(hosts: int, upstream: str = "hello") -> tuple[Peer, ...]:
    """Peers that nobody connects to, with names as long as real ones."""
    return tuple(
        Peer(f"{upstream}-{n:04}.region.example", f"127.1.{n // 250}.{n % 250 + 1}:8080") for n in range(hosts)
    )


async def test_a_thousand_hosts_are_rolled_out_many_times_within_the_hour(edge):
    """Half of them, then all, then settled: each of ten releases leaves a series behind on each host."""
    peers = fleet(1200)
    table = RouteTable(app="hello", env="lab", upstream="hello", salt="r", stable=Track("0" * 64, peers))
    assert (await edge.put(table))[0] == 200
    for old, new in itertools.pairwise("0123456789"):
        half = replace(table, stable=Track(old * 64, peers[600:]), canary=Track(new * 64, peers[:600]))
        whole = replace(table, stable=None, canary=Track(new * 64, peers))
        for step in (half, whole, replace(table, stable=Track(new * 64, peers))):
            table = replace(step, revision=table.revision + 1, n=table.n + 1)
            status, answer = await edge.put(table)
            assert status == 200, answer
    metrics = await edge.metrics()
    series = [name for name in metrics if name.startswith("gopub_edge_request_seconds_sum")]
    assert len([name for name in series if f'release="{"9" * 12}"' in name]) == 1200
    assert len(series) == 2400
    assert len([name for name in metrics if name.startswith("gopub_edge_inflight")]) == 1200


async def test_the_dictionary_holds_as_many_hosts_as_its_file_says(edge):
    """8000 hosts with two releases each; what is beyond is refused with the way out, and the others serve on."""
    for at in range(8):
        table = RouteTable(app=f"app-{at}", env="lab", upstream=f"app-{at}", salt="r", warmup=10.0)
        peers = tuple(replace(peer, since=1e9) for peer in fleet(1000, table.upstream))
        for turn, release in enumerate((STABLE, CANARY), start=1):
            order = replace(table, revision=turn, n=turn, stable=Track(release, peers))
            status, answer = await edge.put(order)
            assert status == 200, answer
    for at in range(8, 16):
        name = f"app-{at}"
        more = RouteTable(app=name, env="lab", upstream=name, stable=Track(STABLE, fleet(1500, name)))
        status, answer = await edge.put(more)
        if status != 200:
            break
    assert (status, answer["code"]) == (500, "GP503")
    assert "no room for the counters of 1500 peers (no memory): enlarge lua_shared_dict" in str(answer["error"])
    assert (await edge.put(replace(order, revision=9, n=9)))[0] == 200
