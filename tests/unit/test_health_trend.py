from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.health.runtime import RuntimeTrail, nearest
from gopub.health.samples import NoData, ProcessHealth, RuntimeSample, RuntimeSnapshot
from gopub.health.trend import MIB, slope
from tests.support.chance import seed as chance_seed

INF = float("inf")


def line(slope, seconds=300, step=5, base=100):
    return [(float(t), base + slope * t / 60) for t in range(0, seconds, step)]


def noisy(points, spread, seed):
    rng = random.Random(seed)
    return [(t, value + rng.gauss(0, spread)) for t, value in points]


@pytest.fixture(scope="module")
def seed():
    return chance_seed()


@pytest.mark.parametrize("rate", [1, 15, 20, 600])
def test_a_straight_leak_is_its_slope(rate):
    found = slope(line(rate))
    assert (found.low, found.mid, found.high, found.settled) == (*[pytest.approx(rate)] * 3, True)


@pytest.mark.parametrize("rate", [20, 40, 600])
def test_a_leak_shows_within_half_a_minute(rate, seed):
    for i in range(30):
        points = noisy(line(rate, 32, step=2), rate / 200, seed + i)
        told = [t for t in range(2, 17) if (found := slope(points[:t], collected=False)) and found.low >= 15]
        assert told, f"{rate} MiB a minute: {slope(points, collected=False)}"
        assert 12 <= 2 * (told[0] - 1) <= 30


@pytest.mark.parametrize("seconds", [0, 2, 6, 12])
def test_too_short_is_no_slope(seconds):
    assert slope(line(600, seconds, step=2)) is None


def test_an_interval_that_straddles_the_mark_says_nothing_until_it_is_settled(seed):
    points = noisy(line(15, 92, step=2), 3, seed)
    early, late = slope(points[:10], collected=False), slope(points, collected=False)
    assert early.low < 15 < early.high
    assert (early.settled, late.settled) == (False, True)


def test_flat_memory_with_noise_is_told_soon(seed):
    ages = []
    for i in range(50):
        points = noisy(line(0, 90, step=2), 0.3, seed + i)
        told = (2 * n for n in range(6, 45) if (found := slope(points[:n], collected=False)) and found.high < 15)
        ages.append(next(told, 90))
    assert sorted(ages)[25] <= 20
    assert max(ages) <= 40


def test_a_cache_that_fills_is_told_while_it_fills_and_forgotten_when_it_is_full():
    """200 MiB in 20 s."""
    warm = [(float(t), min(t, 20) * 10.0) for t in range(0, 92, 2)]
    assert slope(warm[:9], collected=False).low == pytest.approx(600)
    after = [slope(warm[: n + 1], collected=False) for n in range(16, 46)]
    assert all(found.low < 15 for found in after), "no longer surely a leak from 32 s on"
    assert next(found for found in after if found.high < 15)
    assert slope(warm[:21], collected=False).high < 15, "and surely none after 40 s"


def test_a_sawtooth_of_the_collector_is_no_leak(seed):
    """Up by 20 MiB and down again, every 5 to 30 s."""
    rng = random.Random(seed)
    for _ in range(20):
        period = rng.uniform(5, 30)
        points = [(float(t), 100 + 20 * (t % period) / period) for t in range(0, 300, 2)]
        assert slope(points, collected=False).mid < 5, period
        early = [slope(points[:n], collected=False) for n in range(20, 46)]
        sure = sum(found.low >= 15 for found in early)
        assert sure <= len(early) / 2, f"period {period}: held {sure} of {len(early)} looks"


def test_flat_resident_memory_is_no_growth_and_a_flat_live_heap_too_little_data():
    flat = line(0, 300)
    assert (slope(flat, collected=False).mid, slope(flat)) == (0.0, None)


def test_the_live_heap_is_believed_before_resident_memory():
    trail = RuntimeTrail()
    for t, resident in line(40, 200):
        trail.add_health([ProcessHealth("h1", memory=resident * MIB)], t)
        trail.add_health([ProcessHealth("h2", memory=1.0, reachable=False), ProcessHealth("h3")], t)
        if t < 100:
            continue
        assert trail.facts(["h1"], []).canary_growth == pytest.approx(40)
        assert "resident" in trail.facts(["h1"], []).heap_note
    for t, heap in line(1, 200):
        trail.add(sample(t, heap * MIB))
    facts = trail.facts(["h1"], [])
    assert (facts.canary_growth, facts.heap_note, facts.heap_missing) == (pytest.approx(1), "", False)
    assert trail.facts(["h2", "h3"], []).heap_missing


def test_warm_up_is_cut_off():
    warm = [(float(t), min(t, 30) * 20.0) for t in range(0, 300, 5)]
    assert slope(warm) is None
    assert slope(warm, collected=False).high == 0


def test_outliers_do_not_bend_the_slope(seed):
    rng = random.Random(seed)
    points = [(t, v * (3 if rng.random() < 0.1 else 1)) for t, v in line(20, 600)]
    assert slope(points).mid == pytest.approx(20, rel=0.5)


def test_live_heap_that_goes_up_and_down_is_no_leak():
    for seed in range(30):
        rng = random.Random(seed)
        points = [(float(t), 100 + rng.uniform(0, 60)) for t in range(0, 600, 5)]
        assert slope(points).mid < 5, seed


def test_few_collections_are_too_little_data():
    steps = [(float(t), 100.0 + 20 * (t // 60)) for t in range(240)]
    assert slope(steps) is None, "four values, each seen sixty times, are four points"


def test_what_lies_before_a_restart_does_not_count():
    trail = RuntimeTrail()
    for index, (t, heap) in enumerate([*line(0, 200, base=1000), *[(t + 200, v) for t, v in line(20, 200, base=10)]]):
        trail.add(sample(t, heap * MIB, {0.01: 0.0, INF: float(index % 40)}))
    assert trail.facts(["h1"], []).canary_growth == pytest.approx(20)


def test_a_settled_host_speaks_for_the_release_unless_another_one_surely_leaks():
    trail = RuntimeTrail()
    for t, value in line(2, 200, step=2):
        trail.add_health([ProcessHealth("h1", memory=value * MIB)], t)
    for t, value in noisy(line(15, 20, step=2), 8, 1):
        trail.add_health([ProcessHealth("h2", memory=value * MIB)], 180 + t)
    assert trail.facts(["h1", "h2"], []).memory.settled
    for t, value in line(300, 20, step=2):
        trail.add_health([ProcessHealth("h3", memory=value * MIB)], 180 + t)
    assert trail.facts(["h1", "h2", "h3"], []).memory.low == pytest.approx(300)


def test_open_files_have_a_slope_of_their_own():
    trail = RuntimeTrail()
    assert trail.facts(["h1"], []).files_missing
    for t, value in line(1200, 20, step=2):
        trail.add_health([ProcessHealth("h1", files=float(round(value)))], t)
    facts = trail.facts(["h1"], [])
    assert facts.files.low == pytest.approx(1200, rel=0.05)
    assert (facts.files_missing, facts.heap_missing) == (False, True)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e12)), max_size=40))
def test_never_fails(points):
    found = slope(sorted(points))
    assert found is None or found.low <= found.mid <= found.high or found.settled


def sample(at, heap=None, pauses=None, host="h1"):
    return RuntimeSnapshot(at, (RuntimeSample(host, at, heap, pauses or {}),))


def test_pauses_are_counted_and_fade():
    trail = RuntimeTrail("default")
    trail.add(sample(0, pauses={0.01: 10.0, INF: 10.0}))
    trail.add(sample(1, pauses={0.01: 20.0, INF: 24.0}))
    assert trail.facts(["h1"], []).canary_pauses == pytest.approx(4)
    trail.add(sample(61, pauses={0.01: 20.0, INF: 24.0}))
    assert trail.facts(["h1"], []).canary_pauses == pytest.approx(2)


def test_pauses_of_a_new_process_count_from_zero():
    trail = RuntimeTrail("default")
    trail.add(sample(0, pauses={0.01: 90.0, INF: 100.0}))
    trail.add(sample(0.001, pauses={0.01: 1.0, INF: 3.0}))
    assert trail.facts(["h1"], []).canary_pauses == pytest.approx(2, rel=1e-3)


def test_the_bound_is_the_nearest_that_is_there():
    buckets = dict.fromkeys((6.4e-08, 0.00091, 0.01048576, 0.117440512, INF), 0.0)
    assert nearest(buckets, 0.010) == 0.01048576
    assert nearest(buckets, 0.200) == 0.117440512
    assert nearest({}, 1.0) is None


def test_what_is_missing_says_why():
    trail = RuntimeTrail()
    facts = trail.facts(["h1"], [])
    assert (facts.gc_missing, facts.heap_missing, facts.heap_note) == (True, True, "not exposed")
    trail.add(NoData("Prometheus is down"))
    assert trail.facts(["h1"], []).heap_note == "Prometheus is down"
    trail.add(sample(0, heap=5e6))
    facts = trail.facts(["h1"], [])
    assert (facts.heap_missing, facts.heap_note, facts.gc_missing) == (False, "too little data for a slope", True)
    trail.forget("h1")
    assert trail.facts(["h1"], []).heap_missing


def test_the_worst_canary_host_counts():
    trail = RuntimeTrail()
    for (t, low), (_, high) in zip(line(1), line(30), strict=True):
        trail.add(RuntimeSnapshot(t, (RuntimeSample("h1", t, low * MIB), RuntimeSample("h2", t, high * MIB))))
    facts = trail.facts(["h1", "h2"], ["h1"])
    assert facts.canary_growth == pytest.approx(30)
    assert facts.stable_growth == pytest.approx(1)
