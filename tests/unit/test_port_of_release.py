"""The port belongs to the release that runs: edges and questions go where each release listens, there and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.fleet.host import Host
from gopub.fleet.orders import Order, Record
from gopub.journal.kit import Kit, read_kit, write_kit
from gopub.plan.floor import Before
from gopub.plan.model import Outcome, Plan, ReleaseRef
from gopub.rollout.payload import asks_of
from gopub.rollout.plan import make_plan
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment
from gopub.traffic.table import RouteTable
from gopub.usecases import rollback
from gopub.wiring.backends import BACKENDS
from tests.releases import a_plan, prepare
from tests.support.doubles import MemoryHost, MemoryRouter
from tests.support.rollout_world import NEW, OLD, Killed, MortalJournal, World, chart, drive, in_memory
from tests.unit.test_rollback import garbage

SPEC = """
app: hello
environments:
  lab: {inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:PORT/healthz", traffic: edge}
"""


def environment(port: int) -> Environment:
    return parse_spec(SPEC.replace("PORT", str(port)), "gopub.yaml").spec.environments["lab"]


class Moved(World):
    """The old release listens on 8080, the new one on 9090; each host answers only where its release listens."""

    told = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.environment = environment(9090)

    def plan(self) -> Plan:
        """With how hosts are asked about the old one."""
        asks = tuple(asks_of(environment(8080)).items())
        return replace(super().plan(), before_asks=asks if self.told else ())

    def listens(self, name: str) -> str:
        return "9090" if self.machines[name].current == self.new else "8080"


@pytest.fixture(autouse=True)
def _each_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    real = MemoryHost._proof

    def proof(machine: MemoryHost, order: Order) -> Record:
        found = real(machine, order)
        port = "9090" if machine.current.startswith(NEW[:12]) else "8080"
        asked = {order.arguments["port"], order.arguments["traffic_port"]}
        at = order.arguments["health"]
        if found.ok and (asked != {port} or f":{port}/" not in at):
            return machine._record(order, "GP445", f"it listens on {port}, and was asked for {asked} and {at}")
        return found

    monkeypatch.setattr(MemoryHost, "_proof", proof)


def reached(table: RouteTable) -> dict[str, str]:
    tracks = [track for track in (table.stable, table.canary) if track]
    return {peer.host: peer.address.rpartition(":")[2] for track in tracks for peer in track.peers}


def last(world: Moved) -> dict[str, str]:
    assert isinstance(world.router, MemoryRouter)
    return reached(world.router.tables[-1])


def never_elsewhere(world: Moved) -> None:
    """The two tracks of each table go to the ports of their releases."""
    assert isinstance(world.router, MemoryRouter)
    ports = {OLD: "8080", NEW: "9090"}
    for table in world.router.tables:
        for track in (table.stable, table.canary):
            for peer in track.peers if track else ():
                assert peer.address.rpartition(":")[2] == ports[track.release], table  # type: ignore[union-attr]


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_there_and_back_each_release_is_asked_and_reached_where_it_listens(tmp_path: Path, verdict: str) -> None:
    world = Moved(tmp_path)
    run = drive(world, verdict)
    assert run.state.closed is not None
    assert run.state.closed.outcome is (Outcome.PROMOTED if verdict == "good" else Outcome.ROLLED_BACK)
    assert not run.state.owed, run.alarms
    assert last(world) == {name: world.listens(name) for name in world.names}
    never_elsewhere(world)


def test_control_a_plan_that_does_not_know_it_asks_the_old_release_in_vain(tmp_path: Path) -> None:
    class Untold(Moved):
        told = False

    run = drive(Untold(tmp_path), "bad")
    assert run.state.owed


@pytest.mark.parametrize("at", [9, 13, 17, 21])
def test_whoever_takes_it_over_knows_it_from_the_plan(tmp_path: Path, at: int) -> None:
    world = Moved(tmp_path)
    with pytest.raises(Killed):
        drive(world, "bad", MortalJournal(world.journal, at, after=True))
    run = drive(world, "bad")
    assert run.state.closed is not None
    assert not run.state.owed, run.alarms
    assert last(world) == dict.fromkeys(world.names, "8080")
    never_elsewhere(world)


@pytest.mark.parametrize("journal", ["there", "gone"])
def test_a_rollback_after_the_promotion_finds_each_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: str
) -> None:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setattr(rollback, "LOCKED", 0.1)
    world = Moved(tmp_path)
    run = world.driver()
    asyncio.run(chart(run, "good"))
    known, edges = (("1", OLD), ("2", NEW)), (Host("edge1", "198.18.0.100"),)
    write_kit(world.kits, Kit(run.seat.epoch, run.plan, world.ports().hosts, world.environment, edges,
                              world.edges_known, known, fleet=world.way))  # fmt: skip
    world.journal.close()
    if journal == "gone":
        garbage(tmp_path / "journal.db")
    done = asyncio.run(rollback.take_back("hello", "lab"))
    assert (done["outcome"], done["owed"]) == ("rolled back", [])
    assert set(world.running().values()) == {world.old}
    assert last(world) == dict.fromkeys(world.names, "8080")
    never_elsewhere(world)
    assert read_kit(world.kits, "hello", "lab", BACKENDS).plan.before_asks


@pytest.mark.parametrize("port", [8080, 7070])
def test_a_plan_knows_where_the_release_before_listens(tmp_path: Path, port: int) -> None:
    world = World(tmp_path)
    release = asyncio.run(prepare(tmp_path, a_plan(tmp_path))).release
    ports = world.ports()
    ports = replace(ports, hosts=tuple(replace(host, variables={"port": 8080}) for host in ports.hosts))
    facts = {name: machine.facts() for name, machine in world.machines.items()}
    asks: Mapping[str, str] = asks_of(environment(port))
    before = Before(ReleaseRef(OLD, "1.0.0"), asks=tuple(asks.items()))
    made = asyncio.run(make_plan("r2", release, "lab", ports, facts, before=before))
    assert {host.peer.rpartition(":")[2] for host in made.hosts} == {str(port)}
    assert dict(made.before_asks) == (asks if port != 8080 else {})
