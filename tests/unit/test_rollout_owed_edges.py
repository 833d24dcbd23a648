"""An edge that was away while a rollout went back is owed, and gets the stable table when it answers again."""

from __future__ import annotations

import asyncio

import pytest

from gopub.errors import Exit, LockedError
from gopub.journal import events as ev
from gopub.journal.reading import read_state
from gopub.journal.state import fold
from gopub.plan.model import Outcome
from gopub.rollout.close import close
from gopub.rollout.run import Run
from gopub.rollout.seat import start
from gopub.rollout.wish import Wish
from gopub.traffic.protocol import EdgeStatus
from gopub.usecases.recover_edges import answers, begin, debts, mend
from gopub.views.summary import exit_of, summary
from tests.support.rollout_world import NEW, OLD, Killed, MortalJournal, TwoEdges, chart, in_memory, missed, recover


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


@pytest.fixture
def world(tmp_path) -> TwoEdges:
    return TwoEdges(tmp_path)


def away(world: TwoEdges, *hosts: str) -> Run:
    """Rolled back while edge2 was away, and these hosts; edge2 is back, with the bad release in its table."""
    driver = missed(world, *hosts, edge="edge2")
    assert world.holds("edge2")[1]
    return driver


def test_it_is_owed(world):
    driver = away(world)
    told = summary(driver)
    assert (told["outcome"], told["owed"], told["owed_edges"]) == ("rolled back", [], ["edge2"])
    assert exit_of(told) is Exit.PARTIAL
    assert (world.env().owed_edges, world.env().owed_by) == (("edge2",), "r1")


def test_when_it_answers_again_it_gets_the_stable_table(world):
    away(world)
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0)
    driver = recover(world)
    tables = [world.router.edges[name].table for name in ("edge1", "edge2")]
    assert tables[0] == tables[1]
    assert tables[1].stable.release == OLD and tables[1].canary is None
    assert sorted(peer.host for peer in tables[1].stable.peers) == world.names
    assert exit_of(summary(driver)) is Exit.OK
    assert (world.env().owed_edges, world.env().active) == ((), "")
    assert NEW in world.env().quarantine and world.env().stable == OLD
    assert list(debts(world.journal)) == []
    assert all(verb != "rollback" for verb in world.machines["app3"].history)


def test_still_away_it_stays_owed(world):
    away(world)
    world.router.edges["edge2"].down = True
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0)
    assert exit_of(summary(recover(world))) is Exit.PARTIAL
    (again,) = debts(world.journal)
    assert again.env.owed_edges == ("edge2",)


def test_hosts_that_are_owed_stay_out_of_the_table(world):
    away(world, "app2")
    world.machines["app2"].reachable = False
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0)
    told = summary(recover(world))
    assert (told["owed"], told["owed_edges"]) == (["app2"], [])
    assert [peer.host for peer in world.router.edges["edge2"].table.stable.peers] == ["app1", "app3", "app4"]


def test_two_who_mend_at_once_begin_one_rollout(world):
    away(world)
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0)
    with pytest.raises(LockedError):
        begin(world.journal, debt, 0.0)
    assert list(debts(world.journal)) == [], "one is active"


def test_the_next_rollout_mends_it_as_well(world):
    away(world)
    world.journal.append("env/hello/lab", world.env().version, [ev.QuarantineCleared(NEW, "again")], actor="test")
    driver = world.driver(rollout="r2")
    asyncio.run(chart(driver, "good"))
    assert world.env().owed_edges == ()
    assert world.holds("edge2") == (0, False)


def test_a_rollout_that_touched_nothing_leaves_the_debt(world):
    away(world)
    world.journal.append("env/hello/lab", world.env().version, [ev.QuarantineCleared(NEW, "again")], actor="test")
    refused = start(world.ports(), Wish(app="hello", env="lab", release=NEW, version="2", rollout="r2"), {}, 0)
    refused.record(ev.Refused(("not signed",)))
    close(refused, Outcome.REFUSED, "not signed")
    assert (world.env().owed_edges, world.env().owed_by) == (("edge2",), "r1")


def test_a_table_that_is_being_put_is_acknowledged_by_nobody(world):
    put = ev.TablePut(0, {"edge1": "ok"})
    begun = [ev.Opened("r1", "hello", "lab", NEW, "2"), ev.Admitted(), ev.Planned(world.plan())]
    known = fold([*begun, ev.SwitchIntended(("app1",), "2", "canary"), ev.TableIntended("out", 0, (), ()), put])
    assert known.edges_agree
    later = fold([ev.TableIntended("going back", 0, (), ())], known)
    assert (later.edges_agree, later.owed_edges) == (False, ())
    assert fold([ev.TablePut(0, {"edge1": "ok", "edge2": "away"})], later).owed_edges == ("edge2",)


def status(edge: str, error: str = "") -> EdgeStatus:
    return EdgeStatus(edge, error=error)


def test_mending_waits_until_one_of_the_owed_answers():
    assert not answers(("edge2",), (status("edge1"), status("edge2", "away")))
    assert answers(("edge2",), (status("edge1"), status("edge2")))
    assert answers(("edge2", "edge3"), (status("edge2", "away"), status("edge3")))
    assert answers(("edge2",), (status("edge1"),)), "it was taken out of the inventory"


@pytest.mark.parametrize("down", [False, True])
def test_recover_begins_it_once_the_edge_answers(world, monkeypatch, down):
    away(world)
    world.router.edges["edge2"].down = down
    world.at_home(monkeypatch)
    assert asyncio.run(mend(world.journal, 0.0)) == (0 if down else 1)
    assert bool(world.env().active) is not down
    if world.env().active:
        assert read_state(world.journal, world.env().active).back is not None


def test_what_cannot_be_asked_does_not_keep_recover_from_the_rest(world, monkeypatch, caplog):
    """The project's gopub.yaml is not there: nobody can say where its edges are."""
    away(world)
    monkeypatch.chdir(world.kits.parent)
    assert asyncio.run(mend(world.journal, 0.0)) == 0
    assert "the edges of hello in lab stay owed: there is no such file" in caplog.text


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_entry_the_next_driver_mends_it(tmp_path, after):
    for at in range(1, 9):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = TwoEdges(folder)
        away(world)
        (debt,) = debts(world.journal)
        begin(world.journal, debt, 0.0)
        with pytest.raises(Killed):
            recover(world, MortalJournal(world.journal, at, after=after))
        if world.env().active:
            recover(world)
        assert world.holds("edge2") == (0, False)
        assert (world.env().owed_edges, world.env().active) == ((), "")
