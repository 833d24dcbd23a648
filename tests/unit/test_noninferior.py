"""A bake that counts end before its time: how often wrongly, how soon, and what it never overrules."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.health.burn import Spending
from gopub.health.config import PromoteTarget, SloTarget
from gopub.health.observation import Totals
from gopub.health.samples import ProcessHealth
from gopub.judge.decision import decide
from gopub.judge.noninferior import GRID, Bounds, _log_e, at_least, at_most, bounds, sooner
from gopub.judge.replay import record_from_json, record_to_json
from gopub.judge.verdict import Cause, Kind, Policy
from gopub.spec.models import Judge
from gopub.views.sentence import sentence
from tests.bench.judge_simulator import draw
from tests.unit.judge_maker import history, observation, policy
from tests.unit.test_decision_laws import looks
from tests.unit.verdicts import CONFIG, GOOD, NOON, drawn

WANTED = PromoteTarget(margin=0.5, beta=0.05, observed=60.0)
ERRORS_ONLY = SloTarget(None, 0.01)
BAKES = {"bake": 1800.0, "observed": 240.0}
BY_EVIDENCE = {"promote": WANTED}


# --- the bounds


@pytest.mark.parametrize(("bad", "of"), [(0, 100), (3, 1000), (50, 1000), (1000, 1000), (0, 0)])
@pytest.mark.parametrize("phi", [1.0, 2.5])
def test_bounds_hold_what_was_seen_and_lie_where_the_mixture_reaches_its_mark(bad, of, phi):
    most, least = at_most(bad, of, phi, 0.025), at_least(bad, of, phi, 0.025)
    seen = bad / of if of else 0.5
    assert 0 <= least <= seen <= most <= 1
    for edge, upper in ((most, True), (least, False)):
        if 0 < edge < 1:
            assert _log_e(bad, of, edge, phi, upper=upper) == pytest.approx(math.log(40), abs=1e-3)


def test_without_an_error_the_bound_is_the_mixtures_closed_form():
    """Mean over g of (1 - u·(1 - 1/g))^-n is 1/β at the bound u."""
    bound = at_most(0, 1000, 1.0, 0.05)
    assert sum((1 - bound * (1 - 1 / g)) ** -1000 for g in GRID) / len(GRID) == pytest.approx(20, rel=1e-6)
    assert 3 / 1000 < bound < 6.5 / 1000, "one look at a fixed number has 3 of 1000 (the rule of three)"


def test_phi_widens_them():
    assert at_most(5, 1000, 2.0, 0.05) > at_most(5, 1000, 1.0, 0.05)
    assert at_least(5, 1000, 2.0, 0.05) < at_least(5, 1000, 1.0, 0.05)


TRACES, LOOKS, PER_LOOK = 150, 20, 300


def share_let_through(seed: int, ours: float, theirs: float, swing: float = 0.0) -> float:
    """Of traces that are looked at 20 times, those that are ever good enough; rates swing together by a share."""
    chance, passed = random.Random(seed), 0
    for _ in range(TRACES):
        counts = [0, 0, 0, 0]
        for look in range(LOOKS):
            factor = 1 + swing * math.sin(look / 5)
            for place, rate, n in ((0, ours, PER_LOOK), (2, theirs, 9 * PER_LOOK)):
                counts[place] += draw(chance, n, rate * factor)
                counts[place + 1] += n
            found = bounds(seen_with(*counts), WANTED)
            if all(one.good for one in found):
                passed += 1
                break
    return passed / TRACES


def seen_with(bad, of, stable_bad, stable_of):
    config = replace(CONFIG, slo=ERRORS_ONLY)
    return replace(GOOD, config=config, step_totals=Totals(of, bad, stable_of, stable_bad))


@pytest.mark.parametrize(("theirs", "swing"), [(0.001, 0.0), (0.005, 0.0), (0.005, 0.8)])
def test_a_canary_that_is_worse_by_the_margin_goes_on_early_in_at_most_beta_of_rollouts(theirs, swing):
    """5 % are allowed; the seed is fixed, so is the figure."""
    assert share_let_through(11, theirs + 0.005, theirs, swing) <= 0.05


def test_a_canary_that_is_as_good_goes_on_and_a_bad_one_never():
    assert share_let_through(12, 0.001, 0.001) > 0.95
    assert share_let_through(13, 0.02, 0.001) == 0.0
    assert share_let_through(14, 0.004, 0.001) > 0.05, "a control: within the margin more of them do"


# --- when


def test_by_default_the_bake_is_waited_for():
    assert Judge().promote.by == "bake"
    assert Policy().promote is None
    found = drawn(BAKES).verdict
    assert (found.kind, found.cause) == (Kind.HOLD, Cause.BAKES)


def early(seen=None, past=None, rules=None):
    given_ = {"step_totals": Totals(3000, 1, 27_000, 20, 3000, 2, 27_000, 10)} | (seen or {})
    return drawn(BAKES | (past or {}), policy=BY_EVIDENCE | (rules or {}), **given_)


def test_enough_counts_end_it_before_and_the_reason_has_them():
    found = early()
    assert (found.verdict.kind, found.verdict.rule, found.verdict.cause) == (Kind.PROMOTE, 7, Cause.EVIDENCE)
    assert found.verdict.reason.startswith("goes on by evidence after 4m of a bake of 30m: at most 0.25")
    assert "% of the canary's answers fail, less than stable's (at least 0.0" in found.verdict.reason
    assert "(β = 5 % in this step); a score of 95, 80 are needed" in found.verdict.reason
    assert sentence(found) == (
        "the canary is as good as stable by its counts, 4m of 30m baked,"
        " 0.033 % of its answers failed (1 of 3000): step passed"
    )
    assert record_from_json(record_to_json(found)) == found


NOT_YET = {
    "too few counts": ({"step_totals": Totals(300, 0, 2700, 2, 300, 0, 2700, 1)}, {}, {}),
    "fewer than are needed at all": ({}, {}, {"min_requests": 3001}),
    "less observed than there must be": ({}, {"observed": 59.0}, {}),
    "hosts may warm up for longer": ({"config": replace(CONFIG, warmup=241.0)}, {}, {}),
    "its clock stands": ({}, {"stands": "no counts for 5m"}, {}),
    "no SLO": ({"config": replace(CONFIG, slo=SloTarget())}, {}, {}),
    "worse than the margin": ({"step_totals": Totals(3000, 40, 27_000, 20, 3000, 2, 27_000, 10)}, {}, {}),
    "slow": ({"step_totals": Totals(3000, 1, 27_000, 20, 3000, 240, 27_000, 10)}, {}, {}),
    "nothing timed": ({"step_totals": Totals(3000, 1, 27_000, 20)}, {}, {}),
    "a host is silent": ({"hosts": (ProcessHealth("web3", reachable=False),)}, {}, {}),
}


@pytest.mark.parametrize("name", NOT_YET)
def test_without_these_it_bakes_on(name):
    assert early(*NOT_YET[name]).verdict.kind is Kind.HOLD


def test_control_each_of_them_is_all_that_stands_in_the_way():
    assert early({"hosts": (ProcessHealth("web3"),)}).verdict.kind is Kind.PROMOTE
    assert early({}, {"observed": 60.0}).verdict.kind is Kind.PROMOTE
    assert early({"config": replace(CONFIG, warmup=240.0)}).verdict.kind is Kind.PROMOTE
    only = {"config": replace(CONFIG, slo=ERRORS_ONLY), "step_totals": Totals(3000, 1, 27_000, 20)}
    assert early(only).verdict.kind is Kind.PROMOTE, "without a latency SLO nothing needs to be timed"


def test_the_gate_a_hold_and_the_budget_bind_it_as_any_promotion():
    gated = early(past={"gate": "step 2 waits for the approval of ann"}).verdict
    assert (gated.kind, gated.reason[:30]) == (Kind.PROMOTE, "step 2 waits for the approval ")
    assert early(past={"held": "held by ann", "gate": "held by ann"}).verdict.kind is Kind.HOLD
    unread = early({"spending": Spending(NOON, unread="down")}, rules={"freeze_below": 0.2}).verdict
    assert (unread.kind, unread.cause) == (Kind.HOLD, Cause.BUDGET)


def test_where_stable_has_no_traffic_or_users_chose_themselves_the_margin_is_all_that_may_fail():
    totals = Totals(3000, 1, 27_000, 600, 3000, 2, 27_000, 10)
    with_stable = bounds(replace(GOOD, step_totals=totals), WANTED)
    chosen = bounds(replace(GOOD, step_totals=totals, compare=False), WANTED)
    alone = bounds(replace(GOOD, step_totals=Totals(3000, 1, 0, 0, 3000, 2)), WANTED)
    assert with_stable[0].least > 0.01
    assert [one.least for one in (*chosen, *alone)] == [0.0] * 4
    assert [one.margin for one in alone] == [0.005, 0.025], "of 1 % that may fail, and 5 % that may be slow"


def test_beta_is_shared_between_the_steps():
    config = replace(CONFIG, promote=WANTED)
    assert [Policy.at_step(config, step, 4).promote.beta for step in (0, 3)] == [0.0125, 0.0125]
    assert Policy.at_step(CONFIG, 0, 4).promote is None


@given(looks(), st.floats(0, 1e4))
def test_it_ends_bakes_and_nothing_else(look, left):
    """Whatever was seen: a verdict is another one only where the bake was all that was waited for, or a leak is."""
    look = look | {"bake": look["now"] + left, "requests": max(look["requests"], 50)}
    plain = decide(observation(look), policy(look), history(look))
    asked = decide(observation(look), replace(policy(look), promote=replace(WANTED, margin=1.0, observed=0.0)),
                   history(look))  # fmt: skip
    if plain.cause is not Cause.BAKES:
        assert asked == plain
    elif asked != plain:
        assert asked.kind in {Kind.PROMOTE, Kind.HOLD, Kind.WITHDRAW}


def test_a_leak_that_it_is_too_early_to_say_of_is_waited_for():
    from tests.unit.verdicts import EARLY

    found = early({"score": EARLY, "watched": 60.0}).verdict
    assert (found.kind, found.cause) == (Kind.HOLD, Cause.LEAK)


def test_good_is_at_the_margin_and_not_beyond():
    assert Bounds("errors", 0.006, 0.001, 0.005).good
    assert not Bounds("errors", 0.0061, 0.001, 0.005).good
    assert sooner(GOOD, Policy(), drawn(BAKES).history) == ()
