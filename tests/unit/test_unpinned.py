"""Hosts that check no orders: who is told of them, who refuses them, and that one which did is not ordered any more."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gopub.errors import ErrorGroup, Exit, RefusedError
from gopub.fleet.enrolled import Enrolment
from gopub.fleet.facts import HostFacts
from gopub.fleet.standing import Standing
from gopub.journal import events as ev
from gopub.journal.events import decode, encode
from gopub.journal.state import fold
from gopub.plan.model import Outcome
from gopub.plan.preflight import trouble
from gopub.plan.steps import unpinned_note
from gopub.rollout import hosts
from gopub.rollout.back import go_back
from gopub.rollout.turn import turn_around
from gopub.usecases.adopt_host import adopt
from gopub.views.board import Scene, board
from gopub.views.events import more, tell
from gopub.views.explanation import explanation
from gopub.views.plan import plan_lines, say_unpinned
from gopub.views.reading import read_envs
from gopub.views.status import notes
from gopub.views.verdict import verdict_view
from tests.support.doubles import MemoryHost
from tests.support.rollout_world import World, drive, in_memory, reach
from tests.unit.verdicts import FORMS, event

ENROLMENT = Enrolment(("app1",), ("lab",), 1, "0" * 64, ())


def enroll(world: World, *names: str) -> None:
    for name in names or world.names:
        world.machines[name].enrolled = True


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    in_memory(monkeypatch)
    return World(tmp_path)


def test_a_plan_names_those_that_are_and_says_nothing_where_none_is(world: World) -> None:
    plan = world.plan()
    assert say_unpinned(plan) == "unpinned"
    assert unpinned_note(plan.hosts)[0].startswith("hosts are unpinned: ")
    assert ", unpinned; " in (tell(ev.Planned(plan)) or "")
    enroll(world, "app1", "app3")
    some = world.plan()
    assert some.unpinned == ("app2", "app4")
    assert say_unpinned(some) == "unpinned: app2 and app4"
    assert unpinned_note(some.hosts)[0].startswith("unpinned: app2, app4: ")
    enroll(world)
    every = world.plan()
    assert (every.unpinned, say_unpinned(every), unpinned_note(every.hosts)) == ((), "", ())
    assert "pinned" not in "".join([*plan_lines(every), tell(ev.Planned(every)) or ""])


def test_a_plan_of_before_reads_on_and_its_hosts_are_unpinned(world: World) -> None:
    kind, data = encode(ev.Planned(world.plan()))
    old: Any = json.loads(json.dumps(data))
    for host in old["plan"]["hosts"]:
        del host["pinned"]
    read = decode(kind, old)
    assert isinstance(read, ev.Planned)
    assert read.plan.unpinned == ("app1", "app2", "app3", "app4")


def test_who_must_be_enrolled_and_is_not_is_refused_before_anything_is_planned(world: World) -> None:
    wants = world.environment.model_copy(update={"require": "enrolled"})
    plain, pinned = HostFacts("app1", "1"), HostFacts("app2", "2", enrolled=ENROLMENT)
    found = trouble("lab", wants, {"app1": plain, "app2": pinned})
    assert isinstance(found, RefusedError)
    assert (found.code, found.exit) == ("GP480", Exit.REFUSED)
    assert found.problem == "app1 is not enrolled, and lab says `require: enrolled`"
    assert trouble("lab", wants, {"app2": pinned}) is None
    assert trouble("lab", world.environment, {"app1": plain}) is None, "control: any host will do"
    both = trouble("lab", wants, {"app1": replace(plain, standing=Standing(current="a folder"))})
    assert isinstance(both, ErrorGroup)
    assert [one.code for one in both.errors] == ["GP480", "GP454"]


def test_a_host_that_was_enrolled_at_the_plan_and_is_not_any_more_is_told_nothing(world: World) -> None:
    """Somebody took its enrolment away, so that it takes any order again: ours would be the first of them."""
    enroll(world)
    run = world.driver()
    asyncio.run(reach(run))
    before = list(world.machines["app1"].history)
    world.machines["app1"].enrolled = False
    with pytest.raises(RefusedError, match="app1 was enrolled when the plan was made") as caught:
        asyncio.run(hosts.switch(run, "app1"))
    assert caught.value.code == "GP480"
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(go_back(run))
    assert world.machines["app1"].history == before, "not even to go back"
    assert run.state.owed == ("app1",)
    assert any("GP480" in alarm for alarm in run.alarms)


def test_control_the_same_host_goes_back_where_nobody_took_its_enrolment(world: World) -> None:
    enroll(world)
    run = world.driver()
    asyncio.run(reach(run))
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(go_back(run))
    assert run.state.owed == ()
    assert world.running()["app1"] == world.old


def test_an_env_that_wants_enrolled_hosts_asks_again_at_each_order(world: World) -> None:
    run = world.driver()
    world.environment = world.environment.model_copy(update={"require": "enrolled"})
    asking = world.driver()
    with pytest.raises(RefusedError, match="app2 is not enrolled"):
        asyncio.run(hosts.stage(asking, "app2"))
    assert world.machines["app2"].history == []
    assert asyncio.run(hosts.is_there(asking, "app2")).reachable is False
    enroll(world, "app2")
    assert asyncio.run(hosts.stage(asking, "app2")).ok, "control"
    assert run.plan.unpinned == tuple(world.names)


def test_a_verdict_says_on_which_canaries_nobody_checks_who_ordered() -> None:
    judged_event = event(FORMS["errors, far beyond"])
    plain, loose = more(judged_event), more(judged_event, ("web3", "web9"))
    assert "canary web3: " in plain[0]
    assert loose[0] == plain[0].replace("canary web3: ", "canary web3 (unpinned): ")
    assert verdict_view(judged_event, ("web3",)).says == verdict_view(judged_event).says, "first comes what happened"


def test_status_explain_and_the_page_say_it_and_nothing_where_all_are_enrolled(world: World) -> None:
    enroll(world, "app1", "app3", "app4")
    asyncio.run(reach(world.driver()))
    row = read_envs(world.journal, 0.0)[0]
    assert "hello in lab: unpinned, no key there checks who orders: app2" in notes(row)
    assert row.to_json()["active"]["unpinned"] == ["app2"]  # type: ignore[index,call-overload]
    entries = world.journal.read("rollout/r1")
    state = fold(entry.event for entry in entries)
    page = board(Scene(state, entries, (), 0.0)).text
    assert "Unpinned, no key there checks who orders: app2" in page
    assert any("unpinned: app2" in line for line in explanation(entries))


def test_control_where_all_are_enrolled_no_word_of_it(world: World) -> None:
    enroll(world)
    drive(world, "good")
    entries = world.journal.read("rollout/r1")
    page = board(Scene(fold(entry.event for entry in entries), entries, (), 0.0)).text
    said = [*notes(read_envs(world.journal, 0.0)[0]), page, *explanation(entries)]
    assert "npinned" not in "".join(said)


class ByHand(MemoryHost):
    """There is a service of before gopub."""

    def facts(self) -> HostFacts:
        return replace(super().facts(), current=None, standing=Standing(current="a folder"))


def test_the_word_for_an_old_service_goes_to_enrolled_hosts_alone_where_the_env_wants_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.machines |= {name: ByHand(name, f"id-{name}", enrolled=name != "app2") for name in world.names}
    world.at_home(monkeypatch)
    spec = world.kits.parent / "project" / "gopub.yaml"
    spec.write_text(spec.read_text().replace("lab: {", "lab: {require: enrolled, "))
    with pytest.raises(RefusedError, match="app2 is not enrolled"):
        asyncio.run(adopt(".", "lab", do=True))
    assert [machine.history for machine in world.machines.values()] == [[]] * 4
    world.machines["app2"].enrolled = True
    done = asyncio.run(adopt(".", "lab", do=True)).done or {}
    assert [record.ok for record in done.values()] == [True] * 4, "control"
