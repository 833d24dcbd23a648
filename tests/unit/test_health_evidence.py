from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.health.config import RULES, SloTarget
from gopub.health.dispersion import Dispersion, Tally, pearson
from gopub.health.eprocess import BURST, GRID, Process, against_rate, against_stable, log_sum
from gopub.health.samples import HostCounts, TrackWindow, Window
from gopub.health.sequential import ON_COUNTS, EvidenceState, evidence, fold, learn
from gopub.health.wire import from_json, to_json

SLO = SloTarget(0.2, 0.01)
NOTHING = math.log(ON_COUNTS)
"""E where no bet was made: the rest of the coin is what error lines may be wrong."""


def window(canary, stable, start=0.0):
    """Tracks as (attempts, errors, slow), or None."""

    def track(name, counts):
        return TrackWindow(name, (HostCounts(name, counts[0], counts[1], counts[0], counts[2]),)) if counts else None

    return Window(start, start + 2, track("c", canary), track("s", stable))


def run(windows, slo=SLO, *, compare=True, stable_broken=False, rules=RULES):
    state = EvidenceState(slow_above=0.2)
    state = fold(state, windows, slo, compare=compare, stable_broken=stable_broken, rules=rules)
    return evidence(state, slo, rules=rules)


# --- one window against the closed forms


@given(st.integers(0, 50), st.integers(1, 10**6), st.integers(0, 50), st.integers(1, 10**6), st.floats(0, 1))
def test_against_stable_is_the_binomial_ratio(x, n, y, m, delta):
    for g, ratio in zip(GRID, against_stable(x, n, y, m, delta), strict=True):
        r = n / m
        p0 = (1 + delta) * r / (1 + (1 + delta) * r)
        p1 = (1 + delta) * g * r / (1 + (1 + delta) * g * r)
        expected = x * math.log(p1 / p0) + y * math.log((1 - p1) / (1 - p0))
        assert ratio == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (10, 990), (990, 10), (1, 1)])
@pytest.mark.parametrize("bad", [1, 3, 10])
def test_the_factor_is_an_e_value(n, m, bad):
    """Exactly: over all ways in which ``bad`` events can fall, its mean under the null is at most 1."""
    for ratio_of_rates in (0.5, 1.0, 1.25):
        p = ratio_of_rates * n / (ratio_of_rates * n + m)
        for index in range(len(GRID)):
            mean = sum(
                math.comb(bad, x)
                * p**x
                * (1 - p) ** (bad - x)
                * math.exp(against_stable(x, n, bad - x, m, 0.25)[index])
                for x in range(bad + 1)
            )
            assert mean <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.0, 0.005, 0.0125])
def test_the_factor_against_the_slo_is_an_e_value(rate):
    n = 40
    for index in range(len(GRID)):
        mean = sum(
            math.comb(n, x) * rate**x * (1 - rate) ** (n - x) * math.exp(against_rate(x, n, 0.01, 0.25)[index])
            for x in range(n + 1)
        )
        assert mean <= 1 + 1e-9


def test_restarts_share_one_coin():
    """Under factors of 1 nothing is won or lost, however many new starts there are."""
    process = Process()
    for minute in range(0, 7200, 20):
        process = process.step([0.0] * len(GRID), 1.0, float(minute))
    assert process.blocks == 119
    assert process.log_e == pytest.approx(0.0, abs=1e-9)


def test_a_late_regression_is_not_buried_by_a_long_good_past():
    noisy = [window((100, 2, 0), (300, 6, 0), 2.0 * i) for i in range(900)]  # half an hour, all as it should be
    bad = [window((100, 20, 0), (300, 6, 0), 1800 + 2.0 * i) for i in range(8)]
    late = run([*noisy, *bad])
    assert run(noisy).log_e < math.log(2)
    assert late.log_e > math.log(100)
    alone = Process()
    for w in [*noisy, *bad]:  # control: without new starts the same windows prove nothing
        x, n, y, m = w.canary.errors, w.canary.attempts, w.stable.errors, w.stable.attempts
        gains = [min(g, math.log(BURST)) for g in against_stable(x, n, y, m, 0.25)]
        alone = Process(tuple(a + b for a, b in zip(alone.started, gains, strict=True)))
    assert alone.log_e < math.log(100)


def test_no_overflow_and_no_underflow():
    awful = [window((10**6, 10**6, 0), (10**6, 0, 0), 2.0 * i) for i in range(2000)]
    found = run(awful)
    assert math.isfinite(found.log_e)
    assert found.e_value == pytest.approx(math.exp(690))
    fine = run([window((10**6, 0, 0), (10**6, 10**6, 0), 2.0 * i) for i in range(2000)])
    assert math.isfinite(fine.log_e)
    assert fine.log_e < 0


def test_one_burst_is_not_enough_however_large():
    burst = run([window((1000, 1000, 1000), (3000, 0, 0))])
    assert burst.log_e < math.log(BURST)
    twice = run([window((1000, 1000, 0), (3000, 0, 0), 2.0 * i) for i in range(4)])
    assert twice.log_e > math.log(10_000)


# --- what is held against what


def test_a_shared_incident_is_no_evidence():
    assert run([window((100, 20, 30), (300, 60, 90), 2.0 * i) for i in range(60)]).log_e < 0.1


def test_within_the_margin_is_not_worse():
    """20 % more errors and 40 % more slow answers lie within δ."""
    assert run([window((1000, 60, 70), (1000, 50, 50), 2.0 * i) for i in range(100)]).log_e < math.log(100)


@pytest.mark.parametrize("stable", [None, (0, 0, 0)], ids=["no stable", "stable idle"])
def test_without_stable_traffic_nothing_is_evidence(stable):
    """What fails there may fail everywhere: the same windows are a bad release and a database that is down."""
    bad = [window((100, 60, 60), stable, 20.0 * i) for i in range(30)]
    assert (run(bad).log_e, run(bad).basis) == (pytest.approx(NOTHING), "none")
    by_rules_3 = run(bad, rules=3)
    assert by_rules_3.basis == "slo"
    assert by_rules_3.log_e > math.log(10_000), "control: it was enough to blame the release"


def test_evidence_from_steps_with_stable_traffic_stays_without_it():
    both = [window((100, 20, 0), (300, 3, 0), 2.0 * i) for i in range(10)]
    alone = [window((100, 0, 0), None, 40 + 20.0 * i) for i in range(30)]
    assert run(both).log_e > math.log(10_000)
    assert run([*both, *alone]).log_e == pytest.approx(run(both).log_e)


def test_users_who_chose_themselves_are_held_against_the_slo_unless_stable_breaks_it():
    windows = [window((100, 10, 0), (300, 30, 0), 2.0 * i) for i in range(10)]
    assert run(windows, compare=False).log_e > math.log(100)
    assert run(windows, compare=False, stable_broken=True).log_e == pytest.approx(NOTHING)
    fine = [window((100, 1, 3), (300, 3, 9), 2.0 * i) for i in range(300)]
    assert run(fine, compare=False).log_e < math.log(100)
    assert run(windows, compare=True).log_e < 0.1


def test_little_traffic_is_put_together_before_it_is_compared():
    """One request a window, now here, now there: compared with stable all the same, not with the SLO."""
    windows = []
    for i in range(400):
        canary, stable = ((0, 0, 0), (1, 0, 0)) if i % 2 else ((1, i % 4 == 0, 0), (0, 0, 0))
        windows.append(window(canary, stable, 0.5 * i))
    windows[0] = window((0, 0, 0), (1, 0, 0))
    found = run(windows)
    assert found.basis == "stable"
    assert found.metrics[0].canary_exposed == pytest.approx(200, abs=2)
    assert found.log_e > math.log(100)


def test_counts_do_not_wait_for_a_track_that_is_gone():
    both = [window((100, 0, 0), (300, 0, 0), 2.0 * i) for i in range(5)]
    alone = [window((100, 20, 0), (0, 0, 0), 10 + 2.0 * i) for i in range(12)]
    assert run([*both, *alone]).basis == "none"
    assert run([*both, *alone], rules=3).basis == "slo"
    assert run([*both, *alone], rules=3).log_e > math.log(10_000)


def test_an_idle_canary_does_not_pile_up_stable_counts():
    idle = [window((0, 0, 0), (300, 0, 0), 2.0 * i) for i in range(300)]
    incident = [window((10, 2, 0), (300, 60, 0), 600 + 2.0 * i) for i in range(3)]
    assert run([*idle, *incident]).log_e < 1.0


def test_no_canary_requests_change_nothing():
    state = fold(EvidenceState(), [window((0, 0, 0), (300, 10, 0))], SLO, compare=True, stable_broken=False)
    assert evidence(state, SLO).log_e == pytest.approx(NOTHING)
    assert evidence(state, SLO).basis == "none"


def test_slow_answers_alone_are_evidence():
    assert run([window((100, 0, 60), (300, 0, 12), 2.0 * i) for i in range(10)]).log_e > math.log(10_000)


def test_folding_is_resumable():
    windows = [window((100, i % 7, 5), (300, i % 3, 15), 2.0 * i) for i in range(100)]
    whole = fold(EvidenceState(), windows, SLO, compare=True, stable_broken=False)
    half = fold(EvidenceState(), windows[:50], SLO, compare=True, stable_broken=False)
    again = from_json(EvidenceState, to_json(half))
    assert again == half
    assert fold(again, windows[50:], SLO, compare=True, stable_broken=False) == whole


# --- φ


def test_pearson_by_hand():
    assert pearson([Tally(1, 100), Tally(0, 100), Tally(0, 100)]) == (pytest.approx(2.0), 2)
    assert pearson([Tally(5, 100), Tally(5, 100)]) == (0.0, 1)
    assert pearson([Tally(0, 100), Tally(0, 100)]) == (0.0, 0)
    assert pearson([Tally(9, 100)]) == (0.0, 0)
    assert pearson([Tally(9, 100), Tally(0, 0)]) == (0.0, 0)


def test_a_host_that_left_stable_early_does_not_drown_the_evidence_as_the_others_go_on():
    """It had a burst of 8 errors in its 60 requests; each window more of the others would raise φ without bound."""
    known = Dispersion().add({"app1": Tally(8, 60), "app2": Tally(0, 60), "app3": Tally(0, 60)}, 0.0)
    seen = [known.phi]
    for window in range(1, 60):
        known = known.add({"app2": Tally(0, 60), "app3": Tally(int(window == 1), 60)}, 2.0 * window)
        seen.append(known.phi)
    assert seen[-1] < seen[0]


def test_control_a_busy_host_that_differs_still_counts():
    even = Dispersion().add({"app1": Tally(4, 500), "app2": Tally(4, 500), "app3": Tally(4, 500)}, 0.0)
    odd = Dispersion().add({"app1": Tally(40, 200), "app2": Tally(4, 500), "app3": Tally(4, 500)}, 0.0)
    assert odd.phi > 5 * even.phi


def _spread(counts):
    spread = Dispersion()
    for index, hosts in enumerate(counts):
        tallies = {f"h{i}": Tally(bad, 1000) for i, bad in enumerate(hosts)}
        spread = spread.add(tallies, 60.0 * index)
    return spread


def test_phi_is_never_below_one_and_knows_clusters():
    even = _spread([(5, 5, 5)] * 40)
    assert even.phi == 1.0
    clustered = _spread([(10, 0, 0), (0, 10, 0), (0, 0, 10)] * 20)
    assert clustered.phi > 8


def test_phi_knows_hosts_that_always_differ():
    differing = _spread([(10, 5, 5)] * 40)
    assert differing.phi > 5


def test_the_past_is_not_compared_with_the_present():
    """The common rate doubles, and one host (the canary now) is only in the past: no spread between hosts."""
    past = [
        Window(60.0 * i, 60.0 * i + 60, None, TrackWindow("s", tuple(HostCounts(f"h{k}", 1000, 5) for k in range(3))))
        for i in range(30)
    ]
    state = learn(EvidenceState(), past)
    now = [
        Window(
            2000.0 + 2 * i,
            2002.0 + 2 * i,
            TrackWindow("c", (HostCounts("h0", 1000, 20),)),
            TrackWindow("s", tuple(HostCounts(f"h{k}", 1000, 20) for k in (1, 2))),
        )
        for i in range(30)
    ]
    state = fold(state, now, SLO, compare=True, stable_broken=False)
    assert state.errors.spread.phi == 1.0


def _two_ways(rules):
    """E after one window whose 20 errors of stable lie on one host of four, or five on each."""
    canary = TrackWindow("c", (HostCounts("h0", 500, 30),))
    said = []
    for split in ((20, 0, 0, 0), (5, 5, 5, 5)):
        stable = TrackWindow("s", tuple(HostCounts(f"h{k}", 500, bad) for k, bad in enumerate(split, 1)))
        state = fold(
            EvidenceState(), [Window(0.0, 2.0, canary, stable)], SLO, compare=True, stable_broken=False, rules=rules
        )
        said.append((state.errors.versus_stable.log_e, state.errors.spread.phi))
    return said


def test_phi_is_of_the_time_before_the_window_that_it_is_applied_to():
    (burst, phi_burst), (even, phi_even) = _two_ways(RULES)
    assert burst == even
    assert phi_burst > 5 * phi_even, "the next window is divided by what this one taught"


def test_control_by_rules_3_the_window_was_divided_by_itself():
    (burst, _), (even, _) = _two_ways(3)
    assert burst < even - 1


def test_unknown_clustering_is_assumed():
    assert Dispersion().phi == 1.5


def test_log_sum():
    assert log_sum([math.log(2), math.log(3)]) == pytest.approx(math.log(5))
    assert log_sum([1e6, 1e6]) == pytest.approx(1e6 + math.log(2))


# --- late answers


def late(canary, stable, rules=RULES, looks=20):
    """E of all, where so many of 250 and of 2250 answers a look are late."""
    state = EvidenceState(slow_above=0.2, late_above=0.1)
    for i in range(looks):
        tracks = (
            TrackWindow(name, (HostCounts(name, n, 0, n, 0, n, bad),))
            for name, n, bad in (("c", 250, canary), ("s", 2250, stable))
        )
        state = fold(
            state, [Window(5.0 * i, 5.0 * i + 5, *tracks)], SLO, compare=True, stable_broken=False, rules=rules
        )
    return evidence(state, SLO, late=True)


def test_answers_that_take_a_third_longer_are_late():
    """Log-normal times of deviation 0.5: of 8.3 % above a bound, 1.3 times the time makes 19.5 %."""
    assert late(49, 187).log_e_all > math.log(100)
    assert late(49, 187).log_e < math.log(100), "to be late is no broken promise, so it blames by its stake at most"
    assert late(49, 187, rules=4).log_e_all < math.log(100), "control: by the rules of before it is no more"


def test_half_as_many_late_answers_again_are_within_the_margin():
    assert late(31, 187, looks=200).log_e_all < 0.1
