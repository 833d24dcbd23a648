"""Side by side, before anything is done: what the language asks for, what is rendered, what a plan knows of slots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.errors import SpecError
from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.fleet.host import Host
from gopub.fleet.modes import Service
from gopub.fleet.slots import Slots
from gopub.fleet.standing import Standing, Taken
from gopub.fleet.templates import render_release
from gopub.journal.kit import Kit
from gopub.plan.model import Plan, ReleaseRef
from gopub.plan.preflight import trouble
from gopub.plan.steps import plan_rollout
from gopub.release.environments import effective
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment
from gopub.usecases.way_back import Past, way_back
from tests.support.rollout_world import NEW, OLD, RELEASE, World

SPEC = """
app: hello
environments:
  prod:
    {{inventory: h.ini, hosts: a=b, health: "http://127.0.0.1:{health}/", switch: {switch}{more}}}
"""
GOOD = ', traffic: edge, service: {ports: [8080, 8081], args: ["{{ port }}"]}'


def environment(more: str = GOOD, switch: str = "side-by-side", health: int = 8080) -> Environment:
    text = SPEC.format(health=health, switch=switch, more=more)
    return parse_spec(text, "gopub.yaml").spec.environments["prod"]


@pytest.mark.parametrize(
    ("more", "switch", "health", "words"),
    [
        (", traffic: edge", "side-by-side", 8080, "each process needs a port of its own"),
        (GOOD.replace("8081", "8080"), "side-by-side", 8080, "8080 is the first port, too"),
        (GOOD.replace(", traffic: edge", ""), "side-by-side", 8080, "without an edge nobody"),
        (GOOD, "side-by-side", 9000, "the traffic's port is 9000"),
        (GOOD.replace("edge", "{router: edge, port: 8080}"), "side-by-side", 9000, "health URL has port 9000"),
        (GOOD, "restart", 8080, "two ports are for two processes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_at_its_place(more: str, switch: str, health: int, words: str) -> None:
    with pytest.raises(SpecError, match="GP545") as caught:
        environment(more, switch, health)
    assert words in str(caught.value)
    environment()


def test_a_release_that_knows_nothing_of_slots_is_written_as_it_always_was() -> None:
    assert "ports" not in str(effective(environment(", traffic: edge", "restart")))
    written = effective(environment())
    assert written["service"]["ports"] == [8080, 8081]  # type: ignore[index,call-overload]
    assert Environment.model_validate(written).service.ports == (8080, 8081)


WEB = Service("web", "web", ("--port", "{{ port }}"), {"SLOT": "{{ slot }}"}, mode="side-by-side", ports=(8080, 8081))


def test_each_slot_has_a_unit_of_its_own_and_what_differs_lies_in_its_folder() -> None:
    templates = {"same.yaml": "x: 1\n", "own.yaml": "port: {{ port }}\n"}
    files = render_release(templates, None, WEB, {"port": "the inventory's"}).files
    assert sorted(files) == ["a/own.yaml", "b/own.yaml", "same.yaml", "web@a.service", "web@b.service"]
    assert files["b/own.yaml"] == b"port: 8081\n"
    first, second = files["web@a.service"].decode(), files["web@b.service"].decode()
    assert ('"--port" "8080"' in first, '"--port" "8081"' in second) == (True, True)
    assert 'Environment="SLOT=b"' in second
    user = next(line for line in first.splitlines() if line.startswith("User="))
    assert (user in second, "DynamicUser=yes" in second) == (True, True), "both may write their state directory"


def test_a_unit_that_is_the_same_in_both_slots_is_refused() -> None:
    with pytest.raises(SpecError, match="GP546"):
        render_release({}, None, replace(WEB, args=(), env={}), {})
    unit = "[Unit]\nConditionPathExists=|/x\n[Service]\nExecStart=/x {{ port }}\n"
    with pytest.raises(SpecError, match="GP531"):
        render_release({}, unit, WEB, {})
    render_release({}, unit.replace("|", ""), WEB, {})


def facts(slots: Slots | None = None, **more: object) -> dict[str, HostFacts]:
    runs = ReleaseDir(OLD, "1" * 64, "0" * 64)
    one = HostFacts("app1", "id", arch="amd64", current=runs, releases=(runs.name,), slots=slots or Slots())
    return {"app1": replace(one, **more)}  # type: ignore[arg-type]


def test_a_plan_is_refused_where_two_do_not_fit() -> None:
    wanted = environment()
    found = trouble("prod", wanted, facts(Slots("a", 8080, (), 10 << 20, 11 << 20)))
    assert found is not None
    assert (found.code, "app1 (10 MiB available, what serves holds 11 MiB)" in found.problem) == ("GP548", True)
    assert trouble("prod", wanted, facts(Slots("a", 8080, (), 11 << 20, 11 << 20))) is None
    assert trouble("prod", wanted, facts(Slots())) is None, "control: nobody told"
    assert trouble("prod", environment(", traffic: edge", "restart"), facts(Slots("a", 8080, (), 1, 2))) is None
    taken = trouble("prod", wanted, facts(standing=Standing(taken=(Taken(8081, 7, "other"),))))
    assert taken is not None
    assert (taken.code, "port 8081 of one of the two slots" in taken.problem) == ("GP455", True)
    old = trouble("prod", wanted, facts(current=None, standing=Standing(unit="/etc/x.service", adopted=True)))
    assert old is not None
    assert old.code == "GP547"


def planned(wanted: Environment, known: dict[str, HostFacts]) -> Plan:
    stable = ReleaseRef(OLD, "1")
    return plan_rollout("r", RELEASE, "lab", wanted, [Host("app1", "10.0.0.1")], known, {"app1": "2" * 64}, stable,
                        counted=True, serving={"app1"})  # fmt: skip


def test_edges_reach_what_serves_where_it_says_that_it_serves() -> None:
    one = planned(environment(), facts(Slots("b", 8081))).hosts[0]
    assert (one.peer, one.slot, one.beside) == ("10.0.0.1:8081", "b", True)
    plain = planned(environment(), facts()).hosts[0]
    assert (plain.peer, plain.slot, plain.beside) == ("10.0.0.1:8080", "", True), "from another mode"
    away = planned(environment(", traffic: edge", "restart"), facts(Slots("b", 8081))).hosts[0]
    assert (away.peer, away.slot, away.beside) == ("10.0.0.1:8081", "b", False), "to another mode it leaves the pool"
    first = planned(environment(), facts(current=None)).hosts[0]
    assert not first.beside, "nothing goes on"


def test_a_rollback_without_a_journal_goes_by_what_the_hosts_say(tmp_path) -> None:
    world = World(tmp_path)
    kit = Kit(7, world.plan(), world.ports().hosts, world.environment)
    past = Past(ReleaseRef(NEW, "2"), (ReleaseRef(OLD, "1"),))
    runs = ReleaseDir(NEW, "2" * 64)
    told = HostFacts("app1", "id-app1", current=runs, releases=(world.old, runs.name))
    known = {
        "app1": replace(told, slots=Slots("b", 8081, (world.old, runs.name))),
        "app2": replace(told, host="app2", slots=Slots("b", 8081, (runs.name,))),
        "app3": replace(told, host="app3"),
    }
    hosts = {host.name: host for host in way_back(kit, past, known, "", "back").plan.hosts}
    said = {name: (host.peer, host.beside) for name, host in hosts.items()}
    assert said == {
        "app1": ("app1:8081", True),
        "app2": ("app2:8081", False),
        "app3": ("app3:8080", False),
        "app4": ("app4:8080", False),
    }


def test_facts_of_a_host_that_says_nothing_of_slots_are_read() -> None:
    assert Slots.parse({}) == Slots()
    said = {"slot": "b", "port": "8081", "beside": "x y", "memory.free": "5", "memory.used": "7"}
    assert (Slots.parse(said), Slots.parse(said).lacks) == (Slots("b", 8081, ("x", "y"), 5, 7), 2)
