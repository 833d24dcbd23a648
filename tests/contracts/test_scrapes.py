"""One service as many a Prometheus may know it: the judge counts each request once and comes to the same end."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.backends.several import Several
from gopub.health.burn import Spending
from gopub.health.config import BudgetTarget
from gopub.health.samples import CounterSnapshot
from gopub.judge.calibrate import windows_of
from gopub.judge.verdict import Kind
from tests.contracts.prometheus_server import Metrics, prometheus
from tests.contracts.remote_write import FLAGS, STALE, series, write
from tests.contracts.scraped_world import (
    BEFORE,
    CANARY,
    LASTS,
    LOOK,
    SLO,
    STABLE,
    Judged,
    Scrape,
    Service,
    judged,
    true,
)
from tests.support.ports import free_port

PATIENT = 60.0
"""Seconds that a busy machine may take for an answer."""
T0 = 1_700_000_000.0
T1 = T0 + 86400
"""What is written over the network; blocks are older than the head."""
COURSE, WELL = Service().course(), Service(bad=0.004).course()
RESTART = BEFORE + 33


def every(seconds: int, first: int = 0, until: int = LASTS) -> range:
    return range(first, until + 1, seconds)


def one(instance: str = "10.0.0.1:9145", **more: str) -> Mapping[str, str]:
    return {"job": "edges", "instance": instance, **more}


def pair(seconds: int = 15, skew: float = 0.0, **more: object) -> list[Scrape]:
    """Two servers, each with a name of its own, that scrape the same edge; the clock of one may be ahead."""
    known = [Scrape(one(replica="a"), every(seconds)), Scrape(one(replica="b"), every(seconds, 3), skew)]
    return [replace(scrape, **more) for scrape in known]


def by_turns(scrapes: Iterable[Scrape]) -> list[Scrape]:
    """The same, where both write one series."""
    return [replace(scrape, target=one()) for scrape in scrapes]


def missed(second: int) -> bool:
    return random.Random(second).random() < 0.6


def first_half(second: int) -> bool:
    return second < BEFORE + 20


RESTARTED = {"restarted": RESTART}
WORLDS: Mapping[str, Sequence[Scrape]] = {
    **{f"every {seconds} s": [Scrape(one(), every(seconds, seconds // 3))] for seconds in (5, 15, 30, 60)},
    "two servers": pair(),
    "two servers, one ahead": pair(skew=20),
    "two servers, one went away": [pair()[0], replace(pair()[1], part=first_half)],
    "two servers write one series": by_turns(pair(60)),
    "two servers write one series, one ahead": by_turns(pair(skew=20)),
    "the edge restarts": [Scrape(one(), every(15), **RESTARTED)],
    "the edge restarts, two servers": pair(**RESTARTED),
    "the edge restarts, two servers, one ahead": pair(skew=20, **RESTARTED),
    "an older edge restarts, two servers": pair(identity=False, **RESTARTED),
    "gaps": [Scrape(one(), every(15), part=missed)],
    "two jobs": [Scrape(one(), every(15)), Scrape({"job": "more", "instance": "edge.example:9145"}, every(60, 7))],
}
INTERVAL = {"every 5 s": 5, "every 30 s": 30, "every 60 s": 60, "two servers write one series": 60, "gaps": 60}
RARE = {"job": "edges", "instance": "10.0.0.2:9145"}


def filled() -> Metrics:
    metrics = Metrics()
    for app, scrapes in WORLDS.items():
        for scrape in scrapes:
            scrape.fill(metrics, app, T0, COURSE)
    for scrape in pair():
        scrape.fill(metrics, "well", T0, WELL)
    Scrape(one(), every(15), part=first_half).fill(metrics, "shared", T0, COURSE)  # then it scrapes the edge no more
    Scrape(one(), every(5)).fill(metrics, "unequal", T0, WELL)
    Scrape(RARE, every(60), edge="e2").fill(metrics, "unequal", T0, WELL)
    return metrics.ordered()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = "storage: {tsdb: {out_of_order_time_window: 2h}}"
    with prometheus(tmp_path_factory.mktemp("scrapes"), filled(), config, FLAGS) as url:
        failing = Metrics()
        Scrape(one(), every(30)).fill(failing, "failing", T1, COURSE)
        sent = b"".join(_sent(key, points, fails=True) for key, points in failing.ordered().samples.items())
        late = Metrics()
        for scrape in by_turns(pair()):
            scrape.fill(late, "late", T1, COURSE)  # all of one server, then all of the other one, which is older
        sent += b"".join(_sent(key, points) for key, points in late.samples.items())
        write(url, sent)
        yield url


def _sent(key, points, *, fails: bool = False) -> bytes:
    name, labels = key
    numbers = [(at, float(value)) for at, value in points]
    if fails:  # every third scrape fails, and ends each series
        numbers = [(at, STALE if (at - T1) % 90 == 60 else value) for at, value in numbers]
    return series({"__name__": name, **dict(labels)}, numbers)


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that began anew, without its past, and without one of two edges."""
    metrics = Metrics()
    Scrape(one(), every(15, BEFORE + 15)).fill(metrics, "shared", T0, COURSE)
    with prometheus(tmp_path_factory.mktemp("another"), metrics) as url:
        yield url


@pytest.fixture
def source(server: str) -> Iterator[PrometheusSource]:
    made = PrometheusSource(server, timeout=PATIENT)
    yield made
    made.close()


def assert_exact(found: Judged, course: Mapping[tuple[str, str], Sequence[tuple[int, int]]], lag: int) -> None:
    """What was counted is what was asked from one scrape to another; each may be so old."""
    end = BEFORE + int(found.after)
    for release, counted in zip((CANARY, STABLE), found.counted, strict=True):
        low, high = (true(course, release, begin, upto) for begin, upto in ((BEFORE, end - lag), (BEFORE - lag, end)))
        assert low <= counted <= high, release


def soonest(app: str, seconds: float) -> float:
    """The first scrape that could bring what takes so many seconds to know."""
    scraped = {second for scrape in WORLDS[app] for second in scrape.at if scrape.part(second)}
    return float(min(second for second in scraped if second >= BEFORE + seconds) - BEFORE)


@pytest.mark.parametrize("app", WORLDS)
async def test_a_bad_release_is_taken_back_whatever_the_scrape(source: PrometheusSource, app: str) -> None:
    quick, found = await judged(source, "every 5 s", T0), await judged(source, app, T0)
    assert found.verdict.kind is Kind.ROLLBACK
    interval = INTERVAL.get(app, 15)
    assert found.after <= soonest(app, quick.after) + interval + LOOK + (20 if "ahead" in app else 0)
    assert not found.silent, "each look had counts"
    if "restarts" not in app:  # of what was asked between the last scrape and the restart nobody knows
        assert_exact(found, COURSE, interval + (20 if "ahead" in app else 0))
    end = BEFORE + int(found.after)
    for release, counted in zip((CANARY, STABLE), found.counted, strict=True):
        assert counted <= true(COURSE, release, BEFORE - 60, end), release


async def test_an_innocent_release_is_promoted_by_a_pair_as_by_one(source: PrometheusSource) -> None:
    found = await judged(source, "well", T0)
    assert found.verdict.kind is Kind.PROMOTE
    assert_exact(found, WELL, 15)


async def test_an_edge_that_is_scraped_rarely_is_not_stale_beside_a_quick_one(source: PrometheusSource) -> None:
    found = await judged(source, "unequal", T0)
    assert found.verdict.kind is Kind.PROMOTE
    assert not found.notes
    assert not found.silent
    twice = {host: [(2 * good, 2 * bad) for good, bad in one] for host, one in WELL.items()}
    assert_exact(found, twice, 60)
    seen = await source.counters("unequal", "prod", (STABLE, CANARY), T0 + 850)
    assert isinstance(seen, CounterSnapshot)
    assert seen.interval == 60.0, "counts may be so old"


async def test_a_scrape_that_failed_hides_nothing(source: PrometheusSource) -> None:
    """It ends every series: until the next one there is nothing to see at the present moment."""
    assert await source._ask('gopub_edge_table_revision{app="failing"}', T1 + 59, [])
    assert not await source._ask('gopub_edge_table_revision{app="failing"}', T1 + 61, []), "control: it has ended"
    found = await judged(source, "failing", T1)
    assert found.verdict.kind is Kind.ROLLBACK
    assert not found.silent
    assert_exact(found, COURSE, 60)


async def test_samples_that_come_late_are_counted_in_their_place(source: PrometheusSource) -> None:
    found = await judged(source, "late", T1)
    assert found.verdict.kind is Kind.ROLLBACK
    assert_exact(found, COURSE, 15)


@pytest.mark.parametrize(
    "app", ["two servers", "two jobs", "two servers, one went away", "the edge restarts, two servers"]
)
async def test_the_budget_counts_an_edge_once(source: PrometheusSource, app: str) -> None:
    """By whatever it is scraped, and also what was counted while both were there and one is gone."""
    wanted = BudgetTarget(freeze_below=0.2, burn="article", window=780.0)
    single, found = [
        await source.spending(name, "prod", STABLE, wanted, [600.0, 780.0], T0 + 890) for name in ("every 15 s", app)
    ]
    assert isinstance(single, Spending)
    assert isinstance(found, Spending)
    lost = 0.03 if "restarts" in app else 0.01
    for span in (600.0, 780.0):
        ours, theirs = found.over(span), single.over(span)
        assert ours
        assert theirs
        assert ours.attempts == pytest.approx(theirs.attempts, rel=lost + 0.01)
        assert ours.errors == pytest.approx(theirs.errors, rel=0.1)
    assert ours.attempts == pytest.approx(true(COURSE, STABLE, 110, 890) + true(COURSE, CANARY, 110, 890), rel=0.05)
    assert found.course[-1].attempts == pytest.approx(single.course[-1].attempts, rel=0.03)
    assert found.usual == single.usual is None, "nothing of an hour ago"


@pytest.mark.parametrize("app", ["two servers", "two jobs", "two servers, one went away", "the edge restarts"])
async def test_the_past_has_an_edge_once_for_calibrations(source: PrometheusSource, app: str) -> None:
    """Also where one of the servers was gone at its end, and nobody tells any more whose its series were."""
    found = await source.recorded(app, "prod", T0, T0 + 1500)
    assert isinstance(found, tuple)
    windows = windows_of(found, SLO)
    counted = sum(one.stable.attempts for one in windows if one.stable)
    first, last = (round(at - T0) for at in (windows[0].start, windows[-1].end))
    assert true(COURSE, STABLE, first, min(last, LASTS)) == pytest.approx(counted, rel=0.06)


async def test_two_edges_are_two_in_the_budget(source: PrometheusSource) -> None:
    wanted = BudgetTarget(freeze_below=0.2, window=780.0)
    found = await source.spending("unequal", "prod", STABLE, wanted, [780.0], T0 + 890)
    assert isinstance(found, Spending)
    both = true(WELL, STABLE, 110, 890) + true(WELL, CANARY, 110, 890)
    assert found.windows[0].attempts == pytest.approx(2 * both, rel=0.05)
    assert not any("without" in query.text for query in found.queries), "Prometheus adds them up"


async def test_of_two_servers_that_each_have_a_part_the_judge_has_the_whole(server: str, another: str) -> None:
    """One has the past and no longer scrapes the edge, one began anew; a third is not there at all."""
    nobody = f"http://127.0.0.1:{free_port()}"
    urls = (server, another, nobody)
    both = Several({url: PrometheusSource(url, timeout=PATIENT) for url in urls}, patience=PATIENT, long=PATIENT)
    found = await judged(both, "shared", T0)
    assert found.verdict.kind is Kind.ROLLBACK
    assert not found.silent
    assert_exact(found, COURSE, 15)
    assert any("no connection" in note for note in found.notes)
    wanted = BudgetTarget(freeze_below=0.2, window=600.0)
    spent = await both.spending("shared", "prod", STABLE, wanted, [600.0], T0 + 610)
    assert isinstance(spent, Spending)
    assert spent.windows[0].attempts == pytest.approx(true(COURSE, STABLE, 10, 610), rel=0.05)
    both.close()
    for url in (server, another):
        alone = PrometheusSource(url, timeout=PATIENT)
        part = await judged(alone, "shared", T0)
        alone.close()
        assert part.silent or part.counted[1] < found.counted[1] / 2, "control: neither has it"
