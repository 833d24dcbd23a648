"""Counters from the edges themselves: what is believed of an answer, who is waited for, and who is whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import pytest

from gopub.clock import ManualClock
from gopub.health.backends.edges import KEPT, LISTENED, LISTENS, MOST_KEPT, NO_PATIENCE, EdgeSource, EdgesThemselves
from gopub.health.config import JudgeConfig
from gopub.health.counters import window
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, EdgeAnswer, NoData, ProcessHealth, RawSeries
from gopub.process import Result
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.backends.nginx.counts import read_counts

STABLE, CANARY = "a" * 12, "b" * 12
BOTH = (STABLE, CANARY)
T0 = 1_700_000_000.0


def answer(**more):
    """As counts.lua says it: two classes, two bounds and above, one series."""
    series = {"release": CANARY, "host": "b1", "classes": [7, 2], "latency": [5, 3, 1]}
    return {
        "schema": "gopub/edge-counters/v1", "edge": "0" * 16, "now": T0 + 60, "since": T0, "app": "hello", "env": "lab",
        "classes": ["2xx", "5xx"], "bounds": [0.1, 1], "series": [{**series, **more.pop("series", {})}],
    } | more  # fmt: skip


def test_an_answer_is_read_as_the_page_for_prometheus_would_be():
    found = read_counts("e1", answer(series={"warming": [1, 0, 0]}), "hello", "lab", BOTH, T0 + 61)
    assert (found.edge, found.identity, found.at, found.age, found.error) == ("e1", "0" * 16, T0 + 61, 60.0, "")
    [peer] = found.peers
    assert (peer.release, peer.host, peer.classes) == (CANARY, "b1", {"2xx": 7.0, "5xx": 2.0})
    assert peer.latency == {0.1: 5.0, 1.0: 8.0, inf: 9.0}
    assert peer.warming == {0.1: 1.0, 1.0: 1.0, inf: 1.0}


def test_declared_endpoints_are_read_with_it_and_null_is_one_that_is_not_counted():
    said = answer(endpoints=["/pay", "/cart/*", "/old"], series={"endpoints": [[5, 1], [2, 0, 1, 1], None]})
    [peer] = read_counts("e1", said, "hello", "lab", BOTH, T0).peers
    pay = {("/pay", "ok"): 5.0, ("/pay", "error"): 1.0}
    cart = {"ok": 2.0, "error": 0.0, "fine": 1.0, "slow": 1.0}
    assert peer.endpoints == pay | {("/cart/*", name): value for name, value in cart.items()}


WRONG = {
    "an endpoint of nobody": answer(series={"endpoints": [[5, 1]]}),
    "an endpoint below 0": answer(endpoints=["/pay"], series={"endpoints": [[5, -1]]}),
    "half an endpoint": answer(endpoints=["/pay"], series={"endpoints": [[5, 1, 2]]}),
    "an endpoint twice": answer(endpoints=["/pay", "/pay"], series={"endpoints": [[5, 1], [5, 1]]}),
    "no object": [],
    "nobody": answer(edge=""),
    "who is too long": answer(edge="0" * 65),
    "another's": answer(app="shop"),
    "below 0": answer(series={"classes": [7, -2]}),
    "too large": answer(series={"classes": [7, 2**53]}),
    "half": answer(series={"classes": [7, 2.5]}),
    "yes": answer(series={"classes": [7, True]}),
    "a text": answer(series={"classes": [7, "2"]}),
    "one short": answer(series={"classes": [7]}),
    "no latency": answer(series={"latency": None}),
    "no bounds": answer(bounds=[]),
    "bounds fall": answer(bounds=[1, 0.1]),
    "a bound at 0": answer(bounds=[0, 1]),
    "too many bounds": answer(bounds=list(range(1, 99))),
    "a class twice": answer(classes=["2xx", "2xx"]),
    "no host": answer(series={"host": None}),
    "a host twice": answer() | {"series": answer()["series"] * 2},
    "no series": answer() | {"series": "all"},
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_with_one_wrong_number_is_none(name):
    found = read_counts("e1", WRONG[name], "hello", "lab", BOTH, T0)
    assert (found.error != "", found.peers) == (True, ())


def test_what_it_says_of_a_release_that_nobody_asked_for_is_not_ours():
    found = read_counts("e1", answer(series={"release": "c" * 12}), "hello", "lab", BOTH, T0)
    assert (found.error, found.peers) == ("", ())


@pytest.mark.parametrize("since", [None, "long ago", True, inf])
def test_an_edge_that_does_not_say_since_when_has_no_age(since):
    assert read_counts("e1", answer(since=since), "hello", "lab", BOTH, T0).age is None


def test_an_edge_without_a_table_counts_nothing_yet():
    said = answer(app=None, env=None, classes=[], bounds=[], series={}) | {"series": []}
    found = read_counts("e1", said, "hello", "lab", BOTH, T0)
    assert (found.error, found.identity, found.peers) == ("", "0" * 16, ())


class Said:
    """A channel on which every program prints the same."""

    def __init__(self, out):
        self.out = out
        self.asked: list[str] = []

    async def exec(self, argv, stdin=b""):
        self.asked.append(argv[-1])
        return Result(tuple(argv), 0, self.out.encode(), b"")


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (json.dumps(answer()) + "\n\n200", ""),
        ('{"code":"GP503","error":"there is no GET /v1/counters/hello","holds":null}\n\n404', "it runs an older gopub"),
        (json.dumps(answer()).replace("[7, 2]", "[7, NaN]") + "\n\n200", "status 200, and no JSON"),
        ("[" * 5_000_000 + "\n200", "status 200, and no JSON"),
        ("[" + "0," * 2_000_001 + "0]\n200", "status 200, and no JSON"),
    ],
    ids=["good", "older", "nan", "too deep", "too many"],
)
async def test_an_edge_is_asked_once_on_its_control_socket(out, error):
    said = Said(out)

    async def connect(_):
        return said

    found = await NginxRouter(("e1",), connect).count("e1", "hello", "lab", "hello", BOTH)
    assert said.asked == [f"http://edge/v1/counters/hello?releases={STABLE},{CANARY}"]
    assert found.error.startswith(error)
    assert (found.error == "") == (error == "")
    assert found.older == (error == "it runs an older gopub")


@dataclass
class Edges:
    """Edges that say what they are told to; satisfies EdgeReader."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """edge → good, bad of the canary."""
    who: dict[str, str] = field(default_factory=dict)
    ages: dict[str, float | None] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    hung: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    at: float = T0
    hosts: int = 1

    @property
    def edges(self) -> Sequence[str]:
        return tuple(self.counts)

    async def ask(self, edge: str, app: str, env: str, releases: Sequence[str]) -> EdgeAnswer:
        self.asked.append(edge)
        if edge in self.hung:
            await self.hung[edge].wait()
        if edge in self.wrong:
            return EdgeAnswer(edge, error=self.wrong[edge], older=self.wrong[edge] == "older")
        who = self.who.get(edge, f"id-{edge}")
        series = tuple(series_of(who, release, self.counts[edge]) for release in releases for _ in range(self.hosts))
        return EdgeAnswer(edge, self.at, who, self.ages.get(edge, 3600.0), series)


def series_of(who: str, release: str, counts: Mapping[str, int]) -> RawSeries:
    good, bad = counts["good"], counts["bad"] if release == CANARY else 0
    classes = {"2xx": float(good), "5xx": float(bad), "cut": 0.0}
    latency = {0.1: float(good + bad), 1.0: float(good + bad), inf: float(good + bad)}
    return RawSeries(who, release, "b1" if release == CANARY else "a1", classes, latency)


async def look(source: EdgeSource, at: float = T0) -> CounterSnapshot:
    found = await source.counters("hello", "lab", BOTH, at)
    assert isinstance(found, CounterSnapshot), found
    return found


async def missed(source: EdgeSource) -> str:
    found = await source.counters("hello", "lab", BOTH, T0)
    assert isinstance(found, NoData), found
    return found.reason


def two(**more) -> Edges:
    return Edges({"e1": {"good": 10, "bad": 1}, "e2": {"good": 20, "bad": 0}}, **more)


def attempts(before: CounterSnapshot, after: CounterSnapshot) -> int:
    canary = window(before, after, canary=CANARY, stable=STABLE, slow_above=None).canary
    assert canary
    return canary.attempts


async def test_every_edge_is_asked_at_once_and_counts_under_its_own_identity():
    edges = two()
    found = await look(EdgeSource(edges), T0 + 1)
    assert (found.at, found.edges) == (T0 + 1, {"id-e1": T0, "id-e2": T0})
    assert found.names == {"id-e1": "e1", "id-e2": "e2"}
    assert found.interval == 0.0
    [query] = found.queries
    assert (query.text, query.series) == (f"e1, e2: counters of hello/lab, {STABLE} and {CANARY}", 4)
    edges.counts["e2"]["good"] += 1
    [other] = (await look(EdgeSource(edges), T0 + 1)).queries
    assert other.answer != query.answer


async def test_an_edge_that_does_not_answer_is_no_data_and_is_named():
    edges = two()
    source = EdgeSource(edges)
    await look(source)
    edges.wrong["e2"] = "curl: (7) could not connect"
    assert await missed(source) == "e2: curl: (7) could not connect"
    del edges.wrong["e2"]
    await look(source)


async def test_an_edge_that_hangs_costs_one_wait_and_is_asked_once_until_it_answers():
    edges = two()
    source = EdgeSource(edges, patience=2)
    edges.hung["e2"] = asyncio.Event()
    assert await missed(source) == "e2: no answer within 2s"
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(3):
        begun = loop.time()
        assert await missed(source) == "e2: no answer within 2s"
        waits.append(loop.time() - begun)
    assert min(waits) < 2, f"it waits {NO_PATIENCE}s for an edge that hung before"
    assert edges.asked.count("e2") == 1
    edges.hung.pop("e2").set()
    await source._asking["e2"]
    edges.counts["e2"]["good"] = 25  # what it says now, not what it said to the question that hung
    found = await look(source)
    assert sum(one.classes["2xx"] for one in found.series if one.edge == "id-e2") == 50
    assert edges.asked.count("e2") == 2
    await source.aclose()


async def test_nobody_is_waited_for_once_it_is_closed():
    edges = two(hung={"e2": asyncio.Event()})
    source = EdgeSource(edges, patience=0.05)
    await missed(source)
    [task] = source._asking.values()
    await source.aclose()
    assert task.cancelled()


async def test_a_restarted_edge_counts_from_zero():
    edges = two()
    source = EdgeSource(edges)
    before = await look(source)
    edges.who["e1"], edges.ages["e1"], edges.at = "id-new", 1.5, T0 + 2
    edges.counts["e1"] = {"good": 4, "bad": 1}
    after = await look(source, T0 + 2)
    assert after.follows == {"id-new": "id-e1"}
    assert after.notes == ("e1 was restarted: what it counted in between is not known",)
    assert attempts(before, after) == 5


@pytest.mark.parametrize("restarted", [False, True])
async def test_more_than_an_edge_can_have_counted_is_not_believed(restarted):
    edges = two()
    source = EdgeSource(edges)
    before = await look(source)
    edges.at = T0 + 2
    if restarted:
        edges.who["e1"], edges.ages["e1"] = "id-new", 1.0
    edges.counts["e1"]["bad"] += 40_000_000
    said = await missed(source)
    assert said.startswith("e1: it says that it counted 4000")
    assert said.endswith(" requests in 2.0s: no edge can")
    edges.counts["e1"]["bad"] -= 39_000_000
    assert attempts(before, await look(source, T0 + 2)) >= 1_000_000, "a million may be"


@pytest.mark.parametrize("age", [86400.0, None])
async def test_another_edge_behind_the_name_is_a_starting_point_only(age):
    """An address that moves (keepalived): taken for a restart, all that the other one ever counted would be new."""
    edges = two()
    source = EdgeSource(edges)
    before = await look(source)
    edges.who["e1"], edges.ages["e1"], edges.at = "id-other", age, T0 + 2
    edges.counts["e1"] = {"good": 1_000_000, "bad": 50_000}
    after = await look(source, T0 + 2)
    assert after.follows == {}
    assert after.notes == ("e1 answers as another edge than before: what that one counted until now is left out",)
    assert attempts(before, after) == 0


async def test_two_names_of_one_edge_count_once():
    edges = two(who={"e1": "id-one", "e2": "id-one"})
    edges.counts["e2"] = edges.counts["e1"]
    found = await look(EdgeSource(edges))
    assert found.notes == ("e1 and e2 are one edge: it is counted once",)
    assert sum(one.classes["2xx"] for one in found.series if one.release == CANARY) == 10


async def test_without_a_router_nobody_can_be_asked():
    source = EdgesThemselves().open()
    found = await source.counters("hello", "lab", BOTH, T0)
    assert isinstance(found, NoData)
    assert found.reason == "there is no router whose edges could be asked"


async def test_the_past_is_what_was_heard():
    edges = two()
    source = EdgeSource(edges)
    first = await source.history("hello", "lab", BOTH, T0)
    assert isinstance(first, NoData)
    assert first.reason.startswith("edges keep no past: how errors cluster starts from a prior")
    edges.counts["e1"]["good"] = 90
    found = await source.history("hello", "lab", BOTH, T0 + 30)
    assert not isinstance(found, NoData)
    assert [one.at for one in found] == [T0, T0 + 30]
    assert attempts(*found) == 80
    await source.aclose()


async def test_between_plan_and_start_stable_is_listened_to_and_no_longer():
    edges, clock = two(), ManualClock(T0)
    source = EdgeSource(edges, clock=clock)
    await source.history("hello", "lab", (STABLE,), T0)
    [listening] = [source._listening]
    await asyncio.wait({listening})
    assert clock.now() == T0 + LISTENED * LISTENS
    found = await source.history("hello", "lab", (STABLE,), clock.now())
    assert not isinstance(found, NoData)
    assert [one.at for one in found] == [clock.now() - LISTENS * n for n in range(KEPT - 2, 0, -1)] + [clock.now()] * 2
    assert {one.release for one in found[0].series} == {STABLE}
    await look(source, clock.now())
    assert [one.at for one in source._past] == [clock.now()], "the rollout's own looks are not kept with them"


async def test_what_is_under_way_ends_when_the_rollout_asks_for_more():
    """An edge that hung over a question of stable alone is not heard as if it had been asked for the canary too."""
    edges = two(hung={"e2": asyncio.Event()})
    source = EdgeSource(edges, patience=0.05)
    found = await source.counters("hello", "lab", (STABLE,), T0)
    assert isinstance(found, NoData)
    edges.hung.clear()
    now = await look(source)
    assert len([one for one in now.series if one.edge == "id-e2"]) == 2


async def test_of_a_large_fleet_less_is_remembered():
    edges = two()
    edges.hosts = MOST_KEPT // 3
    source = EdgeSource(edges)
    for index in range(4):
        await source.history("hello", "lab", (STABLE,), T0 + index)
    assert [one.at for one in source._past] == [T0 + 2, T0 + 3]
    await source.aclose()


async def test_older_edges_leave_a_rollout_as_it_was_where_nobody_asked_for_them():
    edges = two(wrong={"e2": "older"})
    implied, named = EdgeSource(edges, implied=True), EdgeSource(edges)
    assert await implied.unable("hello", "lab") == (
        "e2: an older gopub runs there, which cannot be asked for its counters"
    )
    assert await named.unable("hello", "lab") == ""
    edges.wrong["e2"] = "curl: (7) could not connect"
    assert await implied.unable("hello", "lab") == "", "one that is away is no reason to look away"


async def test_a_canary_that_fails_is_seen_by_the_edges_alone():
    """Also by a driver that knows each edge by what it said before it was restarted."""
    edges = two()
    observer = Observer(EdgeSource(edges), None, JudgeConfig("hello", "lab", "r-1", CANARY, STABLE))
    who = {"e1": "id-e1", "e2": "id-e2"}
    await observer.start(T0)
    for index in range(1, 31):
        edges.at = T0 + 2 * index
        for counts in edges.counts.values():
            counts["good"] += 20
            counts["bad"] += 5
        if index == 3:
            edges.who["e1"], edges.ages["e1"], edges.counts["e1"] = "id-new", 1.0, {"good": 20, "bad": 5}
        seen = await observer.look(edges.at, (ProcessHealth("b1"),), 0, edges=who)
        assert seen.no_data is None, seen.no_data
    assert seen.rollout_totals.canary_errors == 30 * 10
    assert seen.evidence.e_value > 1e4
