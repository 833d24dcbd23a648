"""A score explains: each part says what was measured, its target and where that came from. It never decides alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.health.config import ScoreWeights, SloTarget
from gopub.health.runtime import RuntimeFacts
from gopub.health.score import ScoreInput, score
from gopub.health.trend import Slope
from gopub.health.wire import to_json
from gopub.journal.entry import Entry
from gopub.judge.decision import decide
from gopub.judge.replay import record_from_json, replay, sealed
from gopub.judge.verdict import Kind
from gopub.views.explanation import explanation
from gopub.views.pages import figures_table
from gopub.views.parts import parts_of
from gopub.views.verdict import verdict_view
from tests.unit.judge_maker import history, observation, policy
from tests.unit.test_decision_laws import looks
from tests.unit.test_health_score import runtime, track
from tests.unit.test_judge_replay import entry
from tests.unit.verdicts import drawn, event

BOTH, NONE = SloTarget(0.2, 0.01), SloTarget()
ARTICLE, OURS = ScoreWeights(profile="article"), ScoreWeights()
HEAP = runtime(1.0, 2.0, stable_pauses=0.5, stable_growth=1.0)
ORIGINS = {
    "the SLO": (ScoreInput(track(0.1), None, runtime()), BOTH, OURS,
                ["the SLO", "the SLO", "none is usual", "the default"]),
    "stable suffers, too": (ScoreInput(track(0.4, 0.02), track(0.3, 0.02), HEAP), BOTH, OURS,
                            ["1.25 times stable's p95", "1.25 times stable's rate", "stable's own",
                             "the default beyond stable's growth"]),
    "stable is far quicker": (ScoreInput(track(0.1), track(0.02), runtime(stable_pauses=0.0)), BOTH, OURS,
                              ["3 times stable's p95", "the SLO", "stable has none", "the default"]),
    "no SLO": (ScoreInput(track(0.1), track(0.1, 0.02), runtime(canary_heap=64 * 2**30)), NONE, OURS,
               ["twice stable's p95", "twice stable's rate", "none is usual", "2% of the live heap"]),
    "no SLO, few errors": (ScoreInput(track(0.1), track(0.001), runtime()), NONE, OURS,
                           ["25 ms, which nobody minds", "the default, for there is no SLO", "none is usual",
                            "the default"]),
    "the article": (ScoreInput(track(0.1), track(0.1), HEAP), BOTH, ARTICLE,
                    ["the profile's", "the SLO", "the profile's", "the profile's"]),
    "the article without an SLO": (ScoreInput(track(0.1), None, HEAP), NONE, ARTICLE,
                                   ["the profile's"] * 4),
    "open files": (ScoreInput(track(0.1), None, replace(
        runtime(growth=0.0), files=Slope(100.0, 90.0, 110.0, settled=True), files_missing=False)), BOTH, OURS,
        ["the SLO", "the SLO", "none is usual", "the default: one a second"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ORIGINS)
def test_each_part_says_where_its_target_came_from(name):
    given_, slo, weights, expected = ORIGINS[name]
    found = score(given_, slo, weights).dimensions
    assert [one.origin for one in found] == expected
    assert all(one.target is not None and one.measured is not None for one in found)


def test_what_is_left_out_has_no_origin():
    found = score(ScoreInput(track(0.1), None, RuntimeFacts()), BOTH, OURS)
    assert [one.origin for one in found.dimensions[2:]] == ["", ""]


def told_of(weights=OURS):
    """The verdict on a canary with a real score, as the journal keeps it."""
    found = score(ScoreInput(track(0.1, 0.002), track(0.1), runtime(None, 4.0, heap_note="")), BOTH, weights)
    return event(drawn(score=found))


def test_explain_and_the_page_tell_every_part():
    judged = told_of()
    parts = [
        "latency 98.23 of 100 (weight 40): measured p95 100 ms, target p95 200 ms (the SLO)",
        "errors 99.87 of 100 (weight 30): measured 0.2 %, target 1 % (the SLO)",
        "gc_pause left out (weight 15): not exposed",
        "memory_growth 73.33 of 100 (weight 15): measured 4 MiB a minute, target 15 MiB a minute (the default)",
    ]
    lines = explanation([Entry(1, "s", 1, judged, "a", "t", 1_700_000_000.0, "0" * 64)])
    for part in parts:
        assert f"    score of {part}" in lines
    page = figures_table(verdict_view(judged).figures)
    assert sum(line.startswith("- ") for line in page.splitlines()) == 4
    assert "- latency 98.23 of 100" in page


def test_a_record_that_is_no_score_tells_nothing_and_one_of_before_its_figures():
    assert parts_of({}) == ()
    assert parts_of({"dimensions": [3, None]}) == ()
    old = {"name": "latency", "weight": 40, "value": 50.0, "measured": 0.2, "target": 0.2, "note": ""}
    assert parts_of({"dimensions": [old]}) == ("latency 50 of 100 (weight 40): measured p95 200 ms, target p95 200 ms",)


async def test_where_a_target_came_from_is_under_the_digest():
    kept = (await entry())["record"]["record"]
    assert replay(record_from_json(kept)).same
    changed = json.loads(json.dumps(kept))
    changed["observation"]["score"]["dimensions"][0]["origin"] = ""
    changed["observation"]["score"]["dimensions"][1]["origin"] = ""
    changed["observation"]["score"]["dimensions"][2]["origin"] = ""
    changed["observation"]["score"]["dimensions"][3]["origin"] = ""
    assert "something in the record was changed" in str(replay(record_from_json(changed)).differences)


def test_an_older_record_is_told_as_it_was():
    found = score(ScoreInput(track(0.1), track(0.1), runtime()), BOTH, OURS)
    plain = replace(found, dimensions=tuple(replace(one, origin="") for one in found.dimensions))
    record = drawn(score=plain)
    digest = record.digest
    kept = to_json(record)
    for one in kept["observation"]["score"]["dimensions"]:
        del one["origin"]
    assert sealed(record_from_json(kept)).digest == digest


_MARK = 80.0


@given(looks(), st.floats(_MARK, 100), st.floats(_MARK, 100))
def test_above_the_mark_a_score_changes_nothing(look, one, other):
    """It opens no door: whatever is promoted at 100 is promoted at the mark, and is promoted for other reasons."""
    kinds = {_kind(look | {"score": value}) for value in (one, other)}
    assert len(kinds) == 1


@given(looks(), st.none() | st.floats(0, 100))
def test_no_score_takes_a_release_back(look, value):
    """What is rolled back with some score is rolled back with the best one as well."""
    if _kind(look | {"score": value}) is Kind.ROLLBACK:
        assert _kind(look | {"score": 100.0}) is Kind.ROLLBACK


def test_control_below_the_mark_it_holds():
    look = {
        "now": 1000.0, "bake": 10, "deadline": 9999, "watch_since": None, "no_data": None, "requests": 500,
        "failed": 0, "idle": 0.0, "e": 1.0, "log_score": None, "canary_above": [], "canary_broken": [],
        "stable_broken": [], "enough": True, "hosts": [{"host": "h1"}], "policy": {},
    }  # fmt: skip
    assert [_kind(look | {"score": value}) for value in (79.9, 80.0)] == [Kind.HOLD, Kind.PROMOTE]
    late = look | {"score": 0.0, "deadline": 999.0}
    assert _kind(late) is Kind.WITHDRAW, "and at the deadline blames nobody"
    assert _kind(late | {"rules": 3}) is Kind.ROLLBACK, "by the rules of before it did"


def _kind(look):
    return decide(observation(look), policy(look), history(look)).kind
