"""Going back never takes more hosts away than the others can carry, and never leaves the edges without a peer."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.fleet.host import Host, SshOptions
from gopub.journal import events as ev
from gopub.journal.kit import Kit, read_kit, write_kit
from gopub.journal.state import fold
from gopub.plan.capacity import carried
from gopub.plan.model import FULL, Outcome, Plan, PlannedStep
from gopub.release import publish
from gopub.release.config import local_keys
from gopub.rollout import back
from gopub.rollout.payload import render_all
from gopub.rollout.run import Run
from gopub.rollout.survey import is_settled
from gopub.rollout.tables import last_table, pools_of
from gopub.rollout.turn import turn_around
from gopub.rollout.wish import Wish
from gopub.store.backends.directory import DirectoryStore
from gopub.traffic.protocol import EdgeStatus
from gopub.traffic.table import RouteTable
from gopub.usecases.start import already_there
from gopub.wiring.backends import BACKENDS
from gopub.wiring.project import hosts_of, open_project
from tests.releases import SPEC, a_plan, prepare
from tests.support.doubles import MemoryChannel, MemoryEdges, MemoryFleet
from tests.support.rollout_world import NEW, OLD, World, drive, in_memory, reach


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


class Everywhere(World):
    """Its second step brings the release to every host."""

    def plan(self) -> Plan:
        made = super().plan()
        return replace(made, steps=(made.steps[0], PlannedStep(1, tuple(self.names), FULL, 1.0)))


def peers(table: RouteTable | None) -> tuple[list[str], list[str]]:
    """Stable's and the canary's."""
    tracks = (table.stable, table.canary) if table else (None, None)
    stable, canary = ([peer.host for peer in track.peers] if track else [] for track in tracks)
    return stable, canary


def taken_back(world: World, harm) -> Run:
    """As far as it goes, then something happens to the hosts, and it goes back."""
    run = world.driver()
    asyncio.run(reach(run, 2))
    first = len(world.router.tables)
    harm(world)
    turn_around(run, Outcome.WITHDRAWN, 7, "the deadline is over")
    asyncio.run(back.go_back(run))
    assert all(table.hosts() for table in world.router.tables[first:]), "an edge had nobody to send requests to"
    return run


def unreachable(*names: str):
    def harm(world: World) -> None:
        for name in names:
            world.machines[name].reachable = False

    return harm


def sick(*names: str):
    """What /healthz asks is away, so that no release answers it well."""

    def harm(world: World) -> None:
        for name in names:
            world.machines[name].bad = frozenset({world.old, world.new})

    return harm


def test_hosts_that_nobody_reaches_any_more_keep_what_they_serve(tmp_path):
    world = Everywhere(tmp_path)
    run = taken_back(world, unreachable(*world.names))
    assert peers(world.router.table) == ([], world.names)
    assert world.router.table.canary.release == NEW, "they are counted as what they run"
    assert world.router.table.canary_until is None, "nobody is left to prolong a term"
    assert run.state.owed == tuple(world.names)
    assert any("still serve" in alarm for alarm in run.alarms)


def test_hosts_on_stable_that_are_unwell_serve_as_stable(tmp_path):
    world = Everywhere(tmp_path)
    run = taken_back(world, sick(*world.names))
    assert set(world.running().values()) == {world.old}
    assert peers(world.router.table) == (world.names, [])
    assert world.router.table.stable.release == OLD
    assert run.state.closed.owed == tuple(world.names)


def test_those_that_the_others_cannot_replace_stay_with_what_stable_cannot_carry(tmp_path):
    world = World(tmp_path)
    taken_back(world, unreachable("app1", "app2"))
    assert peers(world.router.table) == (["app3", "app4"], ["app1", "app2"])
    assert world.router.table.weight == 2500, "two of four at a load of 1.5 carry three quarters"


def test_one_that_is_unwell_on_stable_stays_before_one_that_nobody_reaches(tmp_path):
    world = Everywhere(tmp_path, 6)

    def harm(world: World) -> None:
        unreachable("app1", "app2")(world)
        sick("app3")(world)

    taken_back(world, harm)
    assert peers(world.router.table) == (["app3", "app4", "app5", "app6"], [])


def test_control_one_that_the_others_can_replace_leaves_the_pool(tmp_path):
    world = World(tmp_path)
    run = taken_back(world, unreachable("app2"))
    assert peers(world.router.table) == (["app1", "app3", "app4"], [])
    assert not any("still serve" in alarm for alarm in run.alarms)


def test_the_only_host_stays_in_the_table(tmp_path):
    class One(World):
        def plan(self) -> Plan:
            return replace(super().plan(), steps=(PlannedStep(0, ("app1",), FULL, 1.0),))

    world = One(tmp_path, 1)
    taken_back(world, unreachable("app1"))
    assert peers(world.router.table) == ([], ["app1"])


def test_a_first_release_that_goes_back_leaves_nobody(tmp_path):
    plan = World(tmp_path).plan()
    first = replace(plan, stable=None, hosts=tuple(replace(host, before="") for host in plan.hosts))
    opened = ev.Opened("r1", "hello", "lab", NEW, "2")
    state = fold([opened, ev.Planned(first), *(ev.HostOwed(host.name, "away") for host in first.hosts)])
    assert last_table(first, pools_of(state)).hosts() == ()


@pytest.mark.parametrize(
    ("total", "serving", "enough"),
    [(4, 4, True), (4, 3, True), (4, 2, False), (2, 1, True), (1, 0, False), (6, 4, True), (0, 0, False), (3, 4, True)],
)
def test_how_many_must_serve(total: int, serving: int, enough: bool):
    assert carried(total, serving, 1.5) is enough


@pytest.fixture
def published(tmp_path, monkeypatch) -> World:
    """What is stable is a release in the project's store, signed by the local key."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    prepared = asyncio.run(prepare(tmp_path / "work", a_plan(tmp_path / "work", spec=f"{SPEC}    traffic: edge\n")))
    signed = asyncio.run(publish(DirectoryStore(tmp_path / "project" / "artifacts"), prepared))
    shutil.copytree(tmp_path / "work" / "keys", local_keys())
    world = World(tmp_path, stable=signed.release_id)
    world.at_home(monkeypatch)
    hosts = tmp_path / "project/hosts.ini"
    hosts.write_text(hosts.read_text().replace("role=app", "role=app port=8080"))
    project = open_project(str(tmp_path / "project"))
    environment = project.environment("lab")
    rendered = render_all(signed.release, "lab", environment, hosts_of(project, environment))
    world.old = f"{signed.release_id[:12]}-{rendered['app1'].render_id[:12]}"
    for machine in world.machines.values():
        machine.current, machine.folders = world.old, {world.old: "0" * 64}
    world.ask_for_admissions()
    return world


def settled() -> dict | None:
    """What `gopub rollout 1.0.0` finds."""
    return asyncio.run(already_there(Wish(app="hello", env="lab", version="1.0.0")))


def test_there_is_something_to_do_where_an_edge_does_not_send_to_all_hosts(published):
    world = published
    taken_back(world, unreachable("app2"))
    unreached, world.machines["app2"].current = world.machines["app2"], world.old
    unreached.reachable = True
    assert world.env().stable == world.stable
    assert settled() is None


def test_control_nothing_to_do_where_all_serve(published):
    drive(published, "bad")
    found = settled()
    assert found is not None and found["outcome"] == "nothing to do"


def test_there_is_something_to_do_where_the_inventory_says_something_else(published, tmp_path):
    drive(published, "bad")
    hosts = tmp_path / "project/hosts.ini"
    hosts.write_text(hosts.read_text().replace("port=8080", "port=8081"))
    assert settled() is None


def test_where_nothing_is_to_do_the_kit_learns_how_hosts_are_reached_by_now(published):
    """They were enrolled since the last rollout, and root's key was taken off: the kit's way is shut."""
    run = drive(published, "bad")
    before = SshOptions(user="root", key=Path("/old/key"))
    old = tuple(Host(name, "198.18.9.9", user="root", ssh=before) for name in published.names)
    write_kit(published.kits, Kit(1, run.plan, old, published.environment))
    assert settled()
    kit = read_kit(published.kits, "hello", "lab", BACKENDS)
    assert [(host.name, host.address) for host in kit.hosts] == [
        (name, f"198.18.0.{n}") for n, name in enumerate(published.names)
    ]
    assert {(host.user, host.ssh.user, host.ssh.key) for host in kit.hosts} == {(None, None, None)}
    assert (kit.plan, kit.environment) == (run.plan, published.environment), "what is gone back to stays"
    assert kit.fleet is not None and kit.fleet.kind == "memory"


def test_where_something_is_to_do_the_kit_stays(published):
    run = drive(published, "bad")
    path = write_kit(published.kits, Kit(1, run.plan, (Host("app1", "198.18.9.9"),), published.environment))
    kept = path.read_bytes()
    published.machines["app2"].current = "f" * 64
    assert settled() is None
    assert path.read_bytes() == kept


def test_an_edge_that_does_not_answer_or_has_another_table_is_not_settled(tmp_path):
    world = World(tmp_path)
    drive(world, "bad")
    table = world.router.table
    assert is_settled(EdgeStatus("edge", table), OLD, world.names)
    assert not is_settled(EdgeStatus("edge", table, error="away"), OLD, world.names)
    assert not is_settled(EdgeStatus("edge", None), OLD, world.names)
    assert not is_settled(EdgeStatus("edge", table), NEW, world.names)
    assert not is_settled(EdgeStatus("edge", table), OLD, [*world.names, "app9"])
    assert not is_settled(EdgeStatus("edge", replace(table, canary=table.stable)), OLD, world.names)


class Busy(MemoryChannel):
    """Takes its time, so that orders to several hosts overlap."""

    async def run(self, order, payload=(), *, timeout=120.0):
        if order.verb != "rollback":
            return await super().run(order, payload, timeout=timeout)
        Counting.now += 1
        Counting.most = max(Counting.most, Counting.now)
        await asyncio.sleep(0.01)
        Counting.now -= 1
        return await super().run(order, payload, timeout=timeout)


class Counting(MemoryFleet):
    """How many hosts are restarted at once."""

    now = most = 0

    async def channel(self, host):
        return Busy(host, self.machines[host.name])


class Ten(World):
    """Three of ten hosts are the canary."""

    def __init__(self, path, *, traffic: bool = True) -> None:
        super().__init__(path, 10)
        self.router = MemoryEdges("edge1", "edge2")
        self.traffic = traffic
        Counting.most = 0

    def ports(self, journal=None):
        known = replace(super().ports(journal), fleet=Counting(self.machines))
        return known if self.traffic else replace(known, router=None)

    def plan(self) -> Plan:
        steps = (PlannedStep(0, ("app1", "app2", "app3"), 3000, 1.0),)
        return replace(super().plan(), steps=steps, upstream="hello" if self.traffic else "")


def restarted_at_once(world: Ten, *, down: str = "") -> int:
    run = world.driver()
    asyncio.run(reach(run))
    if down:
        world.router.edges[down].down = True
    turn_around(run, Outcome.ROLLED_BACK, 1, "errors")
    asyncio.run(back.go_back(run))
    assert set(world.running().values()) == {world.old}
    return Counting.most


def test_a_canary_without_traffic_is_restarted_all_at_once(tmp_path):
    assert restarted_at_once(Ten(tmp_path)) == 3


def test_without_edges_no_more_hosts_are_out_than_on_the_way_forward(tmp_path):
    assert restarted_at_once(Ten(tmp_path, traffic=False)) == 1


def test_with_an_edge_that_may_still_send_to_the_canary_either(tmp_path):
    assert restarted_at_once(Ten(tmp_path), down="edge2") == 1
