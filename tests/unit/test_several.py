"""Several servers as one source: one may be down, hang, be behind or have begun anew."""

from __future__ import annotations

import asyncio

import pytest

from gopub.health.backends.prometheus import Prometheus
from gopub.health.backends.several import Several
from gopub.health.burn import Spending, Spent
from gopub.health.config import BudgetTarget
from gopub.health.counters import increments, merged
from gopub.health.samples import CounterSnapshot, NoData, RawSeries, RuntimeSample, RuntimeSnapshot

NOON = 1_700_000_000.0


def snapshot(at, edges, *, identified=True, names=None, notes=(), interval=15.0):
    """``edges``: edge → (newest sample, requests)."""
    series = tuple(RawSeries(edge, "c", "h1", {"2xx": float(count)}) for edge, (_, count) in edges.items())
    newest = {edge: time for edge, (time, _) in edges.items()}
    known = frozenset(edges) if identified else frozenset()
    return CounterSnapshot(at, series, newest, interval, notes, names=names or {}, identified=known)


class Server:
    """Answers with what it is told to; ``wait`` holds it up."""

    def __init__(self, *answers):
        self.answers, self.wait, self.asked = list(answers), None, 0

    async def _answer(self, *_):
        self.asked += 1
        if self.wait:
            await self.wait.wait()
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)

    counters = history = runtime = spending = recorded = _answer


def ask(source, at=NOON):
    return source.counters("a", "e", ("c",), at)


def counted(found):
    return {series.edge: series.classes["2xx"] for series in found.series}


async def test_of_each_edge_the_newest_reading_counts():
    behind = snapshot(NOON, {"one": (NOON - 30, 90), "two": (NOON - 2, 50)}, interval=30.0)
    ahead = snapshot(NOON, {"one": (NOON - 1, 100), "three": (NOON - 3, 7)}, names={"three": "10.0.0.3:9145"})
    found = await ask(Several({"p1": Server(behind), "p2": Server(ahead)}))
    assert isinstance(found, CounterSnapshot)
    assert counted(found) == {"one": 100.0, "two": 50.0, "three": 7.0}
    assert found.edges == {"one": NOON - 1, "two": NOON - 2, "three": NOON - 3}
    assert found.names == {"three": "10.0.0.3:9145"}
    assert found.interval == 30.0, "counts may be so old"
    assert found.notes == ()


async def test_a_server_that_is_down_is_told_and_the_other_one_counts():
    good = snapshot(NOON, {"one": (NOON, 5)}, notes=("stale: e2",))
    found = await ask(Several({"p1": Server(NoData("Prometheus at p1: no connection")), "p2": Server(good)}))
    assert isinstance(found, CounterSnapshot)
    assert counted(found) == {"one": 5.0}
    assert found.notes == ("stale: e2", "Prometheus at p1: no connection")
    nobody = await ask(Several({"p1": Server(NoData("down")), "p2": Server(NoData("empty"))}))
    assert isinstance(nobody, NoData)
    assert nobody.reason == "down; empty"


async def test_a_server_that_hangs_holds_no_look_up_and_is_not_asked_again_meanwhile():
    hung, well = Server(snapshot(NOON, {"one": (NOON, 3)})), Server(snapshot(NOON, {"one": (NOON, 5)}))
    hung.wait = asyncio.Event()
    source = Several({"p1": hung, "p2": well}, patience=0.05)
    for _ in range(3):
        found = await ask(source)
        assert isinstance(found, CounterSnapshot)
        assert counted(found) == {"one": 5.0}
        assert len(found.notes) == 1
        assert "p1" in found.notes[0]
    assert (hung.asked, well.asked) == (1, 3)
    hung.wait.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    found = await ask(source)
    assert isinstance(found, CounterSnapshot)
    assert found.notes == (), "control: it answers again"
    assert hung.asked == 2


async def test_after_the_first_went_down_an_older_reading_gains_nothing():
    first = Server(snapshot(NOON, {"one": (NOON, 1000)}), NoData("down"), NoData("down"))
    second = Server(
        NoData("not yet"), snapshot(NOON + 2, {"one": (NOON - 9, 950)}), snapshot(NOON + 9, {"one": (NOON + 9, 1010)})
    )
    source = Several({"p1": first, "p2": second})
    before, behind, after = [await ask(source, NOON + at) for at in (0, 2, 9)]
    assert [one.classes["2xx"] for one in increments(before, behind)] == [0.0]
    assert [one.classes["2xx"] for one in increments(merged(before, behind), after)] == [10.0]


async def test_edges_that_cannot_say_who_they_are_count_by_one_server_alone():
    """They are called otherwise by each server, and after the first is gone the next is a starting point only."""
    ours = snapshot(NOON, {"10.0.0.1:9145": (NOON, 1000)}, identified=False)
    theirs = snapshot(NOON, {"edge.example:9145": (NOON, 1000)}, identified=False)
    gone = NoData("down")
    source = Several({"p1": Server(ours, gone), "p2": Server(theirs, theirs)})
    both, alone = await ask(source), await ask(source)
    assert counted(both) == {"10.0.0.1:9145 by p1": 1000.0}
    assert counted(alone) == {"edge.example:9145 by p2": 1000.0}
    assert both.names == {"10.0.0.1:9145 by p1": "10.0.0.1:9145"}
    assert increments(both, alone) == ()


async def test_the_past_is_the_longest_that_one_of_them_has():
    past = tuple(snapshot(NOON + i, {"one": (NOON, i)}) for i in range(5))
    source = Several({"p1": Server(past[:1]), "p2": Server(past), "p3": Server(NoData("down"))})
    assert await source.history("a", "e", ("c",), NOON) == past
    assert await source.recorded("a", "e", NOON, NOON + 5) == past
    month, part = (Spending(NOON, (Spent(9.0, count, 1.0),)) for count in (900.0, 40.0))
    source = Several({"p1": Server(part), "p2": Server(month)})
    assert await source.spending("a", "e", None, BudgetTarget(0.2), [9.0], NOON) == month


async def test_of_each_host_the_first_that_knows_it_tells_its_runtime():
    one = RuntimeSnapshot(NOON, (RuntimeSample("h1", NOON, 5.0),))
    two = RuntimeSnapshot(NOON, (RuntimeSample("h1", NOON, 6.0), RuntimeSample("h2", NOON, 7.0)))
    found = await Several({"p1": Server(one), "p2": Server(two)}).runtime("a", "e", ("h1", "h2"), NOON)
    assert isinstance(found, RuntimeSnapshot)
    assert {sample.host: sample.heap for sample in found.hosts} == {"h1": 5.0, "h2": 7.0}


def test_a_connection_may_name_more_servers():
    made = Prometheus.model_validate(
        {"url": "http://p1:9090", "replicas": ["http://p2:9090", "http://p2:9090/b"]}
    ).open()
    assert isinstance(made, Several)
    assert [one.name for one in made.sources] == ["p1:9090", "p2:9090", "p2:9090"]
    made.close()
    with pytest.raises(ValueError, match="named twice"):
        Prometheus.model_validate({"url": "http://p1:9090", "replicas": ["http://p1:9090"]})
