"""What is in the way on hosts is told before anything is staged: an old service, and ports that others hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.errors import ErrorGroup, Exit, GopubError
from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.fleet.orders import Record
from gopub.fleet.standing import Standing, Taken
from gopub.plan.preflight import adopted_notes, trouble
from gopub.spec.loader import parse_spec
from gopub.usecases.adopt_host import Adoption, meant

SPEC = """
app: hello
environments:
  prod:
    {inventory: h.ini, hosts: a=b, instance: svc, health: "http://127.0.0.1:9000/", traffic: {router: edge, port: 8080}}
"""
ENVIRONMENT = parse_spec(SPEC, "gopub.yaml").spec.environments["prod"]
UNIT = "/etc/systemd/system/svc.service"
BY_HAND = Standing(unit=UNIT, current="a folder")
CAPISTRANO = Standing(current="a link to /opt/svc/releases/20240101120000")


def hosts(**standing: Standing) -> dict[str, HostFacts]:
    return {name: HostFacts(name, f"id-{name}", standing=one) for name, one in standing.items()}


def said(**standing: Standing) -> GopubError | None:
    return trouble("prod", ENVIRONMENT, hosts(**standing))


def test_free_hosts_are_free() -> None:
    assert said(app1=Standing(), app2=Standing(taken=(Taken(22, 1, "sshd"), Taken(18080, 7, "other")))) is None


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (BY_HAND, f"the unit {UNIT}; `current`, a folder"),
        (CAPISTRANO, "`current`, a link to /opt/svc/releases/20240101120000"),
        (Standing(unit="/lib/systemd/system/svc.service"), "the unit /lib/systemd/system/svc.service"),
        (Standing(drop_ins=(f"{UNIT}.d/nice.conf",)), f"the drop-in {UNIT}.d/nice.conf"),
    ],
)
def test_what_gopub_did_not_make_is_told_with_what_to_do(standing: Standing, words: str) -> None:
    error = said(app1=standing, app2=Standing())
    assert error
    assert (error.code, error.exit) == ("GP454", Exit.USAGE)
    assert error.problem == f"app1: there already, and not made by gopub: {words}; nothing was changed"
    assert "gopub host adopt -e prod" in error.hint
    assert said(app1=replace(standing, adopted=True), app2=Standing()) is None, "control: the word was given"


def test_a_socket_of_that_name_is_in_the_way_of_the_mode_socket_alone_and_is_not_adopted() -> None:
    file = "/etc/systemd/system/svc.socket"
    facts = hosts(app1=Standing(socket=file), app2=Standing(socket=file, unit=UNIT, adopted=True), app3=Standing())
    assert trouble("prod", ENVIRONMENT, facts) is None, "control: others may start the service by it"
    error = trouble("prod", ENVIRONMENT.model_copy(update={"switch": "socket"}), facts)
    assert error
    assert (error.code, error.exit) == ("GP454", Exit.USAGE)
    assert error.problem == f"app1, app2: there already, and not made by gopub: the socket {file}; nothing was changed"
    assert "systemctl disable --now svc.socket" in error.hint


def test_what_lies_over_gopub_s_own_unit_is_to_be_moved_away_for_it_cannot_be_adopted() -> None:
    ours = replace(hosts(app1=Standing(unit=UNIT))["app1"], current=ReleaseDir("a" * 64, "b" * 64, "c" * 64))
    facts = {"app1": ours, **hosts(app2=Standing(unit=UNIT))}
    error = trouble("prod", ENVIRONMENT, facts)
    assert isinstance(error, ErrorGroup)
    over, before = error.errors
    assert (over.problem.partition(":")[0], before.problem.partition(":")[0]) == ("app1", "app2")
    assert "move away what is named" in over.hint
    assert "gopub host adopt" not in over.hint
    assert "gopub host adopt -e prod" in before.hint, "control: no release of gopub runs there"
    assert meant(facts, undo=False) == ("app2",)
    line, hint = Adoption("svc", {"app1": ours}).lines()
    assert line == f"app1: runs {'a' * 12}-{'b' * 12}, which gopub made, and there is, not made by it: the unit {UNIT}"
    assert hint.startswith("  cannot be adopted: a release of gopub runs there already: move away what is named")


def test_equal_findings_of_many_hosts_are_told_once() -> None:
    error = said(app1=BY_HAND, app2=BY_HAND, app3=CAPISTRANO)
    assert isinstance(error, ErrorGroup)
    assert [one.problem.partition(":")[0] for one in error.errors] == ["app1, app2", "app3"]
    assert error.exit is Exit.USAGE


@pytest.mark.parametrize(("port", "of"), [(9000, "of the health check"), (8080, "of the traffic")])
def test_a_port_that_somebody_else_holds_is_told_with_who(port: int, of: str) -> None:
    error = said(app1=Standing(taken=(Taken(port, 4711, "nginx"),)), app2=Standing(taken=(Taken(port, 12, "nginx"),)))
    assert error
    assert (error.code, error.exit) == ("GP455", Exit.USAGE)
    assert error.problem == (f"port {port} {of} is held by another than svc.service: "
                             "app1 (process 4711 (nginx)), app2 (process 12 (nginx)); nothing was changed")  # fmt: skip


def test_the_word_for_a_service_is_no_word_for_a_port() -> None:
    error = said(app1=replace(BY_HAND, adopted=True, taken=(Taken(8080),)))
    assert error
    assert (error.code, "app1 (the kernel)" in error.problem) == ("GP455", True)


def test_both_are_told_at_once() -> None:
    error = said(app1=replace(BY_HAND, taken=(Taken(8080, 7, "x"),)))
    assert isinstance(error, ErrorGroup)
    assert [one.code for one in error.errors] == ["GP454", "GP455"]


def test_a_plan_tells_of_what_it_takes_over_until_it_did() -> None:
    adopted = hosts(app1=replace(BY_HAND, adopted=True), app2=Standing())
    assert adopted_notes(adopted)[0].startswith("adopted: app1 run what was there before gopub")
    switched = {name: replace(fact, current=ReleaseDir("a" * 64, "b" * 64)) for name, fact in adopted.items()}
    assert adopted_notes(switched) == ()


def test_facts_of_an_older_host_program_say_nothing_of_it() -> None:
    assert Standing.parse({}) == Standing()
    assert Standing.parse({"taken": "8080/4711/nginx 9000// 80/1/a_b/c", "before.adopted": "true"}) == Standing(
        adopted=True, taken=(Taken(8080, 4711, "nginx"), Taken(9000, 0, ""), Taken(80, 1, "a_b/c"))
    )
    with pytest.raises(ValueError, match="invalid literal"):
        Standing.parse({"taken": "x/1/y"})


def test_an_adoption_says_what_becomes_of_each_thing() -> None:
    facts = hosts(app1=BY_HAND, app2=Standing(unit="/lib/systemd/system/svc.service", current=CAPISTRANO.current),
                  app3=Standing())  # fmt: skip
    lib = "/lib/systemd/system/svc.service"
    lines = Adoption("svc", facts).lines()
    assert lines == [
        f"app1: not made by gopub: the unit {UNIT}; `current`, a folder",
        f"  {UNIT} is kept in /opt/svc/.gopub/before, and written anew by the first switch",
        "  /opt/svc/current is moved to /opt/svc/releases/before-gopub by the first switch, and stays there",
        "  its unit runs no process; a first rollout that goes back brings all of it back, a promoted one does not",
        f"app2: not made by gopub: the unit /lib/systemd/system/svc.service; `current`, {CAPISTRANO.current}",
        f"  {lib} stays; the first switch writes one of gopub's before it, in /etc/systemd/system",
        "  /opt/svc/current leads to gopub's release from the first switch on; what it led to stays",
        "  its unit runs no process; a first rollout that goes back brings all of it back, a promoted one does not",
        "app3: nothing is there; it is free",
    ]


def test_only_hosts_with_something_to_do_are_meant() -> None:
    runs = ReleaseDir("a" * 64, "b" * 64)
    facts = hosts(app1=BY_HAND, app2=Standing(), app3=replace(BY_HAND, adopted=True))
    facts["app4"] = replace(facts["app3"], host="app4", current=runs)
    assert (meant(facts, undo=False), meant(facts, undo=True)) == (("app1",), ("app3",))


def test_a_host_that_refuses_is_the_command_s_error() -> None:
    bad = Record("app1", "adopt", 0, "", 0, ok=False, changed=False, code="GP456", message="an order is half done")
    error = Adoption("svc", hosts(app1=BY_HAND), done={"app1": bad}).failed
    assert error
    assert str(error) == "GP456 app1: adopt: an order is half done"
