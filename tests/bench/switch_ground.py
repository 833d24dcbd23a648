"""What the benchmarks of switching share: one service on a real host, brought there in every mode, and who asks it.

The service is examples/hello in two versions, with the same unit in every mode but for the lines that the mode needs,
so that a ratio of two modes tells of the modes. It is asked directly, by a client that never tries again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.modes import MODES, Service
from gopub.fleet.unit import default_unit
from gopub.lab.lab import Lab, sweep, take_down
from tests.e2e.host_kit import APP, PATIENCE, Cargo, Site, open_site
from tests.support.switched import VERSIONS, Programs

DRAIN = 5


@dataclass(frozen=True)
class Way:
    """How a host comes to the next release: the mode, and what the record has to call it."""

    name: str
    mode: str = "restart"
    files: bool = False
    """Only a file differs, which is taken in without a restart."""

    @property
    def said(self) -> str:
        """By the record of the switch."""
        return "config" if self.files else self.mode


PEER = Way("restart")
SIDE = "side-by-side"
WAYS = (PEER, *(Way(name, name) for name in ("socket", "handover", "reload", SIDE)), Way("config", files=True))


@dataclass
class Served:
    """A service that serves on a host, and its two releases, which take turns."""

    way: Way
    site: Site
    releases: tuple[Cargo, Cargo]
    now: int = 0

    port: int = 0
    old: int = 0
    """The process that served before the last switch; 0 where none has to go."""

    @property
    def address(self) -> str:
        """Where what serves is asked."""
        lab: Lab = self.site.lab
        host = next(host.address for host in lab.hosts if host.name == self.site.name)
        return f"{host}:{self.port or self.site.port}"

    @property
    def slice(self) -> str:
        """The group of everything that the service is: its old process and its new one."""
        return slice_of(self.site)

    async def begin(self) -> None:
        """Both releases lie there, and the first one serves."""
        await self.site.release(self.releases[0])
        await self.site.run("stage", self.releases[1])

    async def switch(self) -> None:
        """Bring the host to the other release, and prove it; whatever came otherwise is no figure."""
        self.now = 1 - self.now
        before = await self.site.facts()
        record = await self.site.run("switch", self.releases[self.now])
        if record.values["way"] != self.way.said:
            raise SystemExit(f"{self.way.name}: it was a {record.values['way']}: {record.values.get('way_why')}")
        proof = await self.site.run("verify", self.releases[self.now])
        self.port = int(proof.values.get("port", "0"))
        self.old = 0 if self.way.files else before.unit.main_pid

    async def settle(self) -> None:
        """Until the old process is gone; side by side it is told to go, once everybody asks the new one."""
        if self.way.mode == SIDE:
            await self.site.run("prune", self.releases[self.now])
        for _ in range(PATIENCE):
            exe = await self.site.sh(f"readlink /proc/{self.old}/exe || true", check=False)
            if not self.old or not exe.startswith(f"{self.site.home}/releases/"):
                return
            await asyncio.sleep(0.1)
        raise SystemExit(f"{self.way.name}: process {self.old} did not end")

    async def look(self) -> None:
        """What a switch asks the host beside the switch itself: the control."""
        await self.site.facts()
        await self.site.run("verify", self.releases[self.now])


def slice_of(site: Site) -> str:
    """Its name; without a dash, which would be a slice in a slice."""
    return f"{site.instance.replace('-', '')}.slice"


async def given(lab: Lab, fleet: SshFleet, programs: Programs, way: Way, host: str) -> Served:
    """Both releases for a new instance on that host."""
    site = await open_site(lab, fleet, host)
    first, other = [(programs.folder / version).read_bytes() for version in VERSIONS]
    texts = ("Hello", "Goodbye")
    one = await cargo(site, way, first, texts[0])
    return Served(way, site, (one, await cargo(site, way, first if way.files else other, texts[way.files])))


async def cargo(site: Site, way: Way, program: bytes, greeting: str) -> Cargo:
    """A release of hello."""
    house = f"127.0.0.1:{site.port - 10_000 if way.files else 0}"
    text = f"listen: 0.0.0.0:{site.port}\nmetrics: {house}\ngreeting: {greeting}\n"
    service = service_of(site, way)
    made = await site.cargo(
        greeting, program=program, mode=way.mode, ports=service.ports, args=service.args, env=service.env,
        drain=DRAIN, templates={"config.yaml": text}, unit=unit_of(site, service),
    )  # fmt: skip
    told = {"within": "60", "stop_timeout": str(DRAIN + 10)}
    made = made.with_arguments("verify", within="60")
    if way.mode == SIDE:
        told |= {name: made.wanted.arguments["verify"][name] for name in ("port", "health")}
        made = made.with_arguments("stage", ports=",".join(map(str, service.ports)))
    if way.files:
        made = made.with_arguments("stage", reload="config.yaml", **{"confirm.0": f"http://{house}/-/config"})
    return made.with_arguments("switch", **told)


def service_of(site: Site, way: Way) -> Service:
    """What its unit says, whatever the mode."""
    side = way.mode == SIDE
    words = ("--config", f"/opt/{site.instance}/current/config.yaml")
    env, ports = {"ADDR": ":{{ port }}"} if side else {}, (site.port, site.port - 10_000)[: 1 + side]
    return Service(site.instance, APP, words, env, drain=DRAIN, mode=way.mode, ports=ports)


def unit_of(site: Site, service: Service) -> str:
    """The default unit, in a group of its own; the mode reload sends the signal of handover."""
    text = default_unit(service).replace("[Service]\n", f"[Service]\nSlice={slice_of(site)}\n")
    if service.mode == "reload":
        own, handed = [MODES[name].service_lines(service) for name in ("reload", "handover")]
        lines = "\n".join((*handed, "ExecReload=/bin/kill -USR2 $MAINPID"))
        text = text.replace("\n".join(own), lines)
    return text


@asynccontextmanager
async def every_way(ways: tuple[Way, ...]) -> AsyncIterator[tuple[Programs, list[Served]]]:
    """A host of a lab of this process's own, where each way has an instance that serves; all of it goes."""
    name = f"bench{os.getpid()}"
    await sweep()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gopub-bench-")))
        programs = await Programs(folder).build()
        stack.push_async_callback(take_down, name)  # before `up`, which may fail half-way
        lab = await Lab.up(name, hosts=1, edges=0, owned=True)
        fleet = await stack.enter_async_context(SshFleet())
        served = [await given(lab, fleet, programs, way, lab.hosts[0].name) for way in ways]
        for one in served:
            await one.begin()
        yield programs, served
