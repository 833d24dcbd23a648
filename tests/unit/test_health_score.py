from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gopub.health import curves
from gopub.health.config import ScoreWeights, SloTarget
from gopub.health.quantile import near, quantile
from gopub.health.runtime import RuntimeFacts
from gopub.health.samples import Histogram, HostCounts, TrackWindow
from gopub.health.score import ScoreInput, score

CASES = YAML(typ="safe").load(Path(__file__).parents[1] / "cases" / "health" / "score.yaml")
SLO = SloTarget(0.2, 0.01)
ARTICLE = ScoreWeights(profile="article")


def track(p95: float, errors: float = 0.0, n: int = 10_000) -> TrackWindow:
    """A track whose 95th percentile is exactly ``p95`` seconds."""
    latency = Histogram((p95, 20.0), (n * 95 // 100, n * 5 // 100, 0)) if p95 else Histogram((0.001,), (n, 0))
    return TrackWindow("c", (HostCounts("h1", n, round(n * errors)),), latency)


def runtime(pauses: float | None = 0.0, growth: float | None = 0.0, **more) -> RuntimeFacts:
    return RuntimeFacts(
        canary_pauses=pauses, canary_growth=growth, gc_missing=pauses is None, heap_missing=growth is None, **more
    )


@pytest.mark.parametrize("case", CASES["article"], ids=lambda case: case["name"])
def test_the_article_profile_is_its_formulas(case):
    given = ScoreInput(track(case["p95"], case["errors"]), None, runtime(case["pauses"], case["growth"]))
    found = score(given, SLO, ARTICLE)
    expected = case["score"] + (0.02 if case["p95"] == 0 and case["errors"] == 0 else 0)
    assert found.value == pytest.approx(expected, abs=0.02)
    if "plain" in case:
        plain = sum(d.weight * (d.value or 0) / 100 for d in found.dimensions)
        assert plain == pytest.approx(case["plain"], abs=0.1)
        capped = any(note.startswith("capped at 40") for note in found.notes)
        assert capped is (case["plain"] > 40)


@pytest.mark.parametrize("name", CASES["curves"])
def test_curves(name):
    for x, y in CASES["curves"][name]:
        assert getattr(curves, name)(x) == pytest.approx(y, abs=1e-3)


def test_a_shared_slowness_is_not_the_canarys():
    both = score(ScoreInput(track(0.4), track(0.4), runtime()), SLO, ScoreWeights())
    alone = score(ScoreInput(track(0.4), track(0.05), runtime()), SLO, ScoreWeights())
    assert both.value is not None
    assert alone.value is not None
    assert both.value > 90
    assert alone.value <= 40


def test_without_an_slo_stable_is_the_measure():
    weights, none = ScoreWeights(), SloTarget()
    good = score(ScoreInput(track(0.1), track(0.1), runtime()), none, weights)
    slow = score(ScoreInput(track(0.3), track(0.1), runtime()), none, weights)
    quick = score(ScoreInput(track(0.012), track(0.003), runtime()), none, weights)
    assert [good.value > 95, slow.value < 80, quick.value > 90] == [True, True, True]


def test_with_nothing_to_hold_latency_against_it_is_left_out():
    found = score(ScoreInput(track(0.3), None, runtime()), SloTarget(), ScoreWeights())
    assert found.value == 100
    assert any(note.startswith("left out latency: neither an SLO nor stable") for note in found.notes)


def test_what_is_not_exposed_is_left_out_and_said():
    found = score(ScoreInput(track(0.1), track(0.1), RuntimeFacts()), SLO, ScoreWeights())
    assert found.notes == ("left out gc_pause: not exposed", "left out memory_growth: not exposed")
    x = 0.1 / 0.2
    assert found.value == pytest.approx((40 * curves.sigmoid(x) + 30 * 100) / 70, abs=1e-3)


def test_what_was_declared_and_is_missing_is_inconclusive():
    found = score(
        ScoreInput(track(0.1), None, RuntimeFacts()), SLO, ScoreWeights(declared=("memory_growth", "latency"))
    )
    assert found.value is None
    assert found.notes == ("memory_growth: not exposed",)


def test_too_little_data_is_not_missing():
    young = RuntimeFacts(heap_missing=False, heap_note="too little data for a slope")
    found = score(ScoreInput(track(0.1), None, young), SLO, ScoreWeights(declared=("memory_growth",)))
    assert found.value is not None
    assert "left out memory_growth: too little data for a slope" in found.notes


@pytest.mark.parametrize("canary", [None, TrackWindow("c"), TrackWindow("c", (HostCounts("h1", 0, 0),))])
def test_no_requests_are_inconclusive_never_100(canary):
    found = score(ScoreInput(canary, track(0.1), runtime()), SLO, ScoreWeights())
    assert found.value is None
    assert found.notes == ("latency: no timed requests on the canary", "errors: no requests on the canary")


def test_a_weight_of_0_takes_a_dimension_out():
    found = score(ScoreInput(track(0.1, 1.0), None, runtime()), SLO, ScoreWeights(errors=0))
    assert {d.name for d in found.dimensions} == {"latency", "gc_pause", "memory_growth"}
    assert found.value > 90
    nothing = ScoreWeights(0, 0, 0, 0)
    assert score(ScoreInput(track(0.1), None, runtime()), SLO, nothing).value is None


def test_a_leak_caps_the_default_profile():
    found = score(ScoreInput(track(0.01), None, runtime(growth=20.0)), SLO, ScoreWeights())
    assert found.value == 40
    assert "capped at 40: memory_growth at 0" in found.notes
    huge = runtime(growth=20.0, canary_heap=64 * 2**30)
    assert score(ScoreInput(track(0.01), None, huge), SLO, ScoreWeights()).value > 95
    like_stable = runtime(growth=20.0, stable_growth=19.0)
    assert score(ScoreInput(track(0.01), None, like_stable), SLO, ScoreWeights()).value > 95


def test_saturated_latency_says_so():
    canary = TrackWindow("c", (HostCounts("h1", 100, 0),), Histogram((0.5, 1.0), (50, 0, 50)))
    found = score(ScoreInput(canary, None, runtime()), SLO, ScoreWeights())
    assert "the true p95 is more than 1s" in found.dimensions[0].note


_shares = st.floats(0, 1)
_profiles = st.sampled_from(["default", "article"])


@given(st.floats(0.002, 15), st.floats(0.002, 15), _shares, _shares, _profiles)
def test_slower_or_worse_never_scores_more(p95, more, errors, worse, profile):
    weights = ScoreWeights(profile=profile)
    a = score(ScoreInput(track(min(p95, more), min(errors, worse)), track(0.1), runtime()), SLO, weights).value
    b = score(ScoreInput(track(max(p95, more), max(errors, worse)), track(0.1), runtime()), SLO, weights).value
    assert 0 <= b <= a <= 100


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0, 200), st.floats(0, 200), _profiles)
def test_more_pauses_or_growth_never_score_more(pauses, more, growth, faster, profile):
    weights = ScoreWeights(profile=profile)
    low = runtime(min(pauses, more), min(growth, faster))
    high = runtime(max(pauses, more), max(growth, faster))
    a = score(ScoreInput(track(0.1), None, low), SLO, weights).value
    b = score(ScoreInput(track(0.1), None, high), SLO, weights).value
    assert 0 <= b <= a <= 100


def test_quantiles_are_those_of_promql():
    assert quantile(0.95, Histogram((0.1, 0.25, 0.5, 1.0), (0, 0, 50, 0, 0))).value == pytest.approx(0.4875)
    capped = quantile(0.95, Histogram((0.5, 1.0), (90, 0, 10)))
    assert (capped.value, capped.saturated) == (1.0, True)
    assert quantile(0.95, Histogram()) is None
    assert quantile(0.95, Histogram((1.0,), (0, 0))) is None


@pytest.mark.parametrize(
    ("counts", "bound"),
    [((70, 22, 7, 1), 0.1), ((70, 15, 14, 1), 0.1), ((70, 14, 15, 1), 0.12)],
    ids=["8 % above", "15 % above", "16 % above"],
)
def test_a_tail_is_counted_at_the_bound_below_unless_too_many_lie_above_it(counts, bound):
    assert near(0.12, Histogram((0.05, 0.1, 0.15), counts)) == bound
    assert near(0.04, Histogram((0.05, 0.1, 0.15), counts)) == 0.04, "there is no bound below it"


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.floats(0.01, 0.99))
def test_a_quantile_lies_within_its_bucket(counts, q):
    bounds = (0.1, 0.5, 2.0)
    found = quantile(q, Histogram(bounds, tuple(counts)))
    if found is None:
        assert not sum(counts)
        return
    at_most = sum(c for b, c in zip(bounds, counts, strict=False) if b <= found.value)
    assert math.isfinite(found.value)
    assert found.saturated or at_most <= math.ceil(q * sum(counts)) + 1e-6 or found.value in bounds
