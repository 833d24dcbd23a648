"""A fleet of enrolled hosts: whoever rolls out by the rules, or goes back, is never refused by their own side.

Hosts in memory take what was admitted alone (``tests/support/memory_admission.py``), in every test of a rollout; here
stand the courses in which a serial, a key or a memory could be in the way.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.evidence.summary import read_summary, sign_summary
from gopub.plan.model import Outcome
from gopub.rollout import back, hosts
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from gopub.usecases.recover_edges import begin, debts
from gopub.usecases.recover_hosts import look
from tests.support.enrolled import fresh_signer
from tests.support.rollout_world import TwoEdges, World, chart, drive, in_memory, missed, reach, recover


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)


def outcome(run: Run) -> Outcome:
    assert run.state.closed is not None
    return Outcome(run.state.closed.outcome)


def untouched(world: World) -> bool:
    """Whether every host runs what it ran, and holds nothing else."""
    held = {name for machine in world.machines.values() for name in machine.folders}
    return set(world.running().values()) == held == {world.old}


def whole(world: World) -> None:
    """A rollout to its end, by whoever comes; it must be promoted."""
    run = world.driver(rollout=world.env().active or "r1")
    asyncio.run(chart(run, "good"))
    assert outcome(run) is Outcome.PROMOTED, run.state
    assert set(world.running().values()) == {world.new}


def left(world: World, steps: int = 1) -> Run:
    """A rollout whose driver died in the bake of a step."""
    run = world.driver()
    asyncio.run(reach(run, steps))
    return run


def test_a_rollout_is_let_in_by_what_was_stated_under_its_seat(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = drive(world, "good")
    assert outcome(run) is Outcome.PROMOTED
    for machine in world.machines.values():
        assert machine.admission is not None
        assert (machine.admission.serial, machine.admission.refused) == (2 * run.state.epoch, [])


def test_control_what_nothing_was_stated_of_enters_no_host_and_is_not_blamed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.says = ()
    run = drive(world, "good")
    assert outcome(run) is Outcome.WITHDRAWN
    assert run.state.back is not None
    assert "GP467" in run.state.back.reason
    assert untouched(world)
    assert world.env().quarantine == frozenset()


def test_what_an_older_version_stated_has_no_serial_and_a_rollout_of_it_goes_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    (one,) = world.stated(5)
    old = sign_summary(world.admits, replace(read_summary(one.text.encode()).summary, serial=None))
    world.says = (replace(one, text=old.text, key=""),)
    assert outcome(drive(world, "good")) is Outcome.WITHDRAWN
    assert untouched(world)


@pytest.mark.parametrize("steps", [1, 2])
def test_drivers_that_die_go_on_with_what_was_stated_first(tmp_path: Path, steps: int) -> None:
    world = World(tmp_path)
    first = left(world, steps)
    for _ in range(2):
        world.driver()
    whole(world)
    assert world.refused() == []
    serials = {machine.admission.serial for machine in world.machines.values() if machine.admission}
    assert serials == {2 * first.state.epoch}, "their orders came under later seats"


def turned_around(run: Run, why: Outcome = Outcome.WITHDRAWN) -> None:
    turn_around(run, why, 0, "not today")
    asyncio.run(back.go_back(run))


def test_a_release_that_was_withdrawn_enters_by_a_new_admission_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = left(world)
    world.says = world.stated(run.state.epoch)
    turned_around(run)
    again = world.driver(rollout="r2")
    asyncio.run(chart(again, "good"))
    assert outcome(again) is Outcome.WITHDRAWN
    assert again.state.back is not None
    assert again.state.back.reason.startswith("app1: GP470 "), "the one host that went back from it"
    assert set(world.running().values()) == {world.old}
    world.says = None
    third = world.driver(rollout="r3")
    asyncio.run(chart(third, "good"))
    assert outcome(third) is Outcome.PROMOTED, "a control: admitted anew it enters"


def test_a_way_back_whose_driver_dies_goes_on_and_the_next_rollout_enters(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = left(world, 2)
    turn_around(run, Outcome.WITHDRAWN, 0, "not today")
    for name in ("app1",):  # it came as far as this one
        asyncio.run(hosts.restore(run, name))
    asyncio.run(back.go_back(world.driver()))
    assert set(world.running().values()) == {world.old}
    again = world.driver(rollout="r2")
    asyncio.run(chart(again, "good"))
    assert outcome(again) is Outcome.PROMOTED
    assert world.refused() == []


def test_a_host_that_missed_the_way_back_is_mended_and_takes_the_next_release(tmp_path: Path) -> None:
    world = TwoEdges(tmp_path)
    missed(world, "app2")
    admission = world.machines["app2"].admission
    assert admission is not None
    assert (world.running()["app2"], admission.floor) == (world.new, 0), "a control: it heard of nothing"
    (debt,) = debts(world.journal)
    facts = {name: machine.facts() for name, machine in world.machines.items()}
    begin(world.journal, debt, 0.0, look(world.plan(), debt.hosts, world.names, facts, {}, may_try=debt.hosts))
    recover(world)
    assert world.running()["app2"] == world.old
    assert admission.floor > 0
    assert world.refused() == []


def test_the_first_release_of_an_environment_is_stopped_and_enters_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    for machine in world.machines.values():
        machine.folders, machine.current = {}, ""
    world.ask_for_admissions()
    world.old = ""
    run = left(world)
    turned_around(run)
    assert set(world.running().values()) == {""}
    again = world.driver(rollout="r2")
    asyncio.run(chart(again, "good"))
    assert outcome(again) is Outcome.PROMOTED
    assert world.refused() == []


def test_hosts_that_are_enrolled_in_the_middle_of_a_rollout_let_it_go_on_and_back(tmp_path: Path) -> None:
    for number, ends in enumerate((Outcome.PROMOTED, Outcome.WITHDRAWN)):
        (tmp_path / str(number)).mkdir()
        world = World(tmp_path / str(number))
        for machine in world.machines.values():
            machine.admission = None
        run = left(world)
        world.ask_for_admissions()
        if ends is Outcome.PROMOTED:
            whole(world)
        else:
            turned_around(run)
            assert set(world.running().values()) == {world.old}
        assert world.refused() == []


def test_an_admission_key_that_is_taken_away_in_the_middle_stops_the_rollout_and_not_its_way_back(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    left(world)
    for machine in world.machines.values():
        assert machine.admission is not None
        machine.admission.keys = {}
    run = world.driver()
    asyncio.run(chart(run, "good"))
    assert outcome(run) is Outcome.WITHDRAWN
    assert world.env().quarantine == frozenset(), "the release is not to blame"
    assert set(world.running().values()) == {world.old}
    assert {line.rpartition(" ")[2] for line in world.refused()} == {"GP468"}
    world.admits = fresh_signer()
    for machine in world.machines.values():
        assert machine.admission is not None
        machine.admission.keys = {world.admits.public.fingerprint: world.admits.public}
    again = world.driver(rollout="r2")
    asyncio.run(chart(again, "good"))
    assert outcome(again) is Outcome.PROMOTED


@pytest.mark.parametrize("told", [True, False])
def test_a_new_journal_after_another_controller_s_key_takes_a_seat_above_what_was_admitted(
    tmp_path: Path, *, told: bool
) -> None:
    """Orders begin anew with a new key, admissions do not: hosts say from which epoch on they take them."""
    world = World(tmp_path)
    world.machines["app1"].epoch = 500
    drive(world, "good")
    later = World(tmp_path, journal=str(tmp_path / "new.db"))
    later.admits = world.admits
    for name, machine in world.machines.items():
        assert machine.admission is not None
        machine.admission.controllers = {"d" * 64}
        machine.enrolled = told
        machine.epoch, machine.token, machine.n, machine.answered = 0, "", 0, {}
        later.machines[name] = machine
    run = later.driver()
    asyncio.run(chart(run, "good"))
    assert (outcome(run) is Outcome.PROMOTED, later.refused() == []) == (told, told)
    assert set(world.running().values()) == {world.new}
