"""What holds of every verdict, whatever was seen."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gopub.judge.decision import decide
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.judge.verdict import Cause, Kind, Policy
from tests.unit.judge_maker import history, observation, policy

_BREAKS = st.sampled_from([[], ["error_rate"], ["latency_p95"], ["error_rate", "latency_p95"]])
_HOST = st.fixed_dictionaries(
    {"host": st.sampled_from(["h1", "h2"])},
    optional={
        "active": st.booleans(),
        "restarts": st.integers(0, 3),
        "exe_ok": st.booleans(),
        "probe_ok": st.booleans(),
        "reachable": st.booleans(),
        "other": st.none() | st.sampled_from(["", "a-1"]),
    },
)
_POLICY = st.fixed_dictionaries(
    {}, optional={"first": st.booleans(), "compare": st.booleans(), "health_only": st.booleans()}
)


@st.composite
def looks(draw):
    broken = draw(_BREAKS)
    now = draw(st.floats(0, 2000))
    return {
        "now": now,
        "bake": draw(st.floats(0, 1500)),
        "deadline": draw(st.floats(0, 3000)),
        "watch_since": draw(st.none() | st.floats(0, now)),
        "approved": draw(st.none() | st.just("ann")),
        "gate": draw(st.none() | st.just("waits")),
        "no_data": draw(st.none() | st.just("down")),
        "requests": draw(st.integers(0, 200)),
        "failed": draw(st.integers(0, 3)),
        "idle": draw(st.none() | st.floats(0, 100)),
        "e": draw(st.floats(1e-9, 1e12)),
        "log_score": draw(st.none() | st.floats(0, 1)),
        "canary_above": broken,
        "canary_broken": draw(st.sampled_from([[], broken])),
        "stable_broken": draw(_BREAKS),
        "enough": draw(st.booleans()),
        "score": draw(st.none() | st.floats(0, 100)),
        "hosts": draw(st.lists(_HOST, max_size=2)),
        "policy": draw(_POLICY),
    }


def _decide(look):
    return decide(observation(look), policy(look), history(look))


_PLAIN = {"approved": None, "watch_since": None, "policy": {}}


@given(looks())
def test_no_promotion_without_data(look):
    judged = {key: value for key, value in look["policy"].items() if key != "health_only"}
    assert _decide(look | {"no_data": "down", "policy": judged}).kind is not Kind.PROMOTE


@given(looks(), st.integers(0, 49))
def test_no_promotion_on_few_requests_unless_approved_or_first(look, requests):
    assert _decide(look | _PLAIN | {"requests": requests}).kind is not Kind.PROMOTE


@given(looks(), st.none() | st.floats(60.001, 1e6))
def test_no_promotion_on_old_figures_unless_approved_or_first(look, idle):
    assert _decide(look | _PLAIN | {"idle": idle}).kind is not Kind.PROMOTE


@given(looks())
def test_no_step_is_left_without_what_it_waits_for(look):
    """Whether promoted by hand or not: a closed gate says so, or ends in WITHDRAW; it never makes a verdict better."""
    free, gated = _decide(look | {"gate": None}), _decide(look | {"gate": "waits", "promoted": "bob"})
    if free.kind is Kind.PROMOTE:
        assert gated.kind in {Kind.PROMOTE, Kind.WITHDRAW}
        assert "waits" in gated.reason
    else:
        assert gated == free


@given(looks())
def test_a_promotion_by_hand_overrides_no_rollback_and_no_withdrawal(look):
    look = look | {"gate": None}
    before, after = _decide(look), _decide(look | {"promoted": "bob"})
    assert after == before if before.kind in {Kind.ROLLBACK, Kind.WITHDRAW} else after.kind is Kind.PROMOTE


@given(looks(), st.floats(0.001, 1e4))
def test_no_promotion_before_the_bake_is_over(look, left):
    assert _decide(look | {"bake": look["now"] + left}).kind is not Kind.PROMOTE


@given(
    looks(),
    st.sampled_from([("active", False), ("restarts", 1), ("exe_ok", False), ("probe_ok", False), ("other", "a-1")]),
)
def test_no_promotion_of_a_host_that_is_not_known_to_be_well(look, fault):
    ill = {"host": "h3", fault[0]: fault[1]}
    for hosts in ([], [*look["hosts"], ill], [ill | {"reachable": False}]):
        assert _decide(look | {"hosts": hosts}).kind is not Kind.PROMOTE


@given(looks())
def test_only_rules_1_3_4_6_roll_back(look):
    verdict = _decide(look)
    if verdict.kind is Kind.ROLLBACK:
        assert verdict.rule in {1, 3, 4, 6}


@given(looks())
def test_only_what_is_within_alpha_a_host_or_a_watch_rolls_back(look):
    """No score does, nor any SLO, nor the deadline."""
    look = look | {"watch_since": None, "hosts": [{"host": "h1"}], "e": min(look["e"], 99.9)}
    if look["log_score"] is not None:
        look["log_score"] = min(look["log_score"], 0.849)
    assert _decide(look).kind is not Kind.ROLLBACK


@given(looks())
def test_no_rollback_of_a_healthy_canary_that_nothing_speaks_against(look):
    look = look | {"e": 1.0, "canary_above": [], "canary_broken": [], "score": 100.0, "enough": True}
    look |= {"hosts": [{"host": "h1"}], "no_data": None, "log_score": 0.001}
    assert _decide(look).kind is not Kind.ROLLBACK


@given(looks(), st.floats(0.85, 1))
def test_error_lines_that_condemn_are_never_promoted_unless_few_requests_or_health_decide(look, score):
    judged = {key: value for key, value in look["policy"].items() if key == "compare"}
    look = look | {"log_score": score, "requests": 50, "policy": judged}
    assert _decide(look).kind is not Kind.PROMOTE


@given(looks())
def test_withdrawn_only_after_the_deadline_or_where_somebody_else_switched(look):
    verdict = _decide(look)
    if verdict.kind is Kind.WITHDRAW and verdict.cause is not Cause.ELSEWHERE:
        assert look["now"] >= look["deadline"]


@given(looks())
def test_health_only_knows_rules_1_and_7(look):
    look = look | {"policy": {"health_only": True}}
    verdict = _decide(look)
    assert verdict.rule in {1, 7}
    assert verdict.rule == 1 or "health-only" in verdict.reason or "no answer" in verdict.reason


@given(looks(), st.floats(0, 5))
def test_more_evidence_never_makes_a_verdict_milder(look, more):
    severity = {Kind.PROMOTE: 0, Kind.HOLD: 1, Kind.WATCH: 2, Kind.WITHDRAW: 2, Kind.ROLLBACK: 3}
    before = _decide(look)
    after = _decide(look | {"e": look["e"] * math.exp(more)})
    assert severity[after.kind] >= severity[before.kind]


@given(looks(), st.floats(120, 1e4))
def test_a_watch_ends(look, lasted):
    """Whatever comes, a watch that is over is not a watch any more."""
    look = look | {"watch_since": look["now"], "now": look["now"] + lasted, "stable_broken": []}
    assert _decide(look).kind is not Kind.WATCH


def test_the_history_keeps_the_beginning_of_a_watch():
    look = {
        "now": 1000.0, "bake": 10, "deadline": 9999, "watch_since": None, "approved": None, "no_data": None,
        "requests": 500, "failed": 10, "idle": 0.0, "e": 200.0, "log_score": None, "canary_above": ["error_rate"],
        "canary_broken": ["error_rate"], "stable_broken": [], "enough": True, "score": 40.0,
        "hosts": [{"host": "h1"}], "policy": {},
    }  # fmt: skip
    past, seen = history(look), observation(look)
    kinds = []
    for now in (1000.0, 1060.0, 1119.0, 1120.0):
        past = replace(past, now=now)
        verdict = decide(seen, Policy(), past)
        past = past.after(verdict)
        kinds.append(verdict.kind)
    assert kinds == [Kind.WATCH, Kind.WATCH, Kind.WATCH, Kind.ROLLBACK]
    assert past.watch_since is None


@given(looks())
def test_a_record_survives_json(look):
    record = judge(observation(look), policy(look), history(look))
    again = record_from_json(record_to_json(record))
    assert again == record
    assert decide(again.observation, again.policy, again.history) == record.verdict


def test_replay_names_what_was_changed():
    """Control: a record whose verdict was altered does not pass."""
    look = {
        "now": 1000.0, "bake": 10, "deadline": 9999, "watch_since": None, "approved": None, "no_data": "down",
        "requests": 0, "failed": 0, "idle": 0.0, "e": 1.0, "log_score": None, "canary_above": [], "canary_broken": [],
        "stable_broken": [], "enough": False, "score": None, "hosts": [{"host": "h1"}], "policy": {},
    }  # fmt: skip
    record = judge(observation(look), policy(look), history(look))
    forged = replace(record, verdict=replace(record.verdict, kind=Kind.PROMOTE, rule=7))
    assert any(text.startswith("verdict:") for text in replay(forged).differences)
