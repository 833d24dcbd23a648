"""A process may be slow while it warms up: that is told, and no figure has it. Errors count at once."""

from __future__ import annotations

import random

import pytest

from gopub.health.config import SloTarget
from gopub.health.counters import Gained, warmed
from gopub.health.samples import ProcessHealth, RawSeries
from gopub.rollout.verdict import Kind
from tests.unit.judge_world import CANARY, Bake


@pytest.fixture(scope="module")
def seed() -> int:
    drawn = random.SystemRandom().randrange(2**32)
    print(f"seed {drawn}")
    return drawn


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


def test_only_the_latency_of_only_the_warming_hosts_is_left_out():
    def row(release: str, host: str) -> RawSeries:
        return RawSeries("e1", release, host, {"2xx": 9.0, "5xx": 1.0}, {0.1: 8.0, 1.0: 10.0, float("inf"): 10.0})

    found = Gained(100.0, 102.0, (row(CANARY, "h1"), row(CANARY, "h2"), row("5" * 12, "h1")))
    kept, cold = warmed(found, {"h1": 101.0, "h2": 100.0}, CANARY, 0.1)
    assert [bool(one.cumulative) for one in kept.series] == [False, True, True]
    assert [one.classes for one in kept.series] == [one.classes for one in found.series]
    assert (cold.timed, cold.slow) == (10, 2)
