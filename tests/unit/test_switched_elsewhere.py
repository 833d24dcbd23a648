"""A host that somebody else switched beside its rollout: the rollout is withdrawn, and the release is not blamed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.fleet.orders import Order, Record
from gopub.health.course import Course
from gopub.health.samples import ProcessHealth
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.store import Journal
from gopub.judge.after import Finding, Rules, Seen, look
from gopub.judge.verdict import Cause, Kind
from gopub.plan.model import Outcome
from gopub.rollout import back, hosts
from gopub.rollout import bake as bake_box
from gopub.rollout.judging import judging
from gopub.rollout.run import Run
from tests.support.doubles import MemoryHost
from tests.support.rollout_world import NEW, World, in_memory, reach
from tests.unit.verdicts import drawn

GONE, HERE = "aaaaaaaaaaaa-111111111111", "bbbbbbbbbbbb-222222222222"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    in_memory(monkeypatch)
    return World(tmp_path)


async def _bake(run: Run) -> None:
    await bake_box.bake(run, run.plan.steps[0], judging(run))
    await back.go_back(run)


def baking(world: World) -> Run:
    """The canary is in its first bake, and its driver is gone; another one takes it up."""
    asyncio.run(reach(world.driver()))
    return world.driver(rollout="r1")


def ended(journal: Journal) -> ev.Closed:
    closed = read_state(journal, "r1").closed
    assert closed is not None
    return closed


def test_a_canary_that_somebody_took_back_is_withdrawn_and_not_quarantined(world: World):
    run = baking(world)
    world.machines["app1"].current = world.old
    asyncio.run(_bake(run))
    closed = ended(world.journal)
    assert closed.outcome is Outcome.WITHDRAWN
    assert f"current is {world.old} on app1" in closed.reason
    assert "somebody else switched" in closed.reason
    assert "not the signed binary" not in closed.reason
    assert world.env().quarantine == frozenset()
    assert set(world.running().values()) == {world.old}


def test_control_a_process_of_another_file_is_the_releases_fault(world: World):
    run = baking(world)
    world.machines["app1"].other_file = frozenset({world.new})
    asyncio.run(_bake(run))
    closed = ended(world.journal)
    assert closed.outcome is Outcome.ROLLED_BACK
    assert "the process that serves is not the signed binary" in closed.reason
    assert NEW in world.env().quarantine


class Contested(MemoryHost):
    """Somebody else switches it between our switch and its proof."""

    def answer(self, order: Order) -> Record:
        record = super().answer(order)
        if order.verb == "switch":
            self.current = self.previous
        return record


async def _first_step(run: Run) -> None:
    await reach(run)
    await back.go_back(run)


def test_so_it_is_where_the_proof_after_a_switch_finds_it(world: World):
    world.machines["app1"] = Contested(**vars(world.machines["app1"]))
    asyncio.run(_first_step(world.driver()))
    closed = ended(world.journal)
    assert closed.outcome is Outcome.WITHDRAWN
    assert f"current is {world.old} on app1" in closed.reason
    assert world.env().quarantine == frozenset()


def test_control_a_proof_that_finds_another_file_blames_the_release(world: World):
    world.machines["app1"].other_file = frozenset({world.new})
    asyncio.run(_first_step(world.driver()))
    assert ended(world.journal).outcome is Outcome.ROLLED_BACK
    assert NEW in world.env().quarantine


def record(code: str, verb: str = "verify", **values: str) -> Record:
    return Record("h", verb, 1, "t", 1, ok=False, changed=False, code=code, message="said", values=values)


@pytest.mark.parametrize("code", sorted(hosts.RELEASE_AT_FAULT))
def test_whatever_a_look_says_of_another_release_blames_nobody(code: str):
    """A unit that is down or restarts is the other release's as well, and so is one that was stopped."""
    for other in (GONE, ""):
        assert not hosts.blames_release(record(code, current=other), HERE)
        assert hosts.health_of("h", record(code, "status", current=other), HERE) == ProcessHealth(
            "h", detail=f"{code} said", other=other
        )
    assert hosts.blames_release(record(code, current=HERE), HERE), "control: it is the release that fails"
    assert hosts.blames_release(record(code), HERE), "a host that does not say which is current excuses nothing"
    assert hosts.blames_release(record(code, "switch", current=GONE), HERE), "a switch may fail before current moves"


def test_a_machine_that_boots_is_not_one_that_somebody_switched():
    seen = hosts.health_of("h", record("GP451", "status", current=GONE), HERE)
    assert not seen.reachable


def test_the_judge_withdraws_at_once_and_blames_where_another_host_fails():
    other = ProcessHealth("web1", other=GONE, exe_ok=False, active=False, restarts=9)
    verdict = drawn(hosts=(other, ProcessHealth("web2"))).verdict
    assert (verdict.kind, verdict.rule, verdict.cause) == (Kind.WITHDRAW, 1, Cause.ELSEWHERE)
    blamed = drawn(hosts=(other, ProcessHealth("web2", exe_ok=False))).verdict
    assert (blamed.kind, blamed.cause) == (Kind.ROLLBACK, Cause.HOSTS)
    assert "web1" not in blamed.reason


def test_a_watch_tells_it_and_takes_nothing_back():
    well = tuple(ProcessHealth(name) for name in "abcd")
    rules = Rules(errors=0.01, slow=False, min_requests=50, begun=0.0)
    for health_only in (True, False):
        seen = Seen(
            1.0, Course(), (*well[:2], *(replace(one, other=GONE) for one in well[2:])), health_only=health_only
        )
        found = look(seen, rules)
        assert (found.finding, GONE in found.says) == (Finding.OUTSIDE, True)
    dead = replace(seen, hosts=(*well[:2], *(replace(one, exe_ok=False) for one in well[2:])))
    assert look(dead, rules).finding is Finding.BREACH, "control"
