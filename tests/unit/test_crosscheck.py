"""The edges' own counts and what is scraped, held against each other: what lasts is told, and changes no verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from gopub.health.backends.checked import CheckedSource
from gopub.health.backends.edges import EdgeSource
from gopub.health.config import JudgeConfig
from gopub.health.counters import window
from gopub.health.crosscheck import EVERY, LASTING, LATE, Comparing, Said, Sum, differences
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, NoData, ProcessHealth, RuntimeSnapshot
from tests.unit.test_edge_source import BOTH, CANARY, STABLE, T0, Edges, look, series_of

NAMES = {"id-e1": "e1", "id-e2": "e2"}
BEFORE = Said(T0, {"id-e1": Sum(100, 2), "id-e2": Sum(50, 0)}, NAMES)
AFTER = Said(T0 + 30, {"id-e1": Sum(160, 5), "id-e2": Sum(90, 1)}, NAMES)


@pytest.mark.parametrize(
    ("scraped", "how"),
    [
        ({"id-e1": Sum(100, 2), "id-e2": Sum(50, 0)}, ""),  # as late as it may be
        ({"id-e1": Sum(160, 5), "id-e2": Sum(90, 1)}, ""),  # of this moment
        ({"id-e1": Sum(120, 3), "id-e2": Sum(60, 0), "id-e9": Sum(7, 7)}, ""),  # strangers are told elsewhere
        ({"id-e1": Sum(120, 3)}, "missing"),
        ({"id-e1": Sum(120, 3), "id-e2": Sum(49, 0)}, "less"),
        ({"id-e1": Sum(99, 3), "id-e2": Sum(50, 0)}, "less"),
        ({"id-e1": Sum(120, 1), "id-e2": Sum(50, 0)}, "less"),
        ({"id-e1": Sum(161, 5), "id-e2": Sum(50, 0)}, "more"),
        ({"id-e1": Sum(120, 6), "id-e2": Sum(50, 0)}, "more"),
    ],
)
def test_what_a_scrape_explains_is_no_difference(scraped, how):
    found = differences(BEFORE, Said(T0 + 15, scraped), AFTER)
    assert [one.how for one in found] == ([how] if how else [])


def test_a_difference_is_told_with_its_edge_and_figures():
    texts = [
        differences(BEFORE, Said(T0 + 15, {"id-e1": Sum(120, 3), **more}), AFTER)[0].text
        for more in ({}, {"id-e2": Sum(9, 0)}, {"id-e2": Sum(180, 2)})
    ]
    assert texts == [
        "of e2, which counted 90 requests and 1 errors, it shows nothing",
        "of e2 it shows 9 requests and 0 errors, where the edge had 50 requests and 0 errors 15s before",
        "of e2 it shows 180 requests and 2 errors, where the edge has 90 requests and 1 errors",
    ]


def test_an_edge_that_was_started_in_between_differs_from_nothing():
    after = replace(AFTER, edges={**AFTER.edges, "id-new": Sum(5, 5)})
    assert differences(BEFORE, Said(T0 + 15, BEFORE.edges), after) == ()


def test_only_what_lasts_is_told():
    [one] = differences(BEFORE, Said(T0 + 15, {"id-e1": Sum(120, 3)}), AFTER)
    comparing = Comparing()
    for _ in range(LASTING - 1):
        comparing = comparing.found([one])
        assert comparing.notes == ()
    assert comparing.found([]).found([one]).notes == (), "one that went away begins anew"
    [note] = comparing.found([replace(one, text="of e2 it shows nothing")]).notes
    assert note == (
        "the monitoring does not show what the edges count, and no verdict rests on that: of e2 it shows nothing"
    )


@dataclass
class Scraper:
    """Shows of some edges what they said ``late`` looks before; satisfies MetricSource."""

    edges: Edges
    shows: tuple[str, ...] = ("e1", "e2")
    late: int = 1
    factor: int = 1
    down: str = ""
    seen: list[dict[str, dict[str, int]]] = field(default_factory=list)
    asked: int = 0
    fails: bool = False

    def scrape(self) -> None:
        self.seen.append({name: dict(counts) for name, counts in self.edges.counts.items()})

    async def counters(self, app, env, releases, at):
        self.asked += 1
        if self.fails:
            raise ValueError("it is broken")
        if self.down:
            return NoData(self.down)
        then = self.seen[max(0, len(self.seen) - 1 - self.late)]
        series = tuple(
            series_of(f"id-{name}", release, {key: n * self.factor for key, n in then[name].items()})
            for name in self.shows
            for release in releases
        )
        return CounterSnapshot(at, series, {f"id-{name}": at - 2 for name in self.shows}, 2.0)

    async def history(self, app, env, releases, at):
        return NoData(self.down) if self.down else ()

    async def runtime(self, app, env, hosts, at):
        return RuntimeSnapshot(at)


def world(**more) -> tuple[Edges, Scraper]:
    edges = Edges({"e1": {"good": 10, "bad": 0}, "e2": {"good": 20, "bad": 0}})
    return edges, Scraper(edges, **more)


async def looks(source: CheckedSource, edges: Edges, scraper: Scraper, count: int, start: int = 0):
    """Looks every 2 s while both edges count 10 and 1 more of the canary; the tasks behind get their turn."""
    found = []
    for index in range(start, start + count):
        edges.at = T0 + 2 * index
        for counts in edges.counts.values():
            counts["good"] += 10
            counts["bad"] += 1
        scraper.scrape()
        found.append(await source.counters("hello", "lab", BOTH, edges.at))
        if source._task is not None:
            await asyncio.wait({source._task})
    return found


def notes(found) -> list[str]:
    return [note for one in found for note in one.notes]


LOOKS = int((LATE + (LASTING + 3) * EVERY) / 2)


@pytest.mark.parametrize("directly", [True, False])
@pytest.mark.parametrize("late", [0, 1, 4])
async def test_a_scraper_that_works_is_not_spoken_of(directly, late):
    edges, scraper = world(late=late)
    source = CheckedSource(EdgeSource(edges), scraper, directly=directly)
    found = await looks(source, edges, scraper, LOOKS)
    assert notes(found) == []
    assert scraper.asked >= LASTING + 3
    assert len([one for one in edges.asked if one == "e1"]) >= LASTING + 3


@pytest.mark.parametrize("directly", [True, False])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"shows": ("e1",)}, "of e2, which counted"),
        ({"factor": 2}, "of e1 it shows"),
        ({"late": 40}, "of e1 it shows"),
    ],
    ids=["one is not scraped", "counted twice", "it stands still"],
)
async def test_a_scraper_that_is_wrong_for_long_is_told(directly, wrong, told):
    edges, scraper = world(**wrong)
    source = CheckedSource(EdgeSource(edges), scraper, directly=directly)
    found = await looks(source, edges, scraper, LOOKS)
    assert told in notes(found)[-1]
    early = [one for one in found if one.at < T0 + LATE + EVERY]
    assert notes(early) == [], "what passes is not told"
    scraper.shows, scraper.factor, scraper.late = ("e1", "e2"), 1, 0
    found = await looks(source, edges, scraper, LOOKS, start=LOOKS)
    assert found[-1].notes == ()


async def test_a_scraper_that_is_down_or_broken_ends_no_look_and_is_told():
    edges, scraper = world()
    source = CheckedSource(EdgeSource(edges), scraper, directly=True)
    scraper.down = "Prometheus at p:9090 gave no usable answer: refused"
    found = await looks(source, edges, scraper, LOOKS)
    assert notes(found)[-1].endswith("no verdict rests on that: Prometheus at p:9090 gave no usable answer: refused")
    scraper.fails = True
    found = await looks(source, edges, scraper, LOOKS, start=LOOKS)
    assert notes(found)[-1].endswith("the other source failed: ValueError")


async def test_nobody_waits_for_the_one_that_is_only_compared_with():
    edges, _ = world()
    hangs = asyncio.Event()

    class Hanging(Scraper):
        async def counters(self, app, env, releases, at):
            self.asked += 1
            await hangs.wait()

    slow = Hanging(edges)
    source = CheckedSource(EdgeSource(edges), slow, directly=True)
    for index in range(10):
        slow.scrape()
        async with asyncio.timeout(60):
            found = await source.counters("hello", "lab", BOTH, T0 + 60 * index)
        assert isinstance(found, CounterSnapshot)
    assert slow.asked == 1, "one question at a time"
    await source.aclose()


async def test_where_an_edge_does_not_answer_a_scrape_stands_in_and_nothing_counts_twice():
    """A scrape is older than an answer: taken as it is, counters would seem to fall and count from zero again."""
    edges, scraper = world(late=3)
    source = CheckedSource(EdgeSource(edges), scraper, directly=True)
    [*_, before] = await looks(source, edges, scraper, 8)
    edges.wrong["e2"] = "no answer within 2s"
    [during] = await looks(source, edges, scraper, 1, start=8)
    assert during.notes == ("e2: no answer within 2s: this look counts by what is scraped",)
    raw = await scraper.counters("hello", "lab", BOTH, T0)
    del edges.wrong["e2"]
    [after] = await looks(source, edges, scraper, 1, start=9)

    def added(one, other):
        return window(one, other, canary=CANARY, stable=STABLE, slow_above=None).canary.attempts

    assert added(before, during) + added(during, after) == 2 * 2 * 11
    assert added(before, raw) > 100, "the control: as it was scraped it counts all over again"


async def test_where_nobody_answers_both_reasons_are_told():
    edges, scraper = world()
    source = CheckedSource(EdgeSource(edges), scraper, directly=True)
    edges.wrong["e1"], scraper.down = "curl: (7)", "Prometheus is down"
    [found] = await looks(source, edges, scraper, 1)
    assert isinstance(found, NoData)
    assert found.reason == "e1: curl: (7); Prometheus is down"


async def test_edges_of_an_older_version_are_left_to_the_scraper_and_seldom_asked():
    edges, scraper = world()
    edges.wrong |= {"e1": "older", "e2": "older"}
    source = CheckedSource(EdgeSource(edges), scraper, directly=True)
    found = await looks(source, edges, scraper, 20)
    assert all(isinstance(one, CounterSnapshot) for one in found)
    assert edges.asked.count("e1") == 1
    edges.wrong.clear()
    found = await looks(source, edges, scraper, 20, start=20)
    assert found[-1].notes == ()


async def test_a_monitoring_that_is_wrong_does_not_change_the_verdict():
    """The same counts, with and without a Prometheus that serves another cluster: the same evidence."""

    async def judged(wrong: bool):
        edges, scraper = world(factor=7 if wrong else 1)
        source = CheckedSource(EdgeSource(edges), scraper, directly=True)
        observer = Observer(source, None, JudgeConfig("hello", "lab", "r-1", CANARY, STABLE))
        await observer.start(T0 - 2)
        for index in range(LOOKS):
            edges.at = T0 + 2 * index
            for counts in edges.counts.values():
                counts["good"] += 10
                counts["bad"] += 1
            scraper.scrape()
            seen = await observer.look(edges.at, (ProcessHealth("b1"),), 0)
            if source._task is not None:
                await asyncio.wait({source._task})
        return seen

    right, wrong = await judged(False), await judged(True)
    assert (right.notes, len(wrong.notes)) == ((), 1)
    assert wrong.evidence == right.evidence
    assert wrong.rollout_totals == right.rollout_totals


async def test_the_past_is_the_scrapers_and_without_one_what_was_heard():
    edges, scraper = world()
    scraper.scrape()
    direct = EdgeSource(edges)
    source = CheckedSource(direct, scraper, directly=True)
    await look(direct, T0)
    scraper.down = "Prometheus is down"
    found = await source.history("hello", "lab", BOTH, T0 + 9)
    assert not isinstance(found, NoData)
    assert [one.at for one in found] == [T0, T0 + 9]
    await source.aclose()
