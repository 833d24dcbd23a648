"""Old and new release side by side: no edge is ever sent where nobody listens, whoever dies, and both end alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gopub.fleet.slots import SIDE
from gopub.journal.state import fold
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome
from gopub.rollout import hosts
from gopub.rollout.tables import pools_of
from tests.support.rollout_world import Killed, MortalJournal, World, drive, in_memory, reach
from tests.support.side_world import PORTS, SideWorld


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


def check_whole(world: SideWorld, verdict: str) -> None:
    """One release everywhere, alone on its host, and the edge knows on which port."""
    wanted, slot = (world.old, "a") if verdict == "bad" else (world.new, "b")
    assert [machine.runs for machine in world.machines.values()] == [{slot: wanted}] * len(world.names)
    table = world.router.table
    assert table is not None and table.canary is None and table.stable is not None
    assert sorted(peer.address for peer in table.stable.peers) == [f"{name}:{PORTS[slot]}" for name in world.names]
    assert world.wrong == []


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_no_table_ever_names_a_port_where_the_release_does_not_run(tmp_path, verdict, count):
    world = SideWorld(tmp_path, count)
    if count == 1:
        world.plan = lambda: one_host(world)  # type: ignore[method-assign]
    run = drive(world, verdict)
    assert run.state.closed and run.state.closed.outcome is (
        Outcome.ROLLED_BACK if verdict == "bad" else Outcome.PROMOTED
    )
    check_whole(world, verdict)


def one_host(world: SideWorld):
    made = SideWorld.plan(world)
    return replace(made, steps=tuple(replace(step, hosts=("app1",)) for step in made.steps))


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_killed_at_every_append_another_driver_ends_it_whole(tmp_path, verdict):
    (tmp_path / "count").mkdir()
    counting = MortalJournal(SideWorld(tmp_path / "count", 2).journal, 0, after=False)
    drive(SideWorld(tmp_path / "count", 2), verdict, counting)
    for at in range(1, -counting.left + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = SideWorld(folder, 2)
        with pytest.raises(Killed):
            drive(world, verdict, MortalJournal(world.journal, at, after=bool(at % 2)))
        assert world.wrong == [], f"killed at append {at}"
        if not (world.journal.read(stream_of("r1")) and not world.env().active):
            drive(world, verdict)
        check_whole(world, verdict)


def test_no_host_leaves_the_pool_while_it_switches(tmp_path):
    world = SideWorld(tmp_path)
    drive(world, "bad")
    assert {len(table.hosts()) for table in world.router.tables} == {4}


def test_control_hosts_that_restart_leave_it(tmp_path, monkeypatch):
    world = SideWorld(tmp_path)
    monkeypatch.setattr(SideWorld, "plan", World.plan)  # without `beside`
    drive(world, "good")
    assert 3 in {len(table.hosts()) for table in world.router.tables}


def test_what_served_runs_on_until_the_rollout_is_over(tmp_path):
    world = SideWorld(tmp_path)
    asyncio.run(reach(world.driver(), 2))
    assert [machine.runs for machine in world.machines.values()][:2] == [{"a": world.old, "b": world.new}] * 2
    assert all(not machine.stopped for machine in world.machines.values())


def test_a_host_that_cannot_be_confirmed_is_reached_where_it_says_that_it_serves(tmp_path):
    """Owed and on stable's folder, it stays in the pool of a fleet that cannot do without it, at stable's port."""
    world = SideWorld(tmp_path, 1)
    world.plan = lambda: one_host(world)  # type: ignore[method-assign]
    run = world.driver()
    asyncio.run(reach(run, 1))
    assert pools_of(run.state).ports == {"app1": 8081}
    state = fold([], run.state)
    owed = replace(state.hosts["app1"], owed="GP446 no answer", found=world.old)
    pools = pools_of(replace(state, hosts={"app1": owed}))
    assert (pools.places, pools.ports) == ({"app1": "stable"}, {})


def test_the_order_to_switch_asks_for_the_proof_and_the_log_is_that_of_the_slot(tmp_path):
    world = SideWorld(tmp_path)
    run = world.driver()
    asyncio.run(reach(run, 1))
    targets = {target.host: target.unit for target in asyncio.run(hosts.log_targets(run))}
    assert targets == {"app1": "hello@b.service"} | dict.fromkeys(world.names[1:], "hello@a.service")
    assert SIDE == "side-by-side"
