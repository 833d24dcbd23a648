"""What of a bake is told to people who watch: what changed, once."""

from __future__ import annotations

from collections.abc import Iterable

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.views.follow import line_printer
from gopub.views.worth import AGAIN, Told, worth
from tests.unit.verdicts import BAKING, ERRORS, FORMS, LOW, NOON, OVER, drawn, event


def told(verdicts: Iterable[ev.Judged], every: float = 2.0, again: float = AGAIN) -> list[ev.Judged]:
    """Those of them that are told, one look after another."""
    known, found = Told(), []
    for number, judged in enumerate(verdicts):
        tells, known = worth(known, judged, number * every, again)
        found += [judged] if tells else []
    return found


def turns(number: int = 30) -> list[ev.Judged]:
    """Rules 5 and 6 take turns, and their figures move."""
    five = [event(drawn(slo_canary=ERRORS, idle=float(n))) for n in range(number)]
    six = [event(drawn(score=LOW, idle=float(n))) for n in range(number)]
    return [(five if n % 2 else six)[n] for n in range(number)]


def test_two_rules_that_take_turns_are_told_once_each():
    assert [judged.rule for judged in told(turns())] == [6, 5]


def test_control_without_memory_each_turn_is_a_line():
    assert len(told(turns(), again=0.0)) == 30


def test_a_log_is_told_once_a_minute_that_nothing_changed():
    same = [event(drawn(BAKING | {"observed": float(n)})) for n in range(400)]
    assert len(told(same, again=60.0)) == 1 + int(399 * 2.0 // 60)


def test_a_count_that_moves_is_no_change_and_is_told_again_after_a_while():
    same = [event(drawn(BAKING | {"observed": float(n)})) for n in range(400)]
    assert len(told(same)) == 1 + int(399 * 2.0 // AGAIN)


def test_what_comes_back_is_told_when_it_stays():
    five, six = event(drawn(slo_canary=ERRORS)), event(drawn(score=LOW))
    assert [judged.rule for judged in told([six, five, six, six], every=20.0)] == [6, 5], "20 s of it are no stay"
    assert [judged.rule for judged in told([six, five, *[six] * 4], every=20.0)] == [6, 5, 6]


def test_another_step_and_the_end_are_always_told():
    judged = FORMS["both break"]
    assert len(told([event(judged), event(judged, step=1)])) == 2
    assert len(told([event(judged), *[event(FORMS["both break until the deadline"])] * 2])) == 3
    assert OVER["now"] > NOON


def test_what_was_not_due_yet_is_told_as_wrong_once_it_is():
    early, late = event(FORMS["not counted yet"]), event(FORMS["still not counted"])
    assert told([early, early, late, late]) == [early, late]


def test_a_rollout_prints_few_lines_for_many_turns():
    lines: list[str] = []
    show = line_printer(lines.append)
    for number, judged in enumerate(turns()):
        show(Entry(number, "rollout/r-1", number, judged, "ann", "", NOON + 2.0 * number, ""))
    late = "the canary answers late (5 % of its answers take 310 ms or more, 200 ms would be good)"
    until = "nothing moves, and it goes back at 13:00 UTC unless this ends"
    doubt = "2.2 % of the canary's answers failed (19 of 846), the SLO allows 1 %; too little is known to blame it"
    assert [line for line in lines if not line.startswith(" ")] == [
        f"12:00:00  step 1: {late}; its score is 48.6 of the 80 that it needs: {until}",
        f"12:00:02  step 1: {doubt}: {until}",
    ]
    assert [line[:30] for line in lines if line.startswith(" ")] == [
        "          HOLD by rule 6, cana", "          next: `gopub abort` ",
        "          HOLD by rule 5, cana", "          next: `gopub abort` ",
    ]  # fmt: skip
