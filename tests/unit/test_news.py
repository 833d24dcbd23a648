"""What people are told of a rollout, when, under which key, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.verdict import Cause
from gopub.plan.model import Outcome
from gopub.views.messages import message, tame, trial
from gopub.views.news import PATIENTLY, STUCK_AFTER, News, Newsroom
from tests.unit.views_world import moving

MOVING = moving("r-1", "hello", "prod")
BACK = ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors")
HOSTILE = "<!channel> <script>x</script> [click](http://evil) @all `rm`\nsecond | line \x1b[2J"


def held(cause: Cause = Cause.WORSE, kind: str = "HOLD", step: int = 0, **history: object) -> ev.Judged:
    record = {"record": {"verdict": {"cause": str(cause)}, "history": history}}
    return ev.Judged(step, kind, 5, "why it is", record)  # type: ignore[arg-type]


def told(events: list[ev.Event], *, every: float = 1.0) -> list[News]:
    room = Newsroom()
    entries = [Entry(n, "rollout/r-1", n + 1, one, "ann", "", 1000.0 + n * every, "") for n, one in enumerate(events)]
    return [news for entry in entries for news in room.after(entry)]


def test_an_end_is_told_once_with_what_is_owed():
    closed = ev.Closed(Outcome.ROLLED_BACK, "errors", ("app1",), ("edge1",))
    (news,) = told([*MOVING, BACK, ev.HostOwed("app1", "silent"), ev.TrafficOff(1.0), closed])
    assert (news.key, news.about) == ("ended", ("rolled-back", "owed"))
    said = message(news, "en")
    assert said.title == "hello 2.0.0 in prod: rolled back"
    lines = said.body.splitlines()
    assert lines[0] == "hello 2.0.0 was taken back from prod; 1.0.0 runs again: errors"
    assert lines[1:3] == ["Owed hosts: app1.", "Owed edges: edge1."]
    assert lines[-1] == "Next: gopub recover"
    chinese = message(news, "zh")
    assert chinese.title == "hello 2.0.0 发布到 prod：已退回"
    assert chinese.body.startswith("hello 2.0.0 已从 prod 退回，恢复运行 1.0.0：errors\n")


def test_who_is_told_of_debts_alone_hears_of_debts_first():
    closed = ev.Closed(Outcome.ROLLED_BACK, "errors", ("app1",))
    (news,) = told([*MOVING, BACK, ev.TrafficOff(1.0), closed])
    assert message(replace(news, about=("owed",)), "en").title == "hello 2.0.0 in prod: owed"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_approval_is_asked_for_once_and_names_who_may(lang: str):
    gate = held(kind="PROMOTE", gate="approval by ops")
    (news,) = told([*MOVING, gate, gate, gate])
    assert (news.key, news.about) == ("approval-needed/2", ("approval-needed",))
    said = message(news, lang).body
    assert "ops" in said.splitlines()[0] and "gopub promote r-1" in said.splitlines()[-1]
    assert "2" in said.splitlines()[1] and "100 %" in said.splitlines()[1]


def test_a_step_that_is_held_for_long_is_told_once_and_one_that_only_bakes_is_not():
    looks = int(STUCK_AFTER / 60) + 1
    made = told([*MOVING, *[held()] * looks], every=60.0)
    assert [news.key for news in made] == ["stuck/1"]
    assert told([*MOVING, *[held()] * (looks - 1)], every=60.0) == [], "control: not before its time"
    assert told([*MOVING, *[held(), held(Cause.BAKES)] * looks], every=60.0) == [], "it moved on in between"
    assert told([*MOVING, *[held(Cause.BAKES)] * 100], every=60.0) == []
    assert told([*MOVING, *[held(held="ann: lunch")] * 100], every=60.0) == [], "a person holds it, and knows"
    few = int(PATIENTLY / 60) + 1
    assert [one.key for one in told([*MOVING, *[held(Cause.FEW)] * few], every=60.0)] == ["stuck/1"]
    assert told([*MOVING, *[held(Cause.FEW)] * (few - 1)], every=60.0) == []


def test_what_ended_before_it_began_is_told_to_nobody():
    assert told([MOVING[0], MOVING[1], ev.Refused(("no key",)), ev.Closed(Outcome.REFUSED, "no key")]) == []


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_somebody_elses_words_open_nothing(lang: str):
    (news,) = told([*MOVING, BACK, ev.TrafficOff(1.0), ev.Closed(Outcome.ROLLED_BACK, HOSTILE)])
    said = message(news, lang)
    assert not set("<>[]@`\x1b") & set(said.title + said.body)
    assert len(said.body.splitlines()) == 3, "its line feed begins no line of ours"
    assert "<script>" in HOSTILE and "script" in said.body, "control: the word itself is there"


def test_what_is_long_is_cut():
    assert len(tame("x" * 10_000)) <= 600


def test_a_trial_names_where_it_comes_from():
    assert "hello" in trial("hello", "prod", "en").body and "测试" in trial("hello", "prod", "zh").body
