"""What a step is told to see is what the judge's own test then finds; half the rise is found far more rarely."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gopub.health.config import SloTarget
from gopub.health.power import Sight, chance, least
from gopub.health.samples import CounterSnapshot, RawSeries
from gopub.health.sequential import EvidenceState, evidence, fold, learn
from gopub.health.trend import MIN_SPAN, SETTLED, WARMUP
from gopub.health.usual import Usual, usual
from gopub.judge.decision import EARLY
from gopub.plan.model import PlannedStep
from gopub.plan.sight import Wanted, growth, table, told
from tests.bench.judge_simulator import Fault, Fleet, World
from tests.support.chance import seed as chance_seed

SLO = SloTarget(0.2, 0.01)
TRACES = 50
WORLDS = {
    "little traffic": (World(rps=20, looks=40, history=60), 1.0),
    "many errors, no history": (World(rps=20, looks=40, history=0, errors=0.01), 1.0),
    "taken back at once": (World(rps=20, looks=40, history=60, errors=0.01), 100.0),
    "clusters": (World(rps=20, looks=40, history=120, errors=0.01, cluster=3), 1.0),
}
STEP = PlannedStep(0, ("h0",), 1000, 300.0)


@pytest.fixture(scope="module")
def seed():
    return chance_seed()


def found(world, rate, times, seed):
    """Whether the judge's test, fed with drawn counts as in a rollout, reaches its mark."""
    fleet, state = Fleet(world, Fault(extra_errors=rate - world.errors), seed), EvidenceState(slow_above=0.2)
    state = learn(state, fleet.past())
    for window in fleet.windows():
        state = fold(state, (window,), SLO, compare=True, stable_broken=False)
        if evidence(state, SLO, late=True).log_e >= math.log(times / 0.01):
            return True
    return False


def sight_of(world, seed):
    spreads = [learn(EvidenceState(), Fleet(world, None, seed + i).past()).errors.spread.phi for i in range(9)]
    phi, others = max(1.1, sorted(spreads)[4]), world.hosts - world.canaries
    cluster = phi if world.cluster > 1 else 1.0
    return Sight(world.rps, world.rps * others, world.look * world.looks, world.errors, SLO, phi=phi, cluster=cluster)


@pytest.mark.parametrize("name", WORLDS)
def test_what_is_told_to_be_seen_is_found_and_half_of_it_is_not(name, seed):
    world, times = WORLDS[name]
    rate = least(sight_of(world, seed), times)
    half = world.errors + (rate - world.errors) / 2
    told_share = sum(found(world, rate, times, seed + i) for i in range(TRACES)) / TRACES
    half_share = sum(found(world, half, times, seed + i) for i in range(TRACES)) / TRACES
    assert 0.5 <= told_share <= 0.98, (rate, told_share)
    assert half_share <= told_share - 0.2, (rate, told_share, half_share)


def test_more_traffic_time_and_share_see_less():
    base = Sight(2.0, 18.0, 300.0, 0.001, SLO)
    rate = least(base)
    assert 0.005 < rate < 0.04
    assert least(replace(base, seconds=900.0)) < rate
    assert least(replace(base, canary=20.0, stable=180.0)) < rate
    assert least(base, 100.0) > rate
    assert least(replace(base, phi=3.0)) > rate
    shares = [chance(base, rate * factor) for factor in (0.25, 0.5, 1.0, 2.0)]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert 0.78 < shares[2] < 0.9 < shares[3] <= 1 + 1e-9


def test_both_ways_to_compute_it_agree():
    """Few bad events are computed exactly, many as a walk: where they meet there is no jump."""
    around = [chance(Sight(rate, 100.0, 100.0, 0.1, SLO), 0.16) for rate in (61.0, 62.0, 63.0, 64.0)]
    assert max(around) - min(around) < 0.06, around


def test_without_stable_nothing_is_seen_as_nothing_is_evidence():
    world = World(rps=20, looks=40, history=60, errors=0.01, hosts=1)
    assert least(Sight(20.0, 0.0, 80.0, 0.01, SLO)) is None
    assert not found(world, 1.0, 1.0, 1)
    assert found(replace(world, hosts=2), 1.0, 1.0, 1)  # control
    lines = told([STEP, replace(STEP, index=1, weight=10_000)], Usual(200.0, 0.001), Wanted(SLO, 0.01))
    assert lines[1].startswith("step 2 (100% of 200 requests/s for 5m) has no stable traffic beside it")
    assert "keep_stable" not in lines[1], "one host alone cannot be kept"
    several = replace(STEP, index=1, weight=10_000, hosts=("app1", "app2"))
    [line] = told([several], Usual(200.0, 0.001), Wanted(SLO, 0.01))
    assert line.endswith("blames nobody (rollout.keep_stable: 1 keeps a host to compare with)")
    assert table([STEP, replace(STEP, index=1, weight=10_000)], Wanted(SLO, 0.01)) == table([STEP], Wanted(SLO, 0.01))


def test_one_window_is_never_enough():
    assert least(Sight(100.0, 100.0, 10.0, 0.01, SLO, every=10.0)) is None
    assert least(Sight(100.0, 100.0, 60.0, 0.01, SLO, every=10.0)) is not None


def test_the_plan_tells_each_step_and_that_all_are_too_short():
    good = told(
        [STEP, replace(STEP, index=1, weight=0, header=("x-gray", "1"))], Usual(200.0, 0.001), Wanted(SLO, 0.01)
    )
    assert len(good) == 1
    assert good[0].startswith("step 1 (10% of 200 requests/s for 5m) finds errors that rise from 0.1% to 0.")
    short = told([replace(STEP, bake=10.0)], Usual(20.0, 0.001), Wanted(SLO, 0.01))
    assert short[-1] == (
        "no step can be relied on to find 2% of errors, twice what the SLO allows: "
        "bake longer, or give the canary a larger share"
    )
    assert told([STEP], Usual(20.0, 0.001), Wanted(SloTarget(None, None), 0.01))[-1] != short[-1]


def test_check_tells_round_numbers():
    lines = table([STEP], Wanted(SLO, 0.01))
    assert lines[1].split() == ["10/s", "100/s", "1000/s"]
    cells = [float(cell.rstrip("%")) for cell in lines[2].split()[-3:]]
    assert cells == sorted(cells, reverse=True)
    assert cells[0] > 2 >= cells[2]
    assert lines[3].startswith("these steps find an error rate of 2%, twice what the SLO allows, from about 1000")
    assert "too short to find" in table([replace(STEP, bake=5.0)], Wanted(SLO, 0.01))[-1]
    assert table([STEP], Wanted(SloTarget(None, None), 0.01)) == ()


def counted(at, ok, failed):
    series = RawSeries("edge", "stable", "h1", {"2xx": float(ok), "5xx": float(failed)}, {0.1: float(ok)})
    return CounterSnapshot(at, (series,), {"edge": at})


def test_what_is_usual_comes_from_the_counters():
    past = (counted(0.0, 0, 0), counted(60.0, 1188, 12), counted(120.0, 2376, 24))
    assert usual(past, "stable") == Usual(20.0, 0.01)
    assert usual(past, "another") is None
    assert usual(past[:1], "stable") is None
    assert usual((counted(0.0, 0, 0), counted(60.0, 1000, 0)), "stable").errors == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("bakes", "weight", "says"),
    [
        ((25.0, 20.0, 20.0), 15.0, ("steps 1 to 3 end", "another 1m5s at most")),
        ((60.0, 60.0), 15.0, ("step 1 ends", "another 30s at most")),
        ((90.0, 5.0), 15.0, ()),
        ((25.0,), 0.0, ()),
    ],
)
def test_steps_too_short_to_see_whether_memory_grows_are_told(bakes, weight, says):
    steps = tuple(PlannedStep(n, ("a",), 2500, bake) for n, bake in enumerate(bakes))
    told = growth(steps, weight)
    assert len(told) == bool(says)
    assert all(part in told[0] for part in says), told


def test_what_is_told_of_growth_is_how_long_the_judge_waits():
    assert SETTLED == EARLY >= WARMUP + MIN_SPAN
