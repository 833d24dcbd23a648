"""Bad releases of every kind against the whole judge, from counters to verdict; and good ones, which are left alone.

Seeds are drawn at run time. One canary host with 20 requests a second, three stable ones.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from gopub.fleet.orders import Record
from gopub.health.config import SloTarget
from gopub.health.samples import (
    CounterSnapshot,
    HostCounts,
    NoData,
    ProcessHealth,
    RawSeries,
    TrackWindow,
    Window,
)
from gopub.judge.verdict import Kind
from gopub.judge.words import say_break
from gopub.rollout.hosts import health_of
from tests.support.chance import seed as chance_seed
from tests.unit.judge_maker import observation
from tests.unit.judge_world import MIB, T0, Bake
from tests.unit.test_health_wire import TABLE

WITH_SLO = SloTarget(0.2, 0.01)
QUICK = {"median": 0.004, "slo": SloTarget(0.1, 0.01)}
"""A service like the example: far within its SLO."""


@pytest.fixture(scope="module")
def seed() -> int:
    return chance_seed()


# --- good releases


@pytest.mark.parametrize("slo", [SloTarget(), SloTarget(None, 0.01), WITH_SLO], ids=str)
async def test_a_good_release_is_promoted(seed: int, slo: SloTarget) -> None:
    ends = [await Bake(seed + i, slo=slo).verdict() for i in range(60)]
    back = sum(verdict.kind is Kind.ROLLBACK for verdict, _ in ends)
    assert back <= 5, f"{back} of 60: α of 1 % gives more than 5 once in 20 000 times"
    assert sorted(age for _, age in ends)[30] == 60.0


def filled(age: float) -> float:
    """200 MiB of caches in the first 20 seconds."""
    return 50 + min(age, 20.0) * 10


async def test_a_good_release_that_fills_its_caches_is_promoted(seed: int) -> None:
    def health(age: float) -> ProcessHealth:
        return ProcessHealth("h1", memory=filled(age) * MIB, files=20.0)

    verdict, age = await Bake(seed, health=health, bake=10.0).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.PROMOTE, 7)
    assert 20 <= age <= 45, "it waits for the filling to end"


async def test_where_only_the_live_heap_is_told_it_waits_for_90_seconds_and_says_what_was_left_out(seed: int) -> None:
    """Equal values of a live heap are one: whether it was collected since nobody knows."""

    def heap(host: str, age: float) -> float:
        return (filled(age) if host == "h1" else 250.0) * MIB

    verdict, age = await Bake(seed, heap=heap, bake=10.0).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.PROMOTE, 7)
    assert 88 <= age <= 94
    assert "left out memory_growth: too early to say: too little data for a slope" in verdict.reason


async def test_a_bake_is_over_in_its_time_where_memory_is_flat(seed: int) -> None:
    rng = random.Random(seed)

    def health(_age: float) -> ProcessHealth:
        return ProcessHealth("h1", memory=(50 + rng.gauss(0, 0.1)) * MIB, files=float(rng.randint(18, 22)))

    ages = [(await Bake(seed + i, health=health, bake=20.0).verdict())[1] for i in range(10)]
    assert sorted(ages)[5] <= 26, ages


# --- errors


@pytest.mark.parametrize(
    ("more", "requests"), [(0.02, 3600), (0.05, 1000), (0.1, 500), (0.3, 250), (1.0, 250)], ids=str
)
@pytest.mark.parametrize("slo", [SloTarget(), SloTarget(None, 0.01)], ids=["without SLO", "SLO of 1 %"])
async def test_more_errors_are_caught(seed: int, more: float, requests: int, slo: SloTarget) -> None:
    for i in range(10):
        verdict, age = await Bake(seed + i, extra_errors=more, errors=0.0, slo=slo, bake=180.0).verdict()
        assert verdict.kind is Kind.ROLLBACK, verdict
        assert age * 20 <= requests, f"{age * 20:g} requests: {verdict.reason}"


async def test_one_percent_more_is_caught_in_half_of_the_cases_within_4000_requests(seed: int) -> None:
    ends = [await Bake(seed + i, extra_errors=0.01, bake=200.0).verdict() for i in range(20)]
    assert sum(verdict.kind is Kind.ROLLBACK for verdict, _ in ends) >= 10


class Failures(Bake):
    """Errors are of the classes ``of``, in equal parts."""

    of: tuple[str, ...] = ("connect",)

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        found = await super().counters(app, env, releases, at)
        assert isinstance(found, CounterSnapshot)
        return replace(found, series=tuple(self.classed(one) for one in found.series))

    def classed(self, one: RawSeries) -> RawSeries:
        errors = int(one.classes["5xx"])
        parts = {name: float(errors // len(self.of)) for name in self.of}
        parts[self.of[-1]] += errors % len(self.of)
        return replace(one, classes=one.classes | {"5xx": 0.0} | parts)


async def failing(seed: int, of: tuple[str, ...], slo: SloTarget) -> str:
    bake = Failures(seed, errors=0.0, extra_errors=0.5, slo=slo)
    bake.of = of
    verdict, _ = await bake.verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
    said = [told.reason for told in bake.told if told.rule in (3, 4, 5, 6)]
    return " | ".join(said)


WELL_BUT = ": its hosts say that they are well, but edges get no connection"


async def test_where_edges_get_no_connection_to_hosts_that_are_well_the_verdict_says_so(seed: int) -> None:
    said = await failing(seed, ("connect",), SloTarget())
    assert re.search(rf"the canary fails more often than stable \(connect (\d+) of \1{WELL_BUT}\): E = ", said), said


@pytest.mark.parametrize(
    ("host", "failed", "said"),
    [
        (ProcessHealth("h1"), {"connect": 3, "5xx": 2}, f" (connect 3 of 5{WELL_BUT})"),
        (ProcessHealth("h1", reachable=False), {"connect": 3, "5xx": 2}, " (connect 3 of 5)"),
        (ProcessHealth("h1", probe_ok=False), {"connect": 3}, " (connect 3 of 3)"),
        (ProcessHealth("h1"), {"5xx": 3, "cut": 2}, " (5xx 3 of 5)"),
        (ProcessHealth("h1"), {"5xx": 2, "cut": 2}, ""),
        (ProcessHealth("h1"), {}, ""),
    ],
    ids=str,
)
def test_an_slo_break_names_the_class_of_most_failures(host: ProcessHealth, failed: dict[str, int], said: str) -> None:
    recent = Window(0, 60, TrackWindow("c", (HostCounts("h1", 100, sum(failed.values()), failed=failed),)), None)
    seen = observation(TABLE["good"] | {"canary_above": ["error_rate"]})
    assert say_break(replace(seen, hosts=(host,), recent=recent)) == f"error rate 2.000%{said}"
    assert say_break(seen) == "error rate 2.000%", "as an earlier record, which has no classes"


@pytest.mark.parametrize(("of", "named"), [(("5xx",), True), (("cut",), True), (("5xx", "connect", "cut"), False)])
async def test_the_class_of_most_failures_is_named_and_none_where_there_is_none(
    seed: int, of: tuple[str, ...], named: bool
) -> None:
    said = await failing(seed, of, SloTarget())
    assert bool(re.search(rf"than stable \({of[0]} (\d+) of \1\): E = ", said)) is named, said
    assert "edges get no connection" not in said
    if not named:
        assert "than stable: E = " in said


# --- latency


@pytest.mark.parametrize("extra", [0.05, 0.1, 0.2, 0.5, 1.0])
async def test_later_answers_are_caught_without_an_slo(seed: int, extra: float) -> None:
    verdict, age = await Bake(seed, extra=extra).verdict()
    assert verdict.kind is Kind.ROLLBACK, verdict
    assert age <= 10


@pytest.mark.parametrize("extra", [0.2, 0.5, 1.0])
async def test_answers_beyond_the_slo_are_caught_at_once(seed: int, extra: float) -> None:
    verdict, age = await Bake(seed, extra=extra, slo=WITH_SLO).verdict()
    assert verdict.kind is Kind.ROLLBACK, verdict
    assert age <= 10


@pytest.mark.parametrize("extra", [0.05, 0.08])
async def test_many_times_slower_is_not_promoted_for_an_slo_that_is_still_kept(seed: int, extra: float) -> None:
    verdict, age = await Bake(seed, extra=extra, deadline=120.0, **QUICK).verdict()
    assert (verdict.kind, verdict.rule, age) == (Kind.ROLLBACK, 6, 120.0), verdict


async def test_a_little_slower_within_the_slo_is_promoted_with_a_word(seed: int) -> None:
    verdict, _ = await Bake(seed, extra=0.006, median=0.002, slo=SloTarget(0.1, 0.01)).verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    assert "slower than stable: p95 " in verdict.reason


async def test_as_quick_as_stable_is_promoted_without_it(seed: int) -> None:
    verdict, _ = await Bake(seed, **QUICK).verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    assert "slower than stable" not in verdict.reason


@pytest.mark.parametrize("extra", [0.02, 0.03])
async def test_four_times_slower_far_below_the_slo_is_held_and_goes_back_at_the_deadline(
    seed: int, extra: float
) -> None:
    slow = {"extra": extra, "median": 0.004, "slo": SloTarget(0.5, 0.01)}
    verdict, age = await Bake(seed, deadline=150.0, **slow).verdict()
    assert (verdict.kind, verdict.rule, age) == (Kind.ROLLBACK, 6, 150.0), verdict
    assert verdict.reason.startswith("the canary answers later than stable (p95 ")


SLOW_ENDPOINT = {"extra": 0.15, "share": 0.2, "median": 0.0035, "slo": WITH_SLO, "bake": 100.0, "deadline": 300.0}


async def test_one_slow_endpoint_of_five_is_condemned_and_held_with_its_figures(seed: int) -> None:
    verdict, age = await Bake(seed, **SLOW_ENDPOINT).verdict()
    assert (verdict.kind, verdict.rule, age) == (Kind.ROLLBACK, 6, 300.0), verdict
    said = r"the canary answers later than stable \(p95 1\d\d ms, stable's [\d.]+ ms, the SLO 200 ms\), without an SLO"
    assert re.match(said, verdict.reason), verdict.reason
    assert "late is above 25 ms" in verdict.reason
    assert condemned(verdict.reason) > 1e6


async def test_control_against_the_slo_alone_it_is_not_condemned(seed: int) -> None:
    verdict, _ = await Bake(seed, rules=1, **SLOW_ENDPOINT).verdict()
    assert not verdict.reason.startswith("the canary answers later")
    assert "E = " not in verdict.reason.partition("score")[0]


def condemned(reason: str) -> float:
    return float(re.search(r"E = (\S+)", reason)[1])


# --- crashes


def restarted(after: float, every: float) -> Callable[[float], ProcessHealth]:
    """Dies ``after`` seconds and each ``every`` seconds from then on; back before anybody looks."""

    def health(age: float) -> ProcessHealth:
        restarts = 0 if age < after else 1 + int((age - after) / every)
        values = {"unit.active": "active", "restarts": str(restarts)}
        return health_of("h1", record(values, "GP443" if restarts else ""))

    return health


def record(values: dict[str, str], code: str = "") -> Record:
    return Record("h1", "status", 1, "t", 1, not code, False, code, "", values)


@pytest.mark.parametrize("after", [1.0, 30.0, 60.0])
@pytest.mark.parametrize("every", [0.5, 60.0], ids=["loops", "dies now and then"])
async def test_a_process_that_dies_goes_back_at_the_next_look(seed: int, after: float, every: float) -> None:
    verdict, age = await Bake(seed, health=restarted(after, every), bake=90.0).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 1)
    assert age - after <= 2


@pytest.mark.parametrize("state", ["activating", "failed", "inactive", "deactivating"])
async def test_a_process_that_is_not_there_goes_back(seed: int, state: str) -> None:
    down = health_of("h1", record({"unit.active": state, "restarts": "0"}, "GP442"))
    verdict, age = await Bake(seed, health=lambda _age: down).verdict()
    assert (verdict.kind, verdict.rule, age) == (Kind.ROLLBACK, 1, 2.0)


# --- leaks


def leak(rate: float) -> Callable[[str, float], float]:
    """Only the canary's live heap grows, ``rate`` MiB a minute."""
    return lambda host, age: (50 + (rate * age / 60 if host == "h1" else age % 7 / 7)) * MIB


def resident(rate: float) -> Callable[[float], ProcessHealth]:
    """The same, seen from the host; the service exports nothing."""

    def health(age: float) -> ProcessHealth:
        values = {"unit.active": "active", "unit.memory": str(round((50 + rate * age / 60) * MIB))}
        return health_of("h1", record(values))

    return health


@pytest.mark.parametrize("rate", [15, 30, 120, 600])
async def test_a_leak_is_never_promoted(seed: int, rate: int) -> None:
    for bake in (Bake(seed, heap=leak(rate), bake=120.0), Bake(seed, health=resident(rate), bake=120.0)):
        verdict, age = await bake.verdict()
        assert (verdict.kind, verdict.rule, age) == (Kind.WITHDRAW, 6, 600.0), verdict
        assert "memory_growth at 0" in verdict.reason


@pytest.mark.parametrize("rate", [20, 40, 150, 600])
async def test_a_leak_is_held_in_a_bake_too_short_for_a_settled_slope(seed: int, rate: float) -> None:
    for bake in (Bake(seed, heap=leak(rate), bake=15.0), Bake(seed, health=resident(rate), bake=15.0)):
        verdict, age = await bake.verdict()
        assert (verdict.kind, verdict.rule, age) == (Kind.WITHDRAW, 6, 600.0), verdict
        assert "memory_growth at 0" in verdict.reason


def opening(rate: float) -> Callable[[float], ProcessHealth]:
    """Descriptors that are never closed, ``rate`` a minute."""

    def health(age: float) -> ProcessHealth:
        values = {"unit.active": "active", "unit.memory": str(50 * MIB), "unit.files": str(round(20 + rate * age / 60))}
        return health_of("h1", record(values))

    return health


@pytest.mark.parametrize("rate", [90, 1200])
async def test_files_that_are_never_closed_are_never_promoted(seed: int, rate: float) -> None:
    verdict, age = await Bake(seed, health=opening(rate), bake=15.0).verdict()
    assert (verdict.kind, verdict.rule, age) == (Kind.WITHDRAW, 6, 600.0), verdict
    assert "open files" in verdict.reason


async def test_control_a_pool_of_files_that_is_full_is_promoted(seed: int) -> None:
    def health(age: float) -> ProcessHealth:
        return ProcessHealth("h1", memory=50.0 * MIB, files=20 + min(age, 10.0) * 8)

    verdict, age = await Bake(seed, health=health, bake=15.0).verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    assert age <= 40


async def test_what_cannot_be_told_from_the_mark_is_held_for_90_seconds_at_most(seed: int) -> None:
    held = 0
    for i in range(10):
        noise = random.Random(seed + i)

        def health(age: float, noise: random.Random = noise) -> ProcessHealth:
            return ProcessHealth("h1", memory=(50 + age / 8 + noise.gauss(0, 4)) * MIB)

        bake = Bake(seed + i, health=health, bake=15.0)
        verdict, age = await bake.verdict()
        early = [told for told in bake.told if told.reason.startswith("too early to say whether the canary leaks (mem")]
        held += bool(early)
        assert {told.rule for told in early} <= {6}
        assert all(told.at - T0 <= 92 for told in early)
        assert not any(told.alert for told in early)
        assert verdict.kind is Kind.PROMOTE, verdict
        assert age <= 150
    assert held >= 7, "the noise of one in fifty looks like no growth at all"


async def test_control_memory_that_does_not_grow_is_promoted(seed: int) -> None:
    for bake in (Bake(seed, heap=leak(0), bake=120.0), Bake(seed, health=resident(0), bake=120.0)):
        verdict, _ = await bake.verdict()
        assert verdict.kind is Kind.PROMOTE, verdict


# --- in steps, at the tail, and by a clock that was set back


def descriptors_in_bursts(age: float) -> ProcessHealth:
    """A hundred at a time, each half minute."""
    return ProcessHealth("h1", memory=50.0 * MIB, files=20 + age // 30 * 100)


def memory_in_bursts(age: float) -> ProcessHealth:
    return ProcessHealth("h1", memory=(50 + age // 20 * 15) * MIB)


@pytest.mark.parametrize("health", [descriptors_in_bursts, memory_in_bursts])
async def test_what_leaks_in_bursts_is_not_taken_for_flat_between_them(
    seed: int, health: Callable[[float], ProcessHealth]
) -> None:
    verdict, age = await Bake(seed, health=health).verdict()
    assert (verdict.kind, verdict.rule, age) == (Kind.WITHDRAW, 6, 600.0), verdict
    assert verdict.reason.startswith("the canary keeps what it should give back: ")


async def test_where_only_the_tail_is_late_the_counts_say_so(seed: int) -> None:
    tail = {"extra": 5.0, "share": 0.005, "median": 0.004, "slo": WITH_SLO, "bake": 500.0}
    verdict, _ = await Bake(seed, **tail).verdict()
    assert verdict.kind is Kind.ROLLBACK, verdict
    said = r"the canary answers later than stable \(\d+ of \d+ above \d+ ms, stable 0 of \d+; p95 alike\)"
    assert re.match(said, verdict.reason), verdict.reason
