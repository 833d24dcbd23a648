"""One service on hosts of the lab and behind its edge, switched to and fro while clients ask that never try again.

A switch is what a rollout does with a host: it leaves the edge's table and drains, the host program switches and proves
it, and it comes back; side by side only its port changes. Direct clients go on asking the host all the while.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gopub.clock import new_token
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.inventory import load_inventory
from gopub.fleet.slots import SIDE
from gopub.lab.lab import Lab
from gopub.spec.selector import parse_selector
from gopub.traffic import Peer, Router, RouteTable, Track, confirm
from gopub.traffic.backends.nginx import Nginx
from gopub.wiring.outside import open_router
from gopub.wiring.project import inventory_of, load_connections
from tests.e2e.host_kit import APP, PATIENCE, Cargo, Site
from tests.support.switched import EVERY, VERSIONS, Client, build_asker, build_served, cut_of

DRAIN = 1.0
"""Seconds that an edge waits for requests, and a service for what lasts."""
H2_PORT = 8082
H2 = f"""server {{
    listen {H2_PORT} http2;
    server_name "~^(?<gopub_upstream>[a-z0-9][a-z0-9-]*)\\.[a-z]";
    location / {{ include /etc/nginx/gopub/gopub-location.conf; }}
}}
"""
"""HTTP/2 before the edge's routing, as it comes out of TLS; the edge's own port speaks HTTP/1.1."""


async def until(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Look until it is so."""
    for _ in range(PATIENCE):
        if await holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"it never came: {what}")


@dataclass(frozen=True)
class LossGround:
    """The lab, the programs, and the way to its hosts and its edge."""

    lab: Lab
    folder: Path
    fleet: SshFleet
    router: Router
    binaries: dict[str, bytes]

    @classmethod
    @asynccontextmanager
    async def opened(cls, lab: Lab, folder: Path) -> AsyncIterator[LossGround]:
        """Build the programs; the edge speaks HTTP/2 as long as this lasts."""
        await build_asker(folder)
        binaries = {one: (await build_served(folder / one, one)).read_bytes() for one in VERSIONS}
        connections = load_connections(lab.connections.parent)
        connection = connections.get("edge-lab", Nginx)
        edges = inventory_of(connections, connection.inventory).select(parse_selector(connection.hosts))
        edge, conf = lab.edges[0].name, "/etc/nginx/gopub.d/h2.conf"
        lay = f"mkdir -p /etc/nginx/gopub.d && cat >{conf} && nginx -s reload"
        await lab.exec(edge, ("sh", "-c", lay), stdin=H2.encode())
        try:
            listens = f"ss -Htln sport = :{H2_PORT} | grep -q ."
            await until("the edge speaks h2", lambda: _worked(lab, edge, listens))
            async with SshFleet() as fleet:
                yield cls(lab, folder, fleet, open_router(connection, edges, fleet), binaries)
        finally:
            await lab.exec(edge, ("sh", "-c", f"rm {conf}; nginx -s reload"))


async def _worked(lab: Lab, host: str, script: str) -> bool:
    return (await lab.exec(host, ("sh", "-c", script), check=False)).code == 0


@dataclass
class Outcome:
    """What was seen of some switches in one mode; ``edge`` and ``direct`` are counts of the clients."""

    mode: str
    switches: int = 0
    edge: dict[str, Any] = field(default_factory=dict)
    direct: dict[str, Any] = field(default_factory=dict)
    ways: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    told: Counter[str] = field(default_factory=Counter)
    """What the services say that they cut."""
    drained: float = 0.0
    """Seconds, the longest drain of a process as it says itself."""
    mains: list[str] = field(default_factory=list)
    """HOST/PID of each main process, in turn."""
    unasked: int = 0
    """Switches in which a client asked nothing."""


@dataclass
class Pool:
    """One instance on some hosts."""

    ground: LossGround
    mode: str
    rude: bool
    sites: list[Site]
    seat: str = field(default_factory=new_token)
    n: int = 0
    cargos: dict[tuple[str, str], Cargo] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def opened(cls, ground: LossGround, mode: str, hosts: int, *, rude: bool = False) -> AsyncIterator[Pool]:
        """The first version serves on so many hosts, and the edge sends to them."""
        instance, port = f"l-{secrets.token_hex(3)}", 20000 + secrets.randbelow(10000)
        there = load_inventory(ground.lab.inventory)
        sites = []
        for one in ground.lab.hosts[:hosts]:
            host = there.host(one.name)
            assert host is not None
            sites.append(Site(ground.lab, one.name, await ground.fleet.channel(host), instance, port))
        pool = cls(ground, mode, rude, sites)
        try:
            await asyncio.gather(*(pool.prepare(site) for site in sites))
            if pool.pooled:
                await pool.put()
            yield pool
        finally:
            await asyncio.gather(*(site.close() for site in sites))

    @property
    def beside(self) -> bool:
        """Whether the next process serves on another port."""
        return self.mode == SIDE

    @property
    def pooled(self) -> bool:
        """Whether an edge sends to the hosts that do not switch; a rude service is asked at its host alone."""
        return not self.rude

    @property
    def instance(self) -> str:
        """Also the name of its upstream."""
        return self.sites[0].instance

    async def prepare(self, site: Site) -> None:
        """Both versions lie on the host, and the first one serves."""
        for version in VERSIONS:
            self.cargos[site.name, version] = await self.cargo(site, version)
            await site.run("stage", self.cargos[site.name, version])
        await self.release(site, VERSIONS[0])

    async def cargo(self, site: Site, version: str) -> Cargo:
        """A version for that host, in this mode."""
        port = "{{ port }}" if self.beside else str(site.port)
        args = ["-listen", f":{port}", "-timeout", f"{DRAIN}s"] + ["-rude"] * self.rude
        ports = (site.port, site.port - 10_000) if self.beside else (site.port,)
        program = self.ground.binaries[version]
        cargo = await site.cargo(version, program=program, mode=self.mode, args=tuple(args), ports=ports, drain=20)
        if not self.beside:
            return cargo.with_arguments("switch", within="60")
        verify = cargo.wanted.arguments["verify"]
        cargo = cargo.with_arguments("stage", ports=",".join(map(str, ports)))
        return cargo.with_arguments("switch", within="60", port=verify["port"], health=verify["health"])

    async def release(self, site: Site, version: str) -> str:
        """Switch the host and have it proven; gives the way by which it went."""
        cargo = self.cargos[site.name, version]
        way = (await site.run("switch", cargo)).values["way"]
        proof = await site.run("verify", cargo)
        assert proof.values["restarts"] == "0", proof
        unit = (await site.facts()).unit
        assert unit.exe_digest == cargo.wanted.digests["binary"], "what serves is what was brought"
        assert unit.main_pid != self.pids.get(site.name), "another process serves"
        self.runs[site.name], self.pids[site.name] = version, unit.main_pid
        self.addresses[site.name] = f"{self.address(site)}:{proof.values['port'] if self.beside else site.port}"
        return way

    def address(self, site: Site) -> str:
        """The host's own."""
        return next(host.address for host in self.ground.lab.hosts if host.name == site.name)

    # --- the edge

    async def put(self, without: str = "") -> None:
        """Order the edge to send to all hosts but that one."""
        peers = tuple(Peer(name, at) for name, at in sorted(self.addresses.items()) if name != without)
        self.n += 1
        table = RouteTable(
            app=APP, env="lab", upstream=self.instance, salt="r-1", revision=self.n, stable=Track("a" * 64, peers)
        ).ordered(1, self.seat, self.n)
        confirm(table, await self.ground.router.put(table))

    async def drain(self, address: str) -> None:
        """Wait until the edge has no request there, no longer than it may take: what lasts is the service's to end."""
        try:
            async with asyncio.timeout(DRAIN):
                while await self.holds(address):  # noqa: ASYNC110 - on another machine
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pass

    async def holds(self, address: str) -> int:
        """Requests that the edge has at an address."""
        [status] = await self.ground.router.status(APP, "lab", self.instance)
        assert not status.error and status.addresses is not None, status
        return status.addresses.get(address, 0)

    # --- switching

    async def switch(self, site: Site) -> str:
        """The host comes to run the other version."""
        before, other = self.pids[site.name], next(one for one in VERSIONS if one != self.runs[site.name])
        old = self.addresses[site.name]
        if self.pooled and not self.beside:
            await self.put(without=site.name)
            await self.drain(old)
        way = await self.release(site, other)
        if self.pooled:
            await self.put()
        if self.beside:
            await self.drain(old)
            await site.run("prune", self.cargos[site.name, other])  # which ends the one that does not serve
        gone = f"! readlink /proc/{before}/exe | grep -qF {site.home}/"
        await until(f"process {before} is gone", lambda: _worked(self.ground.lab, site.name, gone))
        return way

    async def measure(self, switches: int, rate: int, each: int = 1, most: float = math.inf) -> Outcome:
        """Switch the hosts in turn, under so many requests a second at the edge and so many at the first host.

        No switch begins after so many seconds.
        """
        end = time.monotonic() + most
        outcome, clients = Outcome(self.mode), await self.clients(rate, each)
        outcome.mains = [self.main(site) for site in self.sites]
        try:
            for number in range(switches):
                if time.monotonic() > end:
                    break
                site = self.sites[number % len(self.sites)]
                before = [client.now()["asked"] for client in clients.values()]
                outcome.ways[await self.switch(site)] += 1
                outcome.mains.append(self.main(site))
                outcome.unasked += sum(c.now()["asked"] <= b for c, b in zip(clients.values(), before, strict=True))
                await self.heard(clients, site)
                outcome.switches += 1
            for name, client in clients.items():
                setattr(outcome, name, await asyncio.to_thread(client.end))
        finally:
            for client in clients.values():
                client.close()
        await self.tally(outcome)
        return outcome

    async def clients(self, rate: int, each: int) -> dict[str, Client]:
        """One that asks the edge, and one that asks the first host, where that has one address."""
        edge, first = self.ground.lab.edge_address, self.sites[0]
        at, made = {"edge": f"{edge}:80"} if self.pooled else {}, {}
        if not self.beside:
            at["direct"] = f"{self.address(first)}:{first.port}"
        for name, address in at.items():
            words = ["-name", f"{self.instance}.lab", "-each", str(each), "-kinds", ",".join(EVERY)]
            words += ["-h2", f"{edge}:{H2_PORT}", "-grpc", f"{edge}:50051"] if name == "edge" else []
            made[name] = await asyncio.to_thread(Client, self.ground.folder / "asker", address, *words, rate=rate)
        return made

    async def heard(self, clients: dict[str, Client], site: Site) -> None:
        """Wait until each client that asks that host has an answer of its new process."""
        for name, client in clients.items():
            if name == "edge" or site is self.sites[0]:

                async def new(client: Client = client) -> bool:
                    return self.main(site) in client.now()["pids"]

                await until(f"an answer of {self.main(site)} at {name}", new)

    def main(self, site: Site) -> str:
        """The main process as the service's answers name it."""
        return f"{site.name}/{self.pids[site.name]}"

    async def tally(self, outcome: Outcome) -> None:
        """What the hosts say of it."""
        for site in self.sites:
            log = await site.sh(f"journalctl -q --no-pager -o cat -u '{self.instance}*'", check=False)
            outcome.told += cut_of(log)
            outcome.drained = max(outcome.drained, longest_drain(log))
            outcome.restarts += (await site.facts()).unit.n_restarts


def longest_drain(log: str) -> float:
    """Of the processes that ended, as they say it."""
    return max((json.loads(line)["drained"] for line in log.splitlines() if line.startswith('{"drained"')), default=0.0)
