"""The shipped edge on a host of its own: ordered over SSH, under systemd, scraped by the lab's Prometheus.

What the edge decides is proven in tests/contracts on a local nginx; here are the joints.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gopub.clock import new_token
from gopub.errors import PartialError
from gopub.evidence.keys import generate
from gopub.fleet.backends.ssh import SshFleet
from gopub.lab.lab import Lab
from gopub.lab.traffic import Load, Traffic
from gopub.spec.selector import parse_selector
from gopub.traffic import EdgeAck, Peer, Router, RouteTable, Track, confirm, encode
from gopub.traffic.backends.nginx import Nginx
from gopub.traffic.door import KeysLaid
from gopub.traffic.sources.choice import RouteSource
from gopub.traffic.sources.envelope import enveloped
from gopub.traffic.sources.file import File
from gopub.wiring.outside import look_at_files, open_router
from gopub.wiring.project import Edges, inventory_of, load_connections
from tests.support.changing import without_peer

pytestmark = pytest.mark.e2e

PORT = 18_181
UPSTREAM = "edge-test"
TABLES = "/srv/gopub-tables"
STABLE, CANARY = "a" * 64, "b" * 64
CONF = f"""
daemon off; master_process off; pid /run/edge-test.pid; error_log stderr;
events {{}}
http {{ access_log off; keepalive_requests 1000000;
  server {{ listen {PORT}; location / {{ return 200 "$hostname"; }} }} }}
"""


@dataclass
class World:
    """The lab's edges as a router, and upstreams on three hosts."""

    lab: Lab
    router: Router
    fleet: SshFleet
    edges: Edges
    peers: tuple[Peer, ...]
    seat: str
    n: int = 0

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Order it, above whatever an earlier test left."""
        [status] = await self.router.status("edge-test", "lab", UPSTREAM)
        self.n += 1
        above = replace(table, revision=max(table.revision, status.revision) + 1)
        ordered = above.ordered(status.epoch + (status.token != self.seat), self.seat, self.n)
        acks = await self.router.put(ordered)
        confirm(ordered, acks)
        return acks

    def table(self) -> RouteTable:
        """The first two hosts stable, the third the canary."""
        return RouteTable(
            app="edge-test",
            env="lab",
            upstream=UPSTREAM,
            salt="r-1",
            sticky="header:x-user-id",
            stable=Track(STABLE, self.peers[:2]),
            canary=Track(CANARY, self.peers[2:]),
            canary_until=time.time() + 600,
        )

    def traffic(self, **more: object) -> Traffic:
        return Traffic(replace(Load(self.lab.edge_address, f"{UPSTREAM}.lab", rate=150), **more))

    async def edge(self, *argv: str) -> str:
        return (await self.lab.exec(self.lab.edges[0].name, argv)).text


@pytest.fixture
async def world(lab: Lab) -> AsyncIterator[World]:
    hosts = lab.hosts[:3]
    seat = new_token()
    unit = f"edge-test-{seat[:8]}"  # systemd forgets an old unit only after a while
    for host in hosts:
        await lab.exec(host.name, ("sh", "-c", "cat >/run/edge-test.conf"), stdin=CONF.encode())
        await lab.exec(host.name, ("systemd-run", f"--unit={unit}", "--collect", "nginx", "-c", "/run/edge-test.conf"))
    connections = load_connections(lab.connections.parent)
    connection = connections.get("edge-lab", Nginx)
    edges = inventory_of(connections, connection.inventory).select(parse_selector(connection.hosts))
    peers = tuple(Peer(host.name, f"{host.address}:{PORT}") for host in hosts)
    async with SshFleet() as fleet:
        yield World(lab, open_router(connection, edges, fleet), fleet, Edges(connection, edges), peers, seat)
    for host in hosts:
        await lab.exec(host.name, ("systemctl", "stop", unit), check=False)


async def until(holds: Callable[[], Awaitable[bool]], limit: float = 300.0) -> None:
    async with asyncio.timeout(limit):
        while not await holds():  # noqa: ASYNC110 - on another machine
            await asyncio.sleep(0.2)


async def test_an_order_over_ssh_is_on_the_disk_of_a_guarded_edge(world: World):
    [ack] = await world.put(world.table())
    kept = json.loads(await world.edge("cat", f"/var/lib/gopub/edge/{UPSTREAM}.json"))
    assert kept["revision"] == ack.revision
    assert await world.edge("stat", "-c", "%a %U", "/run/gopub/edge.sock") == "660 root"
    assert await world.edge("stat", "-c", "%a %U", "/run/gopub") == "750 root"
    assert await world.edge("stat", "-c", "%a %U", "/var/lib/gopub/edge") == "750 www-data"
    assert (await world.router.status("edge-test", "lab", UPSTREAM))[0].inflight == dict.fromkeys(
        (peer.host for peer in world.peers), 0
    )


async def test_no_request_is_lost_while_weights_change_and_hosts_come_and_go(world: World):
    table = world.table()
    await world.put(table)
    workers = await world.edge("pgrep", "-P", await world.edge("cat", "/run/nginx.pid"))
    async with world.traffic() as traffic:
        for weight in (1000, 5000, 10_000, 0):
            await world.put(replace(table, weight=weight))
            await asyncio.sleep(0.3)
        for host in [peer.host for peer in world.peers]:
            await world.put(without_peer(replace(table, weight=5000), host))
            await asyncio.sleep(0.3)
        await until(lambda: sent(traffic, 150))
    counts = traffic.counts
    assert counts.lost == 0
    assert dict(counts.classes) == {"2xx": counts.sent}
    assert set(counts.releases) == {STABLE[:12], CANARY[:12]}
    assert await world.edge("pgrep", "-P", await world.edge("cat", "/run/nginx.pid")) == workers


async def test_a_dead_canary_is_seen_by_prometheus_and_by_no_user(world: World):
    await world.put(replace(world.table(), weight=5000))
    canary = world.peers[2].host
    labels = f'app="edge-test",host="{canary}",release="{CANARY[:12]}"'

    async def seen() -> bool:
        answers = await asyncio.to_thread(query, world.lab, f"gopub_edge_attempts_total{{{labels}}}")
        by_class = {answer["metric"]["class"]: float(answer["value"][1]) for answer in answers}
        return by_class.get("connect", 0) > 10 and by_class.get("2xx", 0) > 10

    async with world.traffic(mix=("GET /",)) as traffic:  # a POST that is under way is not asked of another host
        await until(lambda: served(traffic, CANARY, 20))
        await world.lab.exec(canary, ("sh", "-c", "kill -KILL $(cat /run/edge-test.pid)"))
        await until(seen)
    assert traffic.counts.lost == 0
    assert dict(traffic.counts.classes) == {"2xx": traffic.counts.sent}


async def sent(traffic: Traffic, wanted: int) -> bool:
    return traffic.counts.sent > wanted


async def served(traffic: Traffic, release: str, wanted: int) -> bool:
    return bool(traffic.counts.release(release[:12]).answered > wanted)


def query(lab: Lab, expression: str) -> list[dict]:
    url = f"{lab.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - the lab's own URL
        return list(json.load(answer)["data"]["result"])


@pytest.mark.parametrize("how", ["systemctl restart nginx", "kill -KILL $(cat /run/nginx.pid)"])
async def test_an_edge_that_was_restarted_serves_its_last_table(world: World, how: str):
    table = replace(world.table(), weight=10_000)
    [ack] = await world.put(table)
    await world.edge("sh", "-c", how)

    async def back() -> bool:
        [status] = await world.router.status("edge-test", "lab", UPSTREAM)
        return status.revision == ack.revision

    await until(back)
    counts = await world.traffic().run(0.5)
    assert dict(counts.classes) == {"2xx": counts.sent}
    assert set(counts.releases) == {CANARY[:12]}


async def test_new_files_get_onto_an_edge_over_ssh_and_what_it_refuses_is_told(world: World):
    await world.put(world.table())
    location, mine = "/etc/nginx/gopub/gopub-location.conf", "/etc/nginx/gopub.d/mine.conf"
    new = await world.edge("cat", location)
    await world.edge("sh", "-c", f"echo '# older' >>{location}")
    [laid] = await look_at_files(world.edges, world.fleet, install=True)
    assert laid.fine, laid
    assert await world.edge("cat", location) == new
    try:
        await world.edge("sh", "-c", f"mkdir -p /etc/nginx/gopub.d; echo 'nonsense 1;' >{mine}")
        [refused] = await look_at_files(world.edges, world.fleet, install=True)
        assert not refused.fine
        assert f'unknown directive "nonsense" in {mine}:1' in refused.said
    finally:
        await world.edge("rm", "-f", mine)
    assert (await look_at_files(world.edges, world.fleet, install=False))[0].fine
    counts = await world.traffic().run(0.5)
    assert dict(counts.classes) == {"2xx": counts.sent}


async def test_a_key_gets_onto_an_edge_over_ssh_and_its_workers_ask_for_its_signature(world: World, tmp_path: Path):
    """On an edge whose workers are not root, and whose folder a restart takes up as systemd has it."""
    await world.put(world.table())
    files = generate(tmp_path)
    key = files.public_key()
    signing = world.edges.connection.model_copy(update={"sign": files.private})
    unsigned, signed = world.router, open_router(signing, world.edges.hosts, world.fleet)

    async def serves(revision: int) -> None:
        async def back() -> bool:
            return (await unsigned.status("edge-test", "lab", UPSTREAM))[0].revision == revision

        await until(back)

    try:
        [laid] = await look_at_files(
            world.edges, world.fleet, install=True, laid=KeysLaid(((key.fingerprint, key.pem),))
        )
        assert laid.fine, laid
        with pytest.raises(PartialError, match="GP520 the table is not signed"):
            await world.put(world.table())
        world.router = signed
        [ack] = await world.put(replace(world.table(), weight=10_000))
        assert (await world.edge("stat", "-c", "%U", f"/var/lib/gopub/edge/{UPSTREAM}.json")) == "www-data"
        await world.edge("sh", "-c", "systemctl restart nginx")
        await serves(ack.revision)
        [status] = await signed.status("edge-test", "lab", UPSTREAM)
        assert (status.signing.key, status.signing.believed) == (key.fingerprint, True)
        counts = await world.traffic().run(0.5)
        assert dict(counts.classes) == {"2xx": counts.sent}
        assert set(counts.releases) == {CANARY[:12]}
    finally:
        off = KeysLaid(off=(key.fingerprint,))
        assert (await look_at_files(world.edges, world.fleet, install=True, laid=off))[0].fine
        world.router = unsigned
    await world.edge("sh", "-c", "systemctl restart nginx")  # what others put is used again
    await serves(ack.revision)
    await world.put(world.table())


async def test_a_watcher_runs_beside_an_edge_under_systemd_and_leaves_with_its_source(world: World, tmp_path: Path):
    """A folder as the source: what it holds is in force, after a restart of nginx too."""
    await world.put(world.table())
    source = RouteSource(file=File(folder=tmp_path, on_edges=TABLES))
    fed = Edges(world.edges.connection.model_copy(update={"source": source}), world.edges.hosts)

    async def source_is_up() -> bool:
        told = (await world.router.status("edge-test", "lab", UPSTREAM))[0].source
        return told is not None and told.up

    try:
        await world.edge("mkdir", "-p", TABLES)
        [laid] = await look_at_files(fed, world.fleet, install=True)
        assert laid.fine, laid
        await until(source_is_up)
        [held] = await world.router.status("edge-test", "lab", UPSTREAM)
        weighty = replace(world.table(), weight=10_000, revision=held.revision + 1)
        newer = weighty.ordered(held.epoch, held.token, held.n + 1)
        carried = ("sh", "-c", f"cat >{TABLES}/.new && mv {TABLES}/.new {TABLES}/{UPSTREAM}.table")
        await world.lab.exec(world.lab.edges[0].name, carried, stdin=enveloped(UPSTREAM, encode(newer), ""))

        async def is_there() -> bool:
            return (await world.router.status("edge-test", "lab", UPSTREAM))[0].table == newer

        await until(is_there)
        before = await world.edge("systemctl", "show", "-p", "MainPID", "gopub-source")
        await world.edge("systemctl", "restart", "nginx")

        async def began_anew() -> bool:
            now = await world.edge("systemctl", "show", "-p", "MainPID", "gopub-source")
            return now not in (before, "MainPID=0")

        await until(began_anew)
        await until(source_is_up)
        assert await is_there()
        again = await look_at_files(fed, world.fleet, install=True)
        assert again[0].fine, again
    finally:
        [off] = await look_at_files(world.edges, world.fleet, install=True)
        assert off.fine, off
        await world.edge("rm", "-rf", TABLES)
    assert await world.edge("sh", "-c", "systemctl is-active gopub-source || true") == "inactive"
    assert await world.edge("sh", "-c", "ls /etc/systemd/system | grep -c gopub-source || true") == "0"
    world.n, world.seat = newer.n, newer.token
