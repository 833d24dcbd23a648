"""The story of a rollout: what was seen, concluded, rested on and not seen, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.verdict import Cause, Kind
from gopub.plan.model import Outcome
from gopub.views.story import story
from gopub.views.wording import WORDS
from gopub.views.wording_zh import CAUSES, KINDS, OUTCOMES
from tests.unit.plot_world import journal
from tests.unit.test_views_plots import changed

BLAMED = "the canary is worse"
UNSEEN = (
    "nothing to judge by: 1 of 6, the last for: Prometheus\\nis away",
    "did not answer: web3 (looks: 1 of 6)",
    "nobody looked for 15m",
    "logs were not compared: no journal",
    "nothing to score the canary by",
    "fell silent, and are in no figure: web4",
    "still warmed up, in no latency: 12",
)


def ended(looks: int, kind: str = "ROLLBACK") -> list[Entry]:
    """The rollout with its last verdict as this one, and its end by that."""
    entries = journal(looks)
    judged = entries[-2].event
    assert isinstance(judged, ev.Judged)
    entries[-2] = replace(entries[-2], event=replace(judged, kind=kind, rule=3, reason=BLAMED))
    entries[-1] = replace(entries[-1], event=ev.GoingBack(Outcome.ROLLED_BACK, 3, BLAMED))
    return [*entries, replace(entries[-1], event=ev.Closed(Outcome.ROLLED_BACK, BLAMED))]


def part(lines: list[str], name: str) -> str:
    """The lines of one part."""
    at = next(place for place, line in enumerate(lines) if line.startswith(name))
    rest = next((n for n, line in enumerate(lines[at + 1 :], at + 1) if not line.startswith(" ")), len(lines))
    return "\n".join(lines[at:rest])


def test_a_story_has_four_parts_with_the_figures_of_the_journal():
    lines = story(ended(6))
    assert lines[0] == "hello 2.0.0 into prod"
    seen = part(lines, "seen:")
    assert "looks: 6 in 25s" in seen
    assert "stable: 0 of 2954 answers failed" in seen
    assert "438 ms on the canary, 48 ms on stable" in seen
    assert f"rolled back: ROLLBACK by rule 3: {BLAMED}" in part(lines, "concluded:")
    rested = part(lines, "rested on:")
    assert "E = 3,160 at last, held against stable" in rested
    assert "from 1/α = 100 on" in rested
    assert part(lines, "not seen:").endswith("nothing that a look asks for was missing")


def test_control_another_record_is_another_story():
    entries = ended(6)
    look = changed(entries[-3], evidence={"log_e": 0.0, "basis": "none"})
    assert "E = 1 at last, held against nothing" in part(story([*entries[:-3], look]), "rested on:")


def test_what_was_not_seen_is_named():
    entries = ended(6)
    look = changed(
        entries[-3], no_data="Prometheus\nis away", hosts=[{"host": "web3", "reachable": False}],
        log_score=None, log_note="no journal", score={"value": None}, aside=[{"host": "web4"}],
        warming={"timed": 12}, at=entries[-3].at + 900,
    )  # fmt: skip
    unseen = part(story([*entries[:-3], look, *entries[-1:]]), "not seen:")
    for words in UNSEEN:
        assert words in unseen, words


def test_no_look_is_told_as_none_and_no_opening_as_nothing():
    assert "no look was taken" in part(story(journal(0)), "seen:")
    assert "under way: nothing yet" in part(story(journal(0)), "concluded:")
    assert story([]) == []


def test_a_way_back_under_way_is_told_with_its_reason():
    assert "going back: worse" in part(story(journal(6)), "concluded:")


@pytest.mark.parametrize("lang", WORDS)
def test_nobody_adds_a_line_or_a_control_character(lang):
    lines = story(journal(3, version="2\nseen: x\x1b[2J"), lang)
    assert len(lines) == len(story(journal(3), lang))
    assert all(line.isprintable() for line in lines)


def test_chinese_has_words_for_every_verdict_and_end():
    assert (set(CAUSES), set(KINDS), set(OUTCOMES)) == (set(Cause), set(Kind), set(Outcome))
    lines = story(ended(6), "zh")
    assert part(lines, "结论：").split(" ")[-1] == "已回滚，此版本被隔离：金丝雀比稳定版差：退回"
    assert part(lines, "没看到的：").split(" ")[-1] == "观察所需的数据无一缺失"
