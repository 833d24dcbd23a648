from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.health.runtime import RuntimeTrail, nearest
from gopub.health.samples import NoData, ProcessHealth, RuntimeSample, RuntimeSnapshot
from gopub.health.trend import MIB, growth

INF = float("inf")


def line(slope, seconds=300, step=5, base=100):
    return [(float(t), (base + slope * t / 60) * MIB) for t in range(0, seconds, step)]


@pytest.mark.parametrize("slope", [1, 15, 20, 600])
def test_a_straight_leak_is_its_slope(slope):
    assert growth(line(slope)) == pytest.approx(slope)


def test_a_leak_of_20_mib_a_minute_is_seen_within_three_minutes():
    seen = [t for t in range(0, 181, 5) if (growth(line(20, t)) or 0) > 15]
    assert seen
    assert seen[0] <= 180


@pytest.mark.parametrize("seconds", [0, 5, 10, 30, 60, 85])
def test_too_short_is_no_slope(seconds):
    assert growth(line(20, seconds)) is None


@pytest.mark.parametrize(
    ("slope", "seconds", "seen"), [(600, 12, True), (100, 12, True), (50, 40, False), (600, 6, False)]
)
def test_a_steep_rise_is_told_before_there_is_a_slope(slope, seconds, seen):
    found = growth(line(slope, seconds, step=2))
    assert found == (pytest.approx(slope) if seen else None)


def test_a_steep_rise_that_has_ended_is_forgotten():
    warm = [(float(t), min(t, 20) * 10 * MIB) for t in range(0, 50, 2)]
    assert growth(warm[:10], collected=False) == pytest.approx(600)
    assert growth(warm, collected=False) is None


def test_flat_resident_memory_is_no_growth_and_a_flat_live_heap_too_little_data():
    flat = line(0, 300)
    assert (growth(flat, collected=False), growth(flat)) == (0.0, None)


def test_the_live_heap_is_believed_before_resident_memory():
    trail = RuntimeTrail()
    for t, resident in line(40, 200):
        trail.add_health([ProcessHealth("h1", memory=resident)], t)
        trail.add_health([ProcessHealth("h2", memory=1.0, reachable=False), ProcessHealth("h3")], t)
        if t < 100:
            continue
        assert trail.facts(["h1"], []).canary_growth == pytest.approx(40)
        assert "resident" in trail.facts(["h1"], []).heap_note
    for t, heap in line(1, 200):
        trail.add(sample(t, heap))
    facts = trail.facts(["h1"], [])
    assert (facts.canary_growth, facts.heap_note, facts.heap_missing) == (pytest.approx(1), "", False)
    assert trail.facts(["h2", "h3"], []).heap_missing


def test_warm_up_is_cut_off():
    warm = [(float(t), min(t, 30) * 20 * MIB) for t in range(0, 300, 5)]
    assert not growth(warm)


def test_outliers_do_not_bend_the_slope():
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    points = [(t, v * (3 if rng.random() < 0.1 else 1)) for t, v in line(20, 600)]
    assert growth(points) == pytest.approx(20, rel=0.5)


def test_live_heap_that_goes_up_and_down_is_no_leak():
    for seed in range(30):
        rng = random.Random(seed)
        points = [(float(t), (100 + rng.uniform(0, 60)) * MIB) for t in range(0, 600, 5)]
        assert (growth(points) or 0) < 5, seed


def test_few_collections_are_too_little_data():
    steps = [(float(t), (100 + 20 * (t // 60)) * MIB) for t in range(240)]
    assert growth(steps) is None, "four values, each seen sixty times, are four points"


def test_what_lies_before_a_restart_does_not_count():
    trail = RuntimeTrail()
    for index, (t, heap) in enumerate([*line(0, 200, base=1000), *[(t + 200, v) for t, v in line(20, 200, base=10)]]):
        trail.add(sample(t, heap, {0.01: 0.0, INF: float(index % 40)}))
    assert trail.facts(["h1"], []).canary_growth == pytest.approx(20)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e12)), max_size=40))
def test_never_negative_never_fails(points):
    found = growth(sorted(points))
    assert found is None or found >= 0


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
        trail.add(RuntimeSnapshot(t, (RuntimeSample("h1", t, low), RuntimeSample("h2", t, high))))
    facts = trail.facts(["h1", "h2"], ["h1"])
    assert facts.canary_growth == pytest.approx(30)
    assert facts.stable_growth == pytest.approx(1)
