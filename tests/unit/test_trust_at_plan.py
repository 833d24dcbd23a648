"""What is told of trust before anything is done: edges that check nothing, admissions that hosts do not believe."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.evidence.keys import private_key_in
from gopub.evidence.roles import Role, Roles, lists_beside
from gopub.fleet.backends.ssh import Ssh
from gopub.fleet.enrolled import Enrolment
from gopub.fleet.enrolling import Answer
from gopub.fleet.host import Host
from gopub.plan.preflight import trouble
from gopub.rollout.stating import lists_here, unbelieved
from gopub.rollout.survey import loose_edges
from gopub.usecases.enrol_host import on_each_machine
from gopub.usecases.make_keys import make_keys
from tests.support.rollout_world import World

DAY = 86400.0


@dataclass
class Edge:
    """Enrolled, or not."""

    stands: bool

    async def enrolled(self) -> bool:
        return self.stands


class Edges:
    """Edges by name; None is away."""

    def __init__(self, **stand: bool | None) -> None:
        self.stand = stand

    async def channel(self, host: Host) -> Edge:
        stands = self.stand[host.name]
        if stands is None:
            raise GopubError("GP413", f"{host.name} is away")
        return Edge(stands)


async def test_edges_are_asked_where_an_env_wants_enrolled_ones(tmp_path: Path) -> None:
    world = World(tmp_path)
    fleet, hosts = Edges(e1=True, e2=False, e3=None), tuple(Host(name, "127.0.0.1") for name in ("e1", "e2", "e3"))
    wants = world.environment.model_copy(update={"require": "enrolled"})
    ports = replace(world.ports(), fleet=fleet, edges=hosts, environment=wants)  # type: ignore[arg-type]
    assert await loose_edges(ports) == ("e2",)
    assert await loose_edges(replace(ports, environment=world.environment)) == (), "nobody is asked who need not be"
    facts = {name: replace(machine.facts(), enrolled=Enrolment((name,), ("lab",), 1, "", ()))
             for name, machine in world.machines.items()}  # fmt: skip
    assert trouble("lab", wants, facts) is None, "control: the hosts are enrolled"
    found = trouble("lab", wants, facts, ("e2",))
    assert found and found.code == "GP480" and "e2 is not enrolled" in found.problem and "--edges" in found.hint


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lists: in the second one another key admits."""
    folder = tmp_path_factory.mktemp("keys") / "keys"
    make_keys(folder, DAY, SystemClock())
    (folder / "admission").rename(folder / "before")
    make_keys(folder, DAY, SystemClock())
    return folder


def stands(world: World, roles: Roles, controllers: Sequence[str] | None = None):
    held = tuple(one.fingerprint for one in roles.of(Role.CONTROLLER)) if controllers is None else tuple(controllers)
    enrolled = Enrolment(("app1",), ("lab",), roles.serial, "", held)
    plain = world.machines["app2"].facts()
    return {"app1": replace(world.machines["app1"].facts(), enrolled=enrolled), "app2": replace(plain, enrolled=None)}


def test_a_key_whose_admissions_a_host_does_not_believe_is_refused_before_anything_is_stated(
    tmp_path: Path, keys: Path
) -> None:
    world = World(tmp_path)
    lists = lists_here(Ssh.model_validate({"sign": {"key": keys / "controller/gopub.key", "roles": keys / "roles"}}))
    assert [one.serial for one in lists] == [1, 2]
    first, second = (one.roles for one in lists_beside(keys / "roles"))
    old, new = (private_key_in(keys / name).public_key() for name in ("before", "admission"))
    refused = unbelieved(new, stands(world, first), lists)
    assert refused and refused.code == "GP354" and refused.problem.startswith("app1 believe no admission that key ")
    assert "app2" not in refused.problem, "who is not enrolled believes whoever logs in"
    assert unbelieved(old, stands(world, first), lists) is None
    assert unbelieved(old, stands(world, second), lists)
    assert unbelieved(new, stands(world, second), lists) is None
    assert unbelieved(new, stands(world, first, ("a" * 64,)), lists) is None, "a list of that serial under other roots"
    assert unbelieved(new, stands(world, replace(first, serial=9)), lists) is None, "a list that is not here"


def test_a_list_that_is_away_or_damaged_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "roles").write_text("serial=3\n")
    for roles in (tmp_path / "roles", tmp_path / "nowhere", None):
        assert lists_here(Ssh.model_validate({"sign": {"key": tmp_path / "key", "roles": roles}})) == ()
    assert lists_here(Ssh()) == lists_here(None) == ()


async def test_who_interrupts_an_enrolment_is_told_what_is_done_and_the_journal_is_too() -> None:
    hosts = [Host(name, "127.0.0.1") for name in ("app1", "app2", "edge")]
    first, cut, kept = asyncio.Event(), [], []

    async def work(host: Host) -> Answer:
        if host.name == "app1":
            first.set()
            return Answer(None)
        await asyncio.Event().wait()
        raise AssertionError

    machines = {"m1": ["app1", "edge"], "m2": ["app2"]}
    task = asyncio.create_task(
        on_each_machine(machines, hosts, work, kept.append, lambda done, left: cut.append((done, left)))
    )
    await first.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cut == [(["app1", "edge"], ["app2"])], "a machine of two names is done as both"
    assert [sorted(one) for one in kept] == [["app1", "edge"]]
