"""A host that was away while a rollout went back is owed until it has its release again, proven and in the pool."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from gopub.cli import main
from gopub.cli.driving import _line
from gopub.errors import Exit, GopubError
from gopub.fleet.facts import HostFacts
from gopub.journal import events as ev
from gopub.journal.state import fold
from gopub.rollout.close import still_owed
from gopub.usecases.recover_edges import Debt, begin, debts, mend
from gopub.usecases.recover_hosts import Found, look
from gopub.views.follow import Follower, line_printer
from gopub.views.reading import read_envs
from gopub.views.status import cells, notes
from gopub.views.summary import exit_of, summary
from tests.support.rollout_world import OLD, Killed, MortalJournal, TwoEdges, in_memory, missed, recover
from tests.unit.views_world import world as views_world


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


@pytest.fixture
def world(tmp_path) -> TwoEdges:
    return TwoEdges(tmp_path)


def found(world: TwoEdges, debt: Debt) -> Found:
    """What `recover` finds of the owed hosts."""
    facts = {name: machine.facts() for name, machine in world.machines.items() if machine.reachable}
    silent = {name: GopubError("GP413", f"{name} is away") for name in world.names if name not in facts}
    assert debt.rollout.plan
    return look(debt.rollout.plan, debt.hosts, world.names, facts, silent, may_try=debt.hosts)


def mended(world: TwoEdges) -> bool:
    """Whether every host runs stable and is in every edge's only pool."""
    tables = [edge.table for edge in world.router.edges.values()]
    pools = [sorted(peer.host for peer in table.stable.peers) for table in tables if table and table.stable]
    alone = all(table and table.canary is None for table in tables)
    return alone and pools == [world.names] * 2 and set(world.running().values()) == {world.old}


def test_it_is_owed_after_the_rollout_is_over_and_status_says_so(world):
    driver = missed(world, "app2")
    assert (summary(driver)["owed"], exit_of(summary(driver))) == (["app2"], Exit.PARTIAL)
    (why,) = world.env().owed_hosts.values()
    assert (list(world.env().owed_hosts), world.env().owed_by) == (["app2"], "r1")
    assert why.startswith("GP413 ")
    (row,) = read_envs(world.journal, 0.0)
    assert row.owes and row.to_json()["owed_hosts"] == {"app2": why}
    assert cells(row)[4] == "app2 could not be confirmed; run `gopub recover` when reachable"
    assert f"hello in lab: app2 is owed: {why}" in notes(row)
    assert not mended(world), "control: it runs the bad release, outside of the pool"


def test_when_it_answers_again_it_gets_its_release_back_proven_and_is_in_the_pool(world):
    missed(world, "app2")
    (debt,) = debts(world.journal)
    hosts = found(world, debt)
    assert (dict(hosts.ready), dict(hosts.stays), hosts.gone) == ({"app2": world.old}, {}, frozenset())
    world.machines["app2"].history.clear()
    begin(world.journal, debt, 0.0, hosts)
    driver = recover(world)
    assert (summary(driver)["outcome"], exit_of(summary(driver))) == ("mended", Exit.OK)
    assert [one.partition(" ")[0] for one in world.machines["app2"].history] == ["rollback", "verify"]
    assert mended(world)
    assert (dict(world.env().owed_hosts), world.env().owed_by, world.env().active) == ({}, "", "")
    assert (world.env().stable, list(debts(world.journal))) == (OLD, [])
    (row,) = read_envs(world.journal, 0.0)
    assert not row.owes


def test_the_command_tells_which_version_it_is_back_on_and_that_it_is_right_again(world):
    missed(world, "app2")
    (debt,) = debts(world.journal)
    rollout = begin(world.journal, debt, 0.0, found(world, debt))
    lines: list[str] = []
    show = line_printer(lines.append)
    follower = Follower(world.journal, "hello", "lab", show, show.pause, show.known)
    driver = recover(world)
    follower.catch_up()
    told = [line.partition("  ")[2] for line in lines]
    assert f"app2 is back on 1 ({world.old.partition('-')[0]}) (1 of 1)" in told
    assert _line(summary(driver)) == (
        "hello in lab: mended after 2, 1 runs; what was owed is right again now (hosts owed by r1: app2)"
    )
    (row,) = read_envs(world.journal, 0.0)
    said, unpinned = notes(row)
    assert unpinned.startswith("hello in lab: unpinned, ")
    assert (
        re.sub("in [^ ]+ [(]", "in T (", said)
        == f"hello in lab: mended after 2, in T ({rollout}): hosts owed by r1: app2"
    )


def test_while_it_is_brought_back_it_gets_no_traffic(world):
    missed(world, "app2")
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0, found(world, debt))
    recover(world)
    put = tables(world)
    assert all(not table.canary and table.weight == 0 for table in put)
    assert "app2" not in put[0].stable and "app2" in put[-1].stable


def tables(world: TwoEdges) -> list[ev.TableIntended]:
    """Those that the last rollout put, in their order."""
    opened = [one.event for one in world.journal.read("env/hello/lab") if isinstance(one.event, ev.EnvOpened)]
    history = [one.event for one in world.journal.read(f"rollout/{opened[-1].rollout}")]
    return [event for event in history if isinstance(event, ev.TableIntended)]


def test_those_that_nobody_could_replace_serve_until_they_are_brought_back(world):
    missed(world, "app1", "app2")
    assert tables(world)[-1].canary == ("app1", "app2"), "control: two hosts cannot carry the load of four"
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0, found(world, debt))
    recover(world)
    first, *_, last = tables(world)
    assert (first.canary, last.canary, list(last.stable)) == (("app1", "app2"), (), world.names)
    assert mended(world) and not world.env().owes


def test_one_that_is_still_away_stays_owed_beside_one_that_is_mended(world):
    missed(world, "app1", "app2")
    world.machines["app1"].reachable = False
    (debt,) = debts(world.journal)
    hosts = found(world, debt)
    assert (set(hosts.ready), dict(hosts.stays)) == ({"app2"}, {"app1": "GP413 app1 is away"})
    begin(world.journal, debt, 0.0, hosts)
    driver = recover(world)
    assert (summary(driver)["owed"], exit_of(summary(driver))) == (["app1"], Exit.PARTIAL)
    assert dict(world.env().owed_hosts) == {"app1": "GP413 app1 is away"}
    assert world.running() == {**dict.fromkeys(world.names, world.old), "app1": world.new}


def test_recover_begins_it_once_the_host_answers_and_says_why_not_before(world, monkeypatch):
    missed(world, "app2")
    said: list[str] = []
    world.at_home(monkeypatch)
    world.machines["app2"].reachable = False
    assert asyncio.run(mend(world.journal, 0.0, by_hand=True, tell=said.append)) == 0
    assert said == ["hello in lab: app2 stays owed: GP413 app2 cannot be reached"] and not world.env().active
    world.machines["app2"].reachable = True
    assert asyncio.run(mend(world.journal, 0.0)) == 1
    recover(world)
    assert mended(world) and not world.env().owes


def test_one_that_answered_and_failed_is_tried_again_by_hand_alone(world, monkeypatch):
    """Else the watchdog would restart it every minute. What is said of it decides nothing: only whether it answered."""
    world.machines["app2"].bad = frozenset({world.old})
    missed(world, "app1")
    world.at_home(monkeypatch)
    assert dict(world.env().owed_hosts).keys() == {"app1", "app2"}
    assert world.env().unreached_hosts == {"app1"}
    world.machines["app1"].reachable = False
    assert asyncio.run(mend(world.journal, 0.0)) == 0
    said: list[str] = []
    world.machines["app2"].current = world.new
    assert asyncio.run(mend(world.journal, 0.0, tell=said.append)) == 0
    assert "app2 stays owed: GP446" in said[-1] and "run by hand, tries again" in said[-1]
    world.machines["app1"].reachable = True
    assert asyncio.run(mend(world.journal, 0.0)) == 1, "app1 answers again"
    recover(world)
    assert (set(world.env().owed_hosts), world.env().unreached_hosts) == ({"app2"}, frozenset())
    assert asyncio.run(mend(world.journal, 0.0)) == 0
    assert asyncio.run(mend(world.journal, 0.0, by_hand=True)) == 1, "control: a person asks for it"


def test_one_that_stays_away_is_unreached_still_after_the_others_were_mended(world):
    missed(world, "app1", "app2")
    world.machines["app1"].reachable = False
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0, found(world, debt))
    recover(world)
    assert world.env().unreached_hosts == {"app1"}


def test_why_one_cannot_be_mended(world):
    missed(world, "app2")
    (debt,) = debts(world.journal)
    plan = debt.rollout.plan
    assert plan
    facts = {"app2": world.machines["app2"].facts()}

    def why(facts: dict[str, HostFacts], may_try: tuple[str, ...] = ("app2",)) -> str:
        seen = look(plan, {"app2": "GP442 it does not start"}, ["app2"], facts, {}, may_try=may_try)
        assert len(seen.stays) + len(seen.ready) == 1
        return seen.stays.get("app2", "")

    assert not why(facts), "control"
    assert why({}) == "it does not answer"
    lacks = {"app2": replace(facts["app2"], releases=(world.new,))}
    assert why(lacks) == "it does not hold 1; the next rollout brings it in"
    assert why({"app2": replace(facts["app2"], machine_id="new")}).startswith("another machine answers in its place")
    assert why(facts, may_try=()) == "GP442 it does not start; it answers: `gopub recover`, run by hand, tries again"
    assert look(plan, {"app2": "GP413"}, ["app1"], {}, {}, may_try=()).gone == {"app2"}


def test_one_that_left_the_inventory_is_owed_no_more(world):
    missed(world, "app2")
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0, Found(gone=frozenset({"app2"})))
    assert exit_of(summary(recover(world))) is Exit.OK
    assert not world.env().owes


def test_a_later_rollout_that_leaves_it_out_owes_it_still(world):
    """It is idle by the later plan: not on stable, and without traffic."""
    driver = missed(world, "app2")
    plan = replace(world.plan(), hosts=tuple(replace(host, idle=host.name == "app2") for host in world.plan().hosts))
    begun = [ev.Opened("r2", "hello", "lab", "c" * 64, "3"), ev.Admitted(), ev.Planned(plan)]

    state = fold([*begun, ev.SwitchIntended(("app1",), "3", "canary")])
    before = dict(world.env().owed_hosts)
    assert still_owed(state, before) == before
    reached = fold([ev.SwitchIntended(("app2",), "3", "canary"), ev.HostSwitched("app2", "3", "canary")], state)
    assert still_owed(reached, before) == {}
    assert still_owed(fold([*begun[:2], ev.Planned(world.plan())]), before) == {}, "the plan found it on stable"
    assert still_owed(driver.state, {}) == before, "control: its own"


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_entry_the_next_driver_mends_it(tmp_path, after):
    for at in range(1, 10):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = TwoEdges(folder)
        missed(world, "app2")
        (debt,) = debts(world.journal)
        begin(world.journal, debt, 0.0, found(world, debt))
        with pytest.raises(Killed):
            recover(world, MortalJournal(world.journal, at, after=after))
        if world.env().active:
            recover(world)
        assert mended(world)
        assert not world.env().owes and not world.env().active


def test_recover_says_what_stays_owed_and_why_and_ends_with_5(tmp_path, monkeypatch, capsys):
    """Nobody can say where its hosts are: the project's gopub.yaml is not there."""
    views_world(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.chdir(tmp_path)

    def ends(*argv: str) -> object:
        monkeypatch.setattr("sys.argv", ["gopub", *argv])
        with pytest.raises(SystemExit) as end:
            main.run()
        return end.value.code

    assert ends("recover", "--app", "orders", "--env", "lab") == Exit.PARTIAL
    err = capsys.readouterr().err
    assert "the edges and hosts of orders in lab stay owed: there is no such file" in err
    assert "nothing to recover" not in err
    assert ends("recover", "--app", "hello", "--env", "lab") == Exit.OK, "control: nothing is owed there"
    assert "nothing to recover" in capsys.readouterr().err
    assert ends("status", "--app", "orders", "--env", "lab") == Exit.PARTIAL
    assert ends("status", "--app", "hello") == Exit.OK
