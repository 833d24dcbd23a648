"""The page of a rollout of days is drawn from as many looks as that of an hour; how many there were is still said."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.store import open_journal
from gopub.plan.model import Outcome
from gopub.views.board import board, headline, scene
from gopub.views.course import MOST, Course
from gopub.views.plots import plot
from gopub.views.story import story
from tests.unit.plot_world import journal as drawn_looks
from tests.unit.verdicts import BAKING, drawn, event
from tests.unit.views_world import moving

STREAM = "rollout/r-1"
MOVING = moving("r-1", "hello", "prod")
BAKE = 60.0
"""Seconds, of the first step in that world."""


def look(second: int) -> ev.Judged:
    return ev.Judged(0, "HOLD", 7, "bakes", {}, observed=float(second))


def entries_of(events: list[ev.Event]) -> list[Entry]:
    return [Entry(n, STREAM, n, one, "ann", "", 1_700_000_000.0 + n, "") for n, one in enumerate(events, 1)]


def looks_in(course: Course) -> list[Entry]:
    return [one for one in course.entries if isinstance(one.event, ev.Judged)]


def test_of_a_rollout_of_days_no_more_is_kept_than_a_picture_shows():
    course = Course(entries_of([*MOVING, *map(look, range(20_000))]))
    kept = looks_in(course)
    assert MOST / 2 <= len(kept) <= MOST + 2
    assert course.looks == 20_000
    assert [one.event for one in course.entries if not isinstance(one.event, ev.Judged)] == MOVING
    assert kept[-1].event == look(19_999), "how it stands says the last look"
    versions = [one.version for one in kept if one.version % 2 == 0]
    assert len({later - earlier for earlier, later in pairwise(versions[1:-1])}) == 1, "at equal distances"


def test_of_a_short_one_nothing_is_left_out():
    begun = entries_of([*MOVING, *map(look, range(MOST)), ev.StepPassed(0)])
    assert list(Course(begun).entries) == begun


def test_what_happens_between_looks_stays_in_its_place():
    failed = ev.HostFailed("app1", "switch", "GP301", "does not answer")
    events = [one for second in range(5_000) for one in (look(second), failed)][:9_000]
    course = Course(entries_of([*MOVING, *events]))
    versions = [one.version for one in course.entries]
    assert versions == sorted(versions)
    assert sum(isinstance(one.event, ev.HostFailed) for one in course.entries) == 4_500
    assert course.looks == 4_500


def test_since_when_a_step_is_baked_is_known_for_days():
    begun = [*MOVING, *map(look, range(10_000))]
    course = Course(entries_of(begun))
    whole = next(one for one in looks_in(course) if isinstance(one.event, ev.Judged) and one.event.observed >= BAKE)
    assert whole.event == look(int(BAKE))
    now = whole.at + 7_200
    assert headline(scene(course.entries, (), now)) == headline(scene(entries_of(begun), (), now))


def test_who_goes_on_with_it_reads_as_few(tmp_path):
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    journal.append(STREAM, 0, [*MOVING, *map(look, range(3_000))], actor="me")
    few = journal.read_turns(STREAM, every=10)
    course = Course(few)
    assert len(few) < 320
    assert course.looks == 3_000
    assert looks_in(course)[-1].event == look(2_999)
    assert len([one for one in journal.read_turns(STREAM) if isinstance(one.event, ev.Judged)]) == 1, "control"


def test_the_picture_says_how_many_looks_there_were():
    entries = drawn_looks(8)
    some = [one for one in entries if not isinstance(one.event, ev.Judged) or one.version % 2]
    assert "looked at 4321 times" in plot(some, count=4321)
    assert plot(entries, count=8) == plot(entries)
    assert "looked at once, at " in plot(drawn_looks(1)) and "times" not in plot(drawn_looks(1))
    assert plot(entries, count=9) != plot(entries), "control"


def test_the_story_of_a_long_one_is_told_by_some_of_its_looks_and_says_so():
    """The page of a rollout of more than a thousand looks, of an hour and a half, said nothing of why it ended so."""
    over = [ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors"), ev.TrafficOff(1.0)]
    seen = event(drawn(BAKING))
    begun = entries_of([*MOVING, *[seen] * 4_000, *over, ev.Closed(Outcome.ROLLED_BACK, "errors")])
    course, now = Course(begun), begun[-1].at
    some = board(scene(course.entries, (), now, looks=course.looks)).text
    kept = len(looks_in(course))
    assert f"looks: 4000 in 0s, {kept} of them told here; steps begun: 1 of 2" in some
    assert f"entries of the journal: {len(begun)}" in some
    assert "concluded:" in some
    assert "not seen:" in some
    whole = board(scene(begun[: len(MOVING)] + begun[-43:], (), now, looks=40)).text
    assert "looks: 40 in 0s; steps begun: 1 of 2" in whole, "control: where all are there, nothing is said of some"
    assert "told" not in whole


def test_what_some_looks_did_not_find_missing_is_said_of_them_alone():
    seen = event(drawn(BAKING))
    blind = replace(seen, record={"record": {"observation": {"no_data": "no counts"}}})
    over = [
        ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors"),
        ev.TrafficOff(1.0),
        ev.Closed(Outcome.ROLLED_BACK, "errors"),
    ]
    begun = entries_of([*MOVING, seen, blind, seen, *over])
    assert any("judge by: 1 of 3," in line for line in story(begun))
    assert any("judge by: 1 of the 3 told," in line for line in story(begun, looked=900))
    assert any("1 次没有可判定的数据" in line and "所述 3 次" in line for line in story(begun, "zh", looked=900))


@pytest.mark.parametrize("every", [0, 1, 7, 100])
def test_a_takeover_counts_each_look_once(tmp_path, every: int):
    """The driver before wrote them; the one that goes on reads some of them, and hears its own."""
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    taken = [ev.SeatTaken(2, "bob@desk:2", "go on")]
    journal.append(STREAM, 0, [*MOVING, *map(look, range(1_111)), *taken], actor="me")
    course = Course(journal.read_turns(STREAM, every=every))
    assert course.looks == 1_111
    version = len(MOVING) + 1_112
    for place, one in enumerate([look(0), ev.HostFailed("app1", "switch", "GP301", "away"), look(1), look(2)], 1):
        course.add(Entry(0, STREAM, version + place, one, "bob", "", 1_700_005_000.0 + place, ""))
    assert course.looks == 1_114
    journal.append(STREAM, version, [look(0), look(1)], actor="me")
    assert Course(journal.read_turns(STREAM, every=every)).looks == 1_113, "control: the next one counts anew"
