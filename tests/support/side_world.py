"""Hosts in memory on which old and new release run side by side, and an edge whose tables are held against that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from gopub.fleet.facts import HostFacts
from gopub.fleet.orders import Order, Record
from gopub.fleet.slots import Slots
from gopub.plan.model import Plan
from gopub.traffic.protocol import EdgeAck
from gopub.traffic.table import RouteTable
from tests.support.doubles import MemoryHost, MemoryRouter
from tests.support.memory_admission import MemoryAdmission
from tests.support.rollout_world import World

PORTS = {"a": 8080, "b": 8081}


@dataclass
class SideHost(MemoryHost):
    """A machine with two slots: ``runs`` is what each of them runs, ``slot`` the one that ``current`` names."""

    slot: str = "a"
    runs: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)

    def facts(self) -> HostFacts:
        """As the host program would tell them."""
        slots = Slots(self.slot, PORTS[self.slot], tuple(self.folders)) if self.current else Slots()
        return replace(super().facts(), slots=slots)

    def _do(self, order: Order) -> Record:
        if order.verb in ("switch", "rollback") and order.folder in self.folders and order.folder != self.current:
            other = "b" if self.slot == "a" else "a"
            self.slot = next((slot for slot, folder in self.runs.items() if folder == order.folder), other)
            self.runs[self.slot] = order.folder
        record = super()._do(order)
        if order.verb == "prune":
            self.stopped += [folder for slot, folder in self.runs.items() if slot != self.slot]
            self.runs = {self.slot: self.current} if self.current else {}
        return record

    def _record(self, order: Order, code: str = "", message: str = "") -> Record:
        record = super()._record(order, code, message)
        where = {"slot": self.slot, "port": str(PORTS[self.slot])} if self.current else {}
        return replace(record, values={**record.values, **where})


@dataclass
class WatchedRouter(MemoryRouter):
    """An edge that is never told to send anybody where nobody listens, or where another release does."""

    machines: dict[str, SideHost] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Take a table, and hold it against what runs."""
        acks = await super().put(table)
        self.look(f"table {table.revision}")
        return acks

    def look(self, when: str) -> None:
        """Write down each peer that is not what the table says of it."""
        if self.table is None:
            return
        tracks = [track for track in (self.table.stable, self.table.canary) if track]
        if not any(track.peers for track in tracks):
            self.wrong.append(f"{when}: nobody serves")
        for track in tracks:
            for peer in track.peers:
                slot = next(slot for slot, port in PORTS.items() if peer.address.endswith(f":{port}"))
                runs = self.machines[peer.host].runs.get(slot, "")
                if not runs.startswith(track.release[:12]):
                    self.wrong.append(f"{when}: {peer.address} runs {runs or 'nothing'}, not {track.release[:12]}")


class SideWorld(World):
    """A world of such hosts and one such edge; slot ``a`` serves at first."""

    machines: dict[str, SideHost]  # type: ignore[assignment]

    def __init__(self, path: Path, count: int = 4) -> None:
        super().__init__(path, count)
        self.machines = {name: self._host(name) for name in self.names}
        self.router = WatchedRouter(machines=self.machines)
        for machine in self.machines.values():
            machine.admission = MemoryAdmission.of(self.admits.public, machine.folders)

    def _host(self, name: str) -> SideHost:
        held, runs = {self.old: "0" * 64}, {"a": self.old}
        return SideHost(name, f"id-{name}", folders=held, current=self.old, epoch=7, runs=runs)

    def plan(self) -> Plan:
        """The same plan, side by side."""
        made = super().plan()
        return replace(made, hosts=tuple(replace(host, beside=True, slot="a") for host in made.hosts))

    @property
    def wrong(self) -> list[str]:
        """What an edge was told that was not so."""
        assert isinstance(self.router, WatchedRouter)
        return self.router.wrong
