"""A verdict's first sentence: every form exactly, its numbers at their edges, and the same one wherever it is shown.

``python -m tests.unit.test_views_sentence`` writes the kept sentences anew.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.clock import ManualClock
from gopub.health.samples import HostCounts, TrackWindow, Window
from gopub.health.score import ScoreInput
from gopub.journal import events as ev
from gopub.journal.state import fold
from gopub.journal.store import open_journal
from gopub.judge.verdict import Cause, Kind
from gopub.plan.model import Outcome
from gopub.views.amounts import beside, clock, count, failed, names, percent, times, took
from gopub.views.board import Scene, board
from gopub.views.explanation import explanation
from gopub.views.history import Told, past_view
from gopub.views.rollout import Driver, rollout_view
from gopub.views.sentence import SEEN, sentence
from gopub.views.sentence_zh import sentence_zh
from gopub.views.story import verdict_words
from gopub.views.summary import summary_of
from gopub.views.verdict import verdict_view
from tests.unit.verdicts import BAKING, FORMS, NOON, drawn, event
from tests.unit.views_world import moving

KEPT = Path(__file__).parent.parent / "cases" / "views" / "sentences.json"
SAYS = (
    "2.2 % of the canary's answers failed (19 of 846), none of stable's 2954: taken back;"
    " certainty far beyond the 1 % limit"
)


ZH = KEPT.with_name("sentences.zh.json")


def said_zh() -> dict[str, str]:
    """The same in Chinese."""
    return {name: verdict_words(event(record), "zh") for name, record in FORMS.items()}


def test_every_form_reads_in_chinese_as_it_was_meant():
    assert said_zh() == json.loads(ZH.read_text("utf-8")), "where it was meant: as above"


@pytest.mark.parametrize("name", FORMS)
def test_the_chinese_sentence_has_the_figures_of_the_english_one(name):
    """Shares and counts of answers; times and what others wrote are each language's own."""
    record = FORMS[name]
    figures = [word for word in re.findall(r"\d[\d,.]* %|\b\d[\d,.]* of \d[\d,]*", sentence(record)) if word != "1 %"]
    for figure in figures:
        for number in figure.split(" of "):
            assert number in sentence_zh(record), (sentence(record), sentence_zh(record))


def said() -> dict[str, list[str]]:
    """Sentence and advice of every form."""
    views = {name: verdict_view(event(record)) for name, record in FORMS.items()}
    return {name: [f"{view.kind} {view.rule}", view.says, view.todo] for name, view in views.items()}


def test_every_form_reads_as_it_was_meant():
    assert said() == json.loads(KEPT.read_text("utf-8")), "where it was meant: python -m tests.unit.test_views_sentence"
    assert said()["errors, far beyond"][1] == SAYS


def test_every_cause_every_kind_and_every_rule_has_a_form():
    drawn = [record.verdict for record in FORMS.values()]
    assert {one.cause for one in drawn} == set(Cause) - {Cause.UNSAID} == set(SEEN) - {Cause.UNSAID}
    assert {one.kind for one in drawn} == set(Kind)
    assert {one.rule for one in drawn} == {1, 2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize("name", FORMS)
def test_figures_and_rule_come_second(name):
    """The sentence has none of them, the line after it has all that the judge says."""
    record = FORMS[name]
    says, proof, *_ = verdict_view(event(record)).lines
    assert not {"E =", "φ", "rule"} & {word for word in ("E =", "φ", "rule") if word in says}, says
    assert proof.startswith(f"{record.verdict.kind} by rule {record.verdict.rule}") and record.verdict.reason in proof


def test_numbers_are_true_at_their_edges():
    shares = [0.0, 1e-9, 0.0004, 0.00999, 0.0224, 0.5, 0.999, 0.99995, 1.0]
    assert [percent(share) for share in shares] == [
        "0 %", "less than 0.01 %", "0.04 %", "1 %", "2.2 %", "50 %", "99.9 %", "more than 99.99 %", "100 %",
    ]  # fmt: skip
    assert [count(number) for number in (0, 2954, 9999, 10_000, 1_234_567)] == [
        "0", "2954", "9999", "10,000", "1,234,567",
    ]  # fmt: skip
    told = [failed(*counts, "the canary") for counts in ((0, 0), (0, 1), (1, 1), (1, 3), (3, 3), (999, 1000))]
    assert told == [
        "the canary had no answers",
        "the canary's only answer was fine",
        "the canary's only answer failed",
        "1 of the canary's 3 answers failed",
        "all of the canary's 3 answers failed",
        "99.9 % of the canary's answers failed (999 of 1000)",
    ]
    assert [beside(*counts, "stable") for counts in ((0, 0), (0, 9), (1, 9), (9, 9), (1, 12_000))] == [
        "stable had no traffic to compare with", "none of stable's 9", "1 of stable's 9", "all of stable's 9",
        "less than 0.01 % of stable's (1 of 12,000)",
    ]  # fmt: skip
    assert [times(number) for number in (0, 1, 2, 3)] == ["never", "once", "twice", "3 times"]
    assert [took(seconds) for seconds in (0.145, 0.9996, 1.25)] == ["145 ms", "1 s", "1.25 s"]
    assert [names(["a", "b", "c", "d"][:n]) for n in range(5)] == ["", "a", "a and b", "a, b and c", "a, b and 2 more"]
    assert [clock(NOON + 60, NOON), clock(NOON + 86_400, NOON)] == ["12:01 UTC", "2023-11-16 12:00 UTC"]


def test_a_share_that_is_neither_nothing_nor_all_never_reads_so():
    said = {percent(n / 100_000) for n in range(1, 100_000)}
    assert not said & {"0 %", "0.0 %", "100 %"}


def test_a_verdict_of_before_causes_were_kept_reads_as_it_did():
    record = FORMS["errors, far beyond"]
    old = replace(record, verdict=replace(record.verdict, cause=Cause.UNSAID))
    view = verdict_view(event(old))
    assert view.lines == (f"ROLLBACK by rule 3: {record.verdict.reason}",)
    torn = replace(event(record), record={"record": {"verdict": 7}})
    assert verdict_view(torn).lines == view.lines
    assert verdict_view(replace(event(record), kind="HOLD")).says.startswith("HOLD by rule 3"), (
        "the entry's word stands"
    )


@pytest.mark.parametrize("far", [1e300, -1e300])
def test_a_record_that_no_judge_writes_is_still_read(far):
    record = FORMS["both break"]
    changed = event(replace(record, history=replace(record.history, deadline=far)))
    assert verdict_view(changed).lines == (f"HOLD by rule 5: {record.verdict.reason}",)


def test_what_others_wrote_is_cut_in_the_sentence_and_whole_in_the_figures():
    record = drawn(no_data="x" * 500)
    says, proof, *_ = verdict_view(event(record)).lines
    assert ("x" * 119 + "…)" in says, "x" * 500 in proof) == (True, True)


@pytest.mark.parametrize("name", FORMS)
def test_a_sentence_needs_none_of_the_counts_that_are_left_unread(name):
    track = TrackWindow("c" * 12, (HostCounts("web3", 9, 1),))
    seen = replace(FORMS[name].observation, windows=(Window(0.0, 1.0, track, track),), scored=ScoreInput(track, track))
    record = replace(FORMS[name], observation=seen)
    assert verdict_view(event(record)).says == sentence(record) == said()[name][1]


def test_it_is_the_same_sentence_everywhere(tmp_path):
    judged = event(FORMS["errors, far beyond"])
    back = ev.GoingBack(Outcome.ROLLED_BACK, 3, judged.reason)
    events = [*moving("r-1", "hello", "prod"), judged, back, ev.TrafficOff(1.0)]
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    journal.append("rollout/r-1", 0, [*events, ev.Closed(Outcome.ROLLED_BACK, judged.reason)], actor="ann")
    entries = journal.read("rollout/r-1")
    state, over = fold(events), fold([*events, ev.Closed(Outcome.ROLLED_BACK, judged.reason)])
    shown = rollout_view("r-1", state, (), Driver(), NOON)
    page, ended = board(Scene(state, entries[:-1], (), NOON)), board(Scene(over, entries, (), NOON))
    assert shown.verdict
    assert (shown.to_json()["verdict_kind"], shown.to_json()["verdict_rule"]) == ("ROLLBACK", 3), "for programs"
    assert [shown.to_json()["verdict"], shown.back, summary_of(over, ())["reason"]] == [SAYS] * 3
    assert past_view(Told("r-1", "hello", "prod", 1, 1.0), entries, "rolled back", 2.0).reason == SAYS
    before = board(Scene(fold([*moving("r-1", "hello", "prod"), judged]), entries[:-3], (), NOON))
    assert f"**{SAYS}**\n\nROLLBACK by rule 3, canary web3: " in before.text
    assert page.text.count(SAYS) == 1, "in the headline, and not once more below it"
    assert ended.text.count(SAYS) == 2, "and in the story"
    assert ended.description.endswith(f" UTC: {SAYS}")
    lines = [line.partition("  ")[2] for line in explanation(entries)]
    assert [line for line in lines if SAYS in line] == [f"step 1: {SAYS}", f"rolled back: {SAYS}"]
    assert "going back, as that verdict says" in lines
    kept = [entry.event for entry in entries if isinstance(entry.event, ev.GoingBack)]
    assert kept[0].reason == judged.reason, "the journal keeps the figures"


def test_another_reason_than_the_verdicts_is_told_as_it_is():
    judged = event(FORMS["baking"])
    ended = ev.Closed(Outcome.WITHDRAWN, "aborted: not today")
    turned = ev.GoingBack(Outcome.WITHDRAWN, 0, "aborted: not today")
    state = fold([*moving("r-1", "hello", "prod"), judged, turned, ev.TrafficOff(1.0), ended])
    assert summary_of(state, ())["reason"] == "aborted: not today"


def test_who_promoted_by_hand_and_the_score_that_was_needed_are_told_once():
    said = sentence(drawn(BAKING | {"promoted": "bob"}))
    assert (said.count("by hand"), said.startswith("promoted by hand (bob); until then: ")) == (1, True)
    assert "; a score of 95, 80 are needed; " in drawn().verdict.reason


if __name__ == "__main__":
    for file, told in ((KEPT, said()), (ZH, said_zh())):
        file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
