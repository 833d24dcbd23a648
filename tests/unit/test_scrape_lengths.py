"""How long a window of scraped counts was: what a scrape of a minute brings is a minute's, however often one looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from gopub.health.backends.checked import CheckedSource
from gopub.health.counters import gained, window
from gopub.health.eprocess import most
from gopub.health.samples import CounterSnapshot, NoData, RawSeries, RuntimeSnapshot, Window, sum_windows
from gopub.judge.between import Between, looks_from_json
from gopub.judge.verdict import Kind
from tests.contracts.scraped_world import CANARY, LOOK, STABLE, Judged, Service, judged

T0 = 1_700_000_000.0
Course = Mapping[tuple[str, str], Sequence[tuple[int, int]]]
BAD = Service().course()
AT_ONCE, SCRAPES = 20.0, (15, 30, 60)
"""Seconds that 8 % of errors take where everybody is asked at each look."""


@dataclass
class Scraped:
    """Edges that share all requests, each scraped every so many seconds from its own second on."""

    course: Course
    every: int
    firsts: tuple[int, ...]
    asked: bool = False
    """The edges are asked themselves: no scrape lies between."""
    older: tuple[str, ...] = ()

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        rows, edges = [], {}
        for number, first in enumerate(self.firsts):
            second = int(at - T0)
            second -= 0 if self.asked else (second - first) % self.every
            edges[f"e{number}"] = T0 + second
            rows += [self._row(number, key, one[second]) for key, one in self.course.items()]
        return CounterSnapshot(at, tuple(rows), edges, 0.0 if self.asked else float(self.every))

    def _row(self, number: int, key: tuple[str, str], counted: tuple[int, int]) -> RawSeries:
        good, bad = ((one + number) // len(self.firsts) for one in counted)
        return RawSeries(f"e{number}", *key, {"2xx": float(good), "5xx": float(bad), "cut": 0.0})

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        return NoData("none")

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        return RuntimeSnapshot(at)


async def seen(*firsts: int, every: int = 60, course: Course = BAD) -> Judged:
    return await judged(Scraped(course, every, firsts), "app", T0)


@pytest.mark.parametrize("every", SCRAPES)
@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.9])
async def test_a_verdict_comes_one_scrape_after_the_first_that_could_bring_it(every, part):
    first = int(part * every)
    found = await seen(first, every=every)
    soonest = min(second for second in range(first, 900, every) if second >= AT_ONCE)
    assert found.verdict.kind is Kind.ROLLBACK
    assert found.after <= math.ceil((soonest + every) / LOOK) * LOOK


async def test_where_edges_are_asked_themselves_no_scrape_makes_a_verdict_later():
    found = []
    for every in SCRAPES:
        both = CheckedSource(Scraped(BAD, LOOK, (0,), asked=True), Scraped(BAD, every, (every - 1,)), directly=True)  # type: ignore[arg-type]
        one = await judged(both, "app", T0)
        found.append((one.after, one.verdict.kind, one.seen.evidence.e_value))
    assert len(set(found)) == 1, found
    assert found[0][0] <= AT_ONCE + LOOK


def burst(seconds: int = 3, begins: int = 610) -> Course:
    """All answers of a good canary fail for a moment."""
    course = Service(bad=0.005).course()
    bad = {key: [wrong for _, wrong in one] for key, one in course.items()}
    out = {key: list(one) for key, one in course.items()}
    key = (CANARY, "h1")
    for second in range(begins, len(out[key])):
        done = sum(course[key][min(second, begins + seconds)]) - sum(course[key][begins])
        failed = bad[key][second] - bad[key][min(second, begins + seconds)] + bad[key][begins] + done
        out[key][second] = (sum(course[key][second]) - failed, failed)
    return out


@pytest.mark.parametrize("every", SCRAPES)
async def test_what_fails_for_a_moment_is_not_taken_back_by_any_scrape(every):
    """Nor by two edges that are scraped by turns, each of which brings the same moment again."""
    course = burst()
    assert sum(bad for _, bad in (course[CANARY, "h1"][640],)) > 25, "control: they failed"
    for firsts in ((0,), (every // 3,), (0, every // 2), (every // 2, every - 1)):
        found = await seen(*firsts, every=every, course=course)
        assert found.verdict.kind is not Kind.ROLLBACK, firsts
        assert found.seen.evidence.e_value < 10_000, firsts


def snapshot(at: float, edges: Mapping[str, float], interval: float = 60.0, **more: object) -> CounterSnapshot:
    rows = tuple(RawSeries(edge, CANARY, "h1", {"2xx": newest}) for edge, newest in edges.items())
    return replace(CounterSnapshot(at, rows, edges, interval), **more)


@pytest.mark.parametrize(
    ("earlier", "later", "seconds"),
    [
        ({"a": 40.0}, {"a": 100.0}, 60.0),
        ({"a": 95.0}, {"a": 100.0}, 5.0),  # as long as a look
        ({"a": 40.0, "b": 45.0}, {"a": 100.0, "b": 102.0}, 57.0),  # in one look: the shorter one
        ({"a": 40.0, "b": 70.0}, {"a": 100.0, "b": 70.0}, 5.0),  # by turns
        ({"a": 40.0}, {"a": 100.0, "b": 100.0}, 5.0),  # one is new
        ({"a": 100.0}, {"a": 40.0}, 5.0),  # a server that is behind
        ({}, {}, 5.0),
    ],
)
def test_a_window_is_as_long_as_all_of_its_edges_were_not_scraped(earlier, later, seconds):
    found = gained(snapshot(100.0, earlier), snapshot(105.0, later))
    one = window(snapshot(100.0, earlier), snapshot(105.0, later), canary=CANARY, stable=STABLE, slow_above=None)
    assert (found.gathered or 5.0, one.seconds) == (seconds, seconds)


def test_a_restarted_edge_goes_on_from_what_it_was():
    after = snapshot(105.0, {"anew": 100.0}, follows={"anew": "a"})
    assert gained(snapshot(100.0, {"a": 40.0}), after).gathered == 60.0


def test_windows_together_are_as_long_as_the_longest():
    short, long = Window(0.0, 5.0, None, None), Window(5.0, 10.0, None, None, 60.0)
    for parts, seconds in (
        ((short, long), 60.0),
        ((short, short), 5.0),
        ((Window(-95.0, 0.0, None, None), long), 105.0),
    ):
        joined = sum_windows(parts)
        assert joined
        assert joined.seconds == seconds
    assert most(long.seconds) == 1000.0
    assert most(short.seconds) == 100.0


async def test_what_is_kept_between_two_records_is_as_long():
    source = Scraped(BAD, 60, (20,))
    found = await judged(source, "app", T0)
    between = Between()
    between.add(found.seen)
    looks = between.taken(replace(found.seen))
    assert [one.seconds for one in found.seen.windows] == [60.0]
    read = looks_from_json(looks)
    assert read
    assert [one.gathered for one in read.windows] == [60.0]
