"""A process may be slow while it warms up: that is told, and no figure has it. Errors count at once."""

from __future__ import annotations

import pytest

from gopub.health.config import SloTarget
from gopub.health.counters import Gained, gained, warmed
from gopub.health.samples import CounterSnapshot, ProcessHealth, RawSeries
from gopub.judge.verdict import Kind
from tests.support.chance import seed as chance_seed
from tests.unit.judge_world import CANARY, Bake


@pytest.fixture(scope="module")
def seed() -> int:
    return chance_seed()


SLO = SloTarget(0.2, 0.01)


async def test_cold_caches_are_no_regression(seed):
    """The case: 300 ms more in the first 5 s of the process."""
    for n in range(5):
        verdict, age = await Bake(seed + n, extra=0.3, slow_until=5.0, warmup=10.0, errors=0.0, slo=SLO).verdict()
        assert (verdict.kind, verdict.rule, age) == (Kind.PROMOTE, 7, 60.0), verdict
        assert "left out of the latency: " in verdict.reason and "answers of warming hosts" in verdict.reason


async def test_control_without_a_warmup_they_are(seed):
    verdict, _ = await Bake(seed, extra=0.3, slow_until=5.0, errors=0.0, slo=SLO).verdict()
    assert verdict.kind is not Kind.PROMOTE, verdict


async def test_what_is_slow_after_its_warmup_is_caught(seed):
    verdict, age = await Bake(seed, extra=0.3, slow_until=1e9, warmup=10.0, errors=0.0, slo=SLO).verdict()
    assert verdict.kind is Kind.ROLLBACK, verdict
    assert 10 < age <= 22


async def test_errors_count_from_the_first_request(seed):
    verdict, age = await Bake(seed, extra_errors=0.5, warmup=30.0, errors=0.0, slo=SLO).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
    assert age <= 10


async def test_a_short_bake_waits_for_answers_of_warm_hosts(seed):
    """Else a bake that is no longer than the warm-up would promote what nobody timed."""
    verdict, age = await Bake(seed, warmup=20.0, errors=0.0, bake=6.0, slo=SLO).verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    assert age > 20
    slow, _ = await Bake(seed, extra=0.3, warmup=20.0, errors=0.0, bake=6.0, slo=SLO).verdict()
    assert slow.kind is Kind.ROLLBACK, slow


async def test_a_boot_makes_a_process_cold_again(seed):
    def booted(age: float) -> ProcessHealth:
        return ProcessHealth("h1", boot="b" if age >= 30 else "a")

    world = Bake(seed, warmup=10.0, errors=0.0, slo=SLO, health=booted)
    verdict, _ = await world.verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    left_out = int(verdict.reason.split("left out of the latency: ")[1].split()[0])
    assert left_out > 1.5 * 10 * world.rps, "ten seconds twice"


async def test_where_the_edge_counts_warming_answers_apart_no_clock_is_asked(seed):
    """The judge counts with 10 s, the edge took 20: what is slow up to there is in no figure."""
    verdict, age = await Bake(
        seed, extra=0.3, slow_until=20.0, warmup=10.0, apart=20.0, errors=0.0, slo=SLO, starts=(140, 60)
    ).verdict()
    assert (verdict.kind, age) == (Kind.PROMOTE, 60.0), verdict
    assert verdict.reason.endswith("slow; stable's own starts: 60 slow of 200")
    left_out = int(verdict.reason.split("left out of the latency: ")[1].split()[0])
    assert left_out > 1.5 * 10 * 20, "twenty seconds of 20 requests"
    slow, age = await Bake(seed, extra=0.3, warmup=10.0, apart=20.0, errors=0.0, slo=SLO).verdict()
    assert (slow.kind, age > 20) == (Kind.ROLLBACK, True), slow
    by_clock, _ = await Bake(seed, extra=0.3, slow_until=20.0, warmup=10.0, errors=0.0, slo=SLO).verdict()
    assert by_clock.kind is not Kind.PROMOTE, "control: an edge that counts nothing apart"


async def test_errors_count_at_once_where_latency_is_counted_apart(seed):
    verdict, age = await Bake(seed, extra_errors=0.5, warmup=30.0, apart=30.0, errors=0.0, slo=SLO).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
    assert age <= 10


async def test_an_edge_with_another_clock_counts_nothing_apart_and_is_not_believed(seed):
    verdict, _ = await Bake(seed, extra=0.3, slow_until=5.0, warmup=10.0, apart=0.0, errors=0.0, slo=SLO).verdict()
    assert verdict.kind is Kind.PROMOTE, verdict


async def test_of_a_boot_no_edge_knows(seed):
    """Its process was not started anew by gopub, so its answers are left out by the clock."""

    def booted(age: float) -> ProcessHealth:
        return ProcessHealth("h1", boot="b" if age >= 30 else "a")

    world = Bake(seed, warmup=10.0, apart=10.0, errors=0.0, slo=SLO, health=booted)
    verdict, _ = await world.verdict()
    left_out = int(verdict.reason.split("left out of the latency: ")[1].split()[0])
    assert left_out > 1.5 * 10 * world.rps, "ten seconds twice"


QUIET = {0.1: 0.0, 1.0: 0.0, float("inf"): 0.0}
SOME = {0.1: 1.0, 1.0: 3.0, float("inf"): 4.0}
ALL = {0.1: 8.0, 1.0: 10.0, float("inf"): 10.0}


@pytest.mark.parametrize(
    ("apart", "booted", "kept", "told"),
    [
        ({}, (), False, (10, 2)),  # an older edge: by the clock
        (SOME, (), True, (4, 3)),
        (SOME, ("h1",), False, (14, 5)),
        (QUIET, (), False, (10, 2)),  # in the midst of the warm-up: the edge's clock is wrong
    ],
)
def test_edges_that_count_apart_stand_beside_edges_that_do_not(apart, booted, kept, told):
    """One edge is older: its counts are left out by the clock, whatever the other one does."""
    ours = RawSeries("e1", CANARY, "h1", {"2xx": 10.0}, ALL, apart)
    older = RawSeries("e2", CANARY, "h1", {"2xx": 10.0}, ALL)
    found, cold = warmed(Gained(100.0, 102.0, (ours, older)), {"h1": 110.0}, CANARY, 0.1, booted)
    assert [bool(one.cumulative) for one in found.series] == [kept, False]
    assert (cold.timed, cold.slow) == (told[0] + 10, told[1] + 2)


def test_after_the_warmup_an_edge_that_counts_nothing_apart_any_more_is_believed():
    one = RawSeries("e1", CANARY, "h1", {"2xx": 10.0}, ALL, QUIET)
    for end, kept in ((109.0, False), (110.0, True)):  # counts may be a second old, so they are asked for until 110
        found, _ = warmed(Gained(end - 1.5, end, (one,)), {"h1": 110.0}, CANARY, 0.1, lag=1.0)
        assert bool(found.series[0].cumulative) is kept


def test_what_is_counted_apart_grows_from_look_to_look_and_restarts_with_its_edge():
    def snapshot(at: float, apart: dict[float, float]) -> CounterSnapshot:
        return CounterSnapshot(at, (RawSeries("e1", CANARY, "h1", {"2xx": 10.0}, ALL, apart),), {"e1": at})

    twice = {le: 2 * value for le, value in SOME.items()}
    for before, after in ((SOME, twice), ({}, SOME), (twice, SOME)):
        [one] = gained(snapshot(1, before), snapshot(2, after)).series
        assert one.warming == SOME


def test_only_the_latency_of_only_the_warming_hosts_is_left_out():
    def row(release: str, host: str) -> RawSeries:
        return RawSeries("e1", release, host, {"2xx": 9.0, "5xx": 1.0}, {0.1: 8.0, 1.0: 10.0, float("inf"): 10.0})

    found = Gained(100.0, 102.0, (row(CANARY, "h1"), row(CANARY, "h2"), row("5" * 12, "h1")))
    kept, cold = warmed(found, {"h1": 101.0, "h2": 100.0}, CANARY, 0.1)
    assert [bool(one.cumulative) for one in kept.series] == [False, True, True]
    assert [one.classes for one in kept.series] == [one.classes for one in found.series]
    assert (cold.timed, cold.slow) == (10, 2)
