"""examples/hops on the lab: HTTP, gRPC and gRPC, each through the edge; the first canary's tag chooses the others."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gopub.clock import new_token
from gopub.fleet.backends.ssh import SshFleet
from gopub.lab.lab import Lab
from gopub.plan.trusted import networks
from gopub.spec.selector import parse_selector
from gopub.traffic import Peer, Router, RouteTable, Rule, Track, confirm
from gopub.traffic.backends.nginx import Nginx
from gopub.traffic.conditions import Header, Tag
from gopub.wiring.outside import open_router
from gopub.wiring.project import inventory_of, load_connections
from tests.contracts.edge_nginx import read_answer

pytestmark = pytest.mark.e2e

PORTS = {"shop": 18_291, "stock": 18_292, "price": 18_293}
CALLS = {"shop": "stock", "stock": "price"}
STABLE, CANARY = "a" * 64, "b" * 64
ME = {"X-Canary": "true"}
OLD, NEW = ["v1"] * 3, ["v2"] * 3


@dataclass
class Hops:
    """Each service with v1 on one host and v2 on another, and their tables."""

    lab: Lab
    router: Router
    trust: tuple[str, ...]
    units: dict[tuple[str, str], str]
    seat: str = field(default_factory=new_token)
    n: int = 0

    async def put(self, service: str, **change: object) -> None:
        """Stable, and the canary that a header chooses at the first, the tag `beta` at the others."""
        stable, canary = (Peer(host.name, f"{host.address}:{PORTS[service]}") for host in self.lab.hosts[:2])
        first = service == "shop"
        when = Header("x-canary", "true") if first else Tag("beta")
        table = RouteTable(
            app=service, env="hops", upstream=service, salt="r-1", trust=self.trust, rules=(Rule("mine", when),),
            stable=Track(STABLE, (stable,)), canary=Track(CANARY, (canary,), "beta" if first else None),
        )  # fmt: skip
        [status] = await self.router.status(service, "hops", service)
        self.n += 1
        ordered = replace(table, revision=status.revision + 1, **change).ordered(status.epoch + 1, self.seat, self.n)
        confirm(ordered, await self.router.put(ordered))

    async def way(self, **headers: str) -> list[dict[str, str]]:
        """The hops of one request from outside of the house."""
        reader, writer = await asyncio.open_connection(self.lab.edge_address, 80)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET / HTTP/1.1\r\nHost: shop.lab\r\nConnection: close\r\n{lines}\r\n".encode())
        answer = await read_answer(reader)
        writer.close()
        assert answer.status == 200, answer
        found: list[dict[str, str]] = json.loads(answer.body)
        return found

    async def until_they_answer(self) -> None:
        """Both releases of all of them: each by itself says when it is there."""
        async with asyncio.timeout(300):
            for host in self.lab.hosts[:2]:
                for port in PORTS.values():
                    while True:
                        try:
                            _, writer = await asyncio.open_connection(host.address, port)
                        except OSError:
                            await asyncio.sleep(0.1)
                        else:
                            writer.close()
                            break


async def _start(lab: Lab, program: bytes, seat: str) -> dict[tuple[str, str], str]:
    units, edge = {}, f"{lab.edge_address}:50051"
    for host, release in zip(lab.hosts[:2], ("v1", "v2"), strict=True):
        await lab.exec(host.name, ("sh", "-c", "cat >/run/hops && chmod +x /run/hops"), stdin=program)
        for service, port in PORTS.items():
            unit = units[service, release] = f"hops-{service}-{seat[:8]}"
            kind = "-http" if service == "shop" else "-grpc"
            argv = ["/run/hops", "-service", service, "-release", release, kind, f"{host.address}:{port}"]
            if service in CALLS:
                argv += ["-next", f"{CALLS[service]}.lab", "-edge", edge]
            await lab.exec(host.name, ("systemd-run", f"--unit={unit}", "--collect", *argv))
    return units


@pytest.fixture
async def hops(lab: Lab) -> AsyncIterator[Hops]:
    program = (Path(os.environ["GOPUB_CACHE"]) / "bin" / "hops").read_bytes()
    connections = load_connections(lab.connections.parent)
    connection = connections.get("edge-lab", Nginx)
    inventory = inventory_of(connections, connection.inventory)
    edges = inventory.select(parse_selector(connection.hosts))
    trust = networks(("inventory",), {host.name: (host.address,) for host in inventory.hosts})
    units = await _start(lab, program, new_token())
    try:
        async with SshFleet() as fleet:
            made = Hops(lab, open_router(connection, edges, fleet), trust, units)
            for service in PORTS:
                await made.put(service)
            await made.until_they_answer()
            yield made
    finally:
        for (_, release), unit in units.items():
            host = lab.hosts[0 if release == "v1" else 1]
            await lab.exec(host.name, ("systemctl", "stop", unit), check=False)
            await lab.exec(host.name, ("rm", "-f", "/run/hops"))


def releases(way: list[dict[str, str]]) -> list[str]:
    assert [hop["service"] for hop in way] == list(PORTS)
    return [hop["release"] for hop in way]


async def test_the_tag_arrives_at_the_third_hop_and_each_canary_is_chosen_by_it(hops: Hops):
    way = await hops.way(**ME)
    assert (releases(way), [hop["tags"] for hop in way]) == (NEW, ["beta"] * 3)
    assert [hop["rule"].partition("@")[0] for hop in way] == ["mine"] * 3
    way = await hops.way()
    assert (releases(way), [hop["tags"] for hop in way]) == (OLD, [""] * 3)
    claims = {"X_Gray_Tag": "beta", "Baggage": "gray.tags=beta"}
    assert releases(await hops.way(**claims)) == OLD, "whoever stands outside may claim nothing"

    ways = await asyncio.gather(*(hops.way(**(ME if number % 2 else {})) for number in range(40)))
    assert [releases(way) for way in ways] == [NEW if number % 2 else OLD for number in range(40)]

    await hops.put("price", canary=None, rules=())
    way = await hops.way(**ME)
    assert (releases(way), way[2]["tags"]) == (["v2", "v2", "v1"], "beta"), "stable is everybody's, who stays tagged"
    await hops.put("price")
    await hops.lab.exec(hops.lab.hosts[1].name, ("systemctl", "stop", hops.units["stock", "v2"]))
    assert releases(await hops.way(**ME)) == ["v2", "v1", "v2"], "a dead canary falls back, and the next is chosen"


async def test_control_an_edge_that_believes_nobody_takes_the_tags_off_at_the_second_hop(hops: Hops):
    for service in PORTS:
        await hops.put(service, trust=())
    way = await hops.way(**ME)
    assert (releases(way), [hop["tags"] for hop in way]) == (["v2", "v1", "v1"], ["beta", "", ""])
