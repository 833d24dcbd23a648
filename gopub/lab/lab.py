"""A real fleet on one machine: hosts and edges under systemd-nspawn, Prometheus and a Sigstore stack beside them.

Everything can be run twice: ``up`` on a lab that is half there mends it, ``down`` finds what is left by looking.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.canon import Json
from gopub.errors import GopubError, UsageError
from gopub.lab import cgroup, files, kernel, machine, monitor, remote, state, support
from gopub.lab.base import base_root
from gopub.lab.keys import pinned, public_key
from gopub.lab.layout import LabHost, Layout, free_subnet, ident, place
from gopub.lab.locks import locked
from gopub.lab.sigstore import services, stack
from gopub.lab.sigstore.layout import Stack
from gopub.process import Result
from gopub.traffic.backends.nginx.files import edge_files

Tell = Callable[[str], None]


def _silent(_: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What is true of a host now; ``pid`` is that of its systemd-nspawn, 0 when it does not run."""

    name: str
    role: str
    address: str
    pid: int


@dataclass(frozen=True, slots=True)
class LabStatus:
    """What is true of a lab now."""

    name: str
    home: Path
    bridge: bool
    prometheus: int
    prometheus_url: str
    hosts: tuple[HostStatus, ...]
    sigstore: Mapping[str, int]
    """The pid of each service of the Sigstore stack, 0 when it does not run; empty when the lab has none."""

    @property
    def whole(self) -> bool:
        """Whether every part runs."""
        return self.bridge and bool(self.prometheus) and all(h.pid for h in self.hosts) and all(self.sigstore.values())

    def to_json(self) -> Mapping[str, Json]:
        """For ``gopub lab status --json``."""
        return {
            "schema_version": 1,
            "name": self.name,
            "home": str(self.home),
            "whole": self.whole,
            "bridge": self.bridge,
            "prometheus": {"pid": self.prometheus, "url": self.prometheus_url},
            "hosts": [{"name": h.name, "role": h.role, "address": h.address, "pid": h.pid} for h in self.hosts],
            "sigstore": dict(self.sigstore),
        }


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that was brought up. It holds no connection and no process: open it again anywhere by its name."""

    layout: Layout

    @classmethod
    async def up(
        cls,
        name: str = "lab",
        *,
        hosts: int = 4,
        edges: int = 1,
        app_ports: tuple[int, ...] = (9102,),
        sigstore: bool = False,
        owned: bool = False,
        tell: Tell = _silent,
    ) -> Lab:
        """Bring a lab up, or an existing one to these numbers; returns when every host has booted.

        Args:
            name: labs of different names run side by side.
            hosts: application hosts, ``app1`` and up.
            edges: Nginx edges, ``edge1`` and up.
            app_ports: where Prometheus looks for metrics on application hosts.
            sigstore: with a Sigstore stack; a lab that has one keeps it.
            owned: the lab belongs to this process: ``sweep`` takes it down once the process is dead.
            tell: gets a line whenever something takes a while.

        Raises:
            GopubError: GP801 the lab cannot run here; GP802, GP807, GP809, GP812 a part does not come up;
                GP813 the programs of Sigstore are missing.
            UsageError: GP803 a bad name or number.
        """
        home = state.home_of(name)
        place(hosts, edges, "0.0.0")
        await support.require()
        if sigstore:
            services.require()
        base = await base_root(tell)
        async with locked(state.lock_file(name), tell):
            layout = await _ground(home, base)
            layout = replace(
                layout,
                hosts=place(hosts, edges, layout.subnet),
                app_ports=app_ports,
                owner=_this_process() if owned else None,
                sigstore=sigstore or layout.sigstore,
            )
            state.save(layout)
            await _drop_strangers(layout)
            _write_files(layout)
            kernel.allow_hosts()
            router = edge_files()
            await asyncio.gather(*(machine.ensure(layout, host, base, router) for host in layout.hosts))
            await monitor.start(layout)
            if layout.sigstore:
                await stack.up(layout.stack, tell)
        return cls(layout)

    @classmethod
    def open(cls, name: str = "lab") -> Lab:
        """The lab of that name, up or half up.

        Raises:
            UsageError: GP804 there is none.
        """
        layout = state.load(state.home_of(name))
        if layout is None:
            there = ", ".join(state.known_labs()) or "none"
            raise UsageError("GP804", f"there is no lab {name!r}; labs here: {there}", hint="gopub lab up")
        return cls(layout)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.layout.name

    @property
    def home(self) -> Path:
        """The state folder."""
        return self.layout.home

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """The application hosts."""
        return self.layout.apps

    @property
    def edges(self) -> tuple[LabHost, ...]:
        """The edges."""
        return self.layout.edges

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return self.layout.inventory

    @property
    def connections(self) -> Path:
        """The connections file; name it in ``GOPUB_CONNECTIONS``."""
        return self.layout.connections

    @property
    def edge_address(self) -> str:
        """The first edge's address; it listens on port 80."""
        return self.layout.edges[0].address

    @property
    def gateway(self) -> str:
        """The machine's address as hosts see it."""
        return self.layout.gateway

    @property
    def prometheus_url(self) -> str:
        """Prometheus' address."""
        return self.layout.prometheus_url

    @property
    def sigstore(self) -> Stack:
        """The lab's Sigstore stack: its files, its addresses.

        Raises:
            UsageError: GP815 it has none.
        """
        found = stack.load(self.layout.stack) if self.layout.sigstore else None
        if found is None:
            raise UsageError(
                "GP815",
                f"lab {self.name!r} has no Sigstore stack",
                hint=f"gopub lab up --sigstore --name {self.name}",
            )
        return found

    def root(self, host: str) -> Path:
        """A host's root folder on this machine; the host sees what is written there."""
        return self.layout.root(self.layout.host(host))

    async def exec(  # noqa: D417 - argv and stdin are what they are everywhere
        self, host: str, argv: Sequence[str], *, stdin: bytes = b"", limit: float = 60.0, check: bool = True
    ) -> Result:
        """Run a command on a host as root.

        Args:
            host: its name.
            limit: seconds until GP807.
            check: an exit code other than 0 is GP808.
        """
        there = self.layout.host(host)
        return await remote.execute(self.layout, there, argv, stdin=stdin, limit=limit, check=check)

    async def status(self) -> LabStatus:
        """Look at every part."""
        hosts = [(host, machine.process(self.layout, host)) for host in self.layout.hosts]
        prometheus = monitor.process(self.home)
        return LabStatus(
            name=self.name,
            home=self.home,
            bridge=await kernel.link_exists(self.layout.bridge),
            prometheus=prometheus.pid if prometheus else 0,
            prometheus_url=self.prometheus_url,
            hosts=tuple(HostStatus(h.name, h.role, h.address, p.pid if p else 0) for h, p in hosts),
            sigstore=stack.status(self.layout.stack) if self.layout.sigstore else {},
        )

    async def kill_host(self, name: str) -> None:
        """Crash a host: no shutdown, no last word; its disk stays."""
        await machine.crash(self.layout, self.layout.host(name))

    async def stop_host(self, name: str) -> None:
        """Power a host off cleanly."""
        await machine.power_off(self.layout, self.layout.host(name))

    async def start_host(self, name: str) -> None:
        """Boot a host that was killed or powered off, on the disk it had; returns when it has booted."""
        host = self.layout.host(name)
        if not machine.process(self.layout, host):
            await machine.boot(self.layout, host)
        await machine.wait_until_up(self.layout, host)

    async def stop_prometheus(self) -> None:
        """Stop Prometheus; what it has gathered stays."""
        await monitor.stop(self.home)

    async def start_prometheus(self) -> None:
        """Start Prometheus again."""
        await monitor.start(self.layout)

    async def down(self) -> None:
        """Take the lab down; nothing of it stays."""
        await take_down(self.name)


async def take_down(name: str, tell: Tell = _silent) -> None:
    """Take down whatever there is of a lab, also when its state file is gone or broken."""
    home = state.home_of(name)
    async with locked(state.lock_file(name), tell):
        await _clear(home)


async def sweep(tell: Tell = _silent) -> tuple[str, ...]:
    """Take down every lab whose owner is dead (a test run that was killed); gives their names."""
    gone = []
    for name in state.known_labs():
        try:
            layout = state.load(state.home_of(name))
        except GopubError:
            continue  # nobody can tell whose it is: its user clears it
        if layout and layout.owner and not kernel.Process(*layout.owner).alive():
            tell(f"taking down lab {name!r}, whose owner is gone")
            await take_down(name, tell)
            gone.append(name)
    return tuple(gone)


def _this_process() -> tuple[int, int]:
    me = kernel.look(os.getpid())
    return (me.pid, me.started) if me else (os.getpid(), 0)


async def _ground(home: Path, base: Path) -> Layout:
    """The layout to build on: the one that is there if its bridge and base are, else a new one on a clear ground."""
    try:
        layout = state.load(home)
    except GopubError:
        layout = None
    if layout and layout.base == base.name and await kernel.link_exists(layout.bridge):
        await kernel.add_bridge(layout.bridge, f"{layout.gateway}/24")
        return layout
    await _clear(home)
    async with locked(state.lock_file("subnets"), _silent):
        subnet = free_subnet(home, await kernel.ipv4_networks())
        layout = Layout(name=home.name, home=home, subnet=subnet, hosts=(), base=base.name)
        state.save(layout)
        await kernel.add_bridge(layout.bridge, f"{layout.gateway}/24")
    return layout


async def _clear(home: Path) -> None:
    """End, unmount, unplug, delete: in this order, and only what lies in ``home``."""
    await monitor.stop(home)
    await stack.down(home / "sigstore")
    await asyncio.gather(*(kernel.end(process) for process in machine.supervisors(home)))
    await asyncio.gather(*(kernel.end(process, ask=signal.SIGKILL) for process in machine.all_inside(home)))
    await cgroup.clear(f"gopub-{ident(home)}-*")
    await kernel.unmount_below(home)
    await kernel.remove_link(f"gopub-{ident(home)}")
    if not kernel.mounts_below(home):
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


async def _drop_strangers(layout: Layout) -> None:
    """Remove hosts that the lab has no more."""
    names = {host.name for host in layout.hosts}
    folders = (layout.home / "hosts").iterdir() if (layout.home / "hosts").is_dir() else ()
    for folder in [f for f in folders if f.name not in names]:
        for process in kernel.find("systemd-nspawn", f"--directory={folder / 'root'}"):
            await kernel.end(process)
        for process in machine.inside(folder / "root"):
            await kernel.end(process, ask=signal.SIGKILL)
        await machine.discard(folder)


def _write_files(layout: Layout) -> None:
    public_key(layout.key)
    texts = {
        layout.known_hosts: files.known_hosts(layout, pinned(layout)),
        layout.inventory: files.inventory(layout),
        layout.connections: files.connections(layout),
        layout.home / "prometheus.yml": files.prometheus(layout),
        layout.home / "targets-edge.json": files.edge_targets(layout),
        layout.home / "targets-apps.json": files.app_targets(layout),
    }
    for path, text in texts.items():
        state.write(path, text)
