"""What a person finds who filters a run's log by level: errors are alarms, warnings go on."""

from __future__ import annotations

import logging

import pytest

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.views.follow import Line, Printer
from gopub.views.loudness import loudness
from tasks.storytelling import catch_up
from tests.unit.verdicts import BAKING, ERRORS, FORMS, LOW, drawn, event

INFO, WARNING, ERROR = logging.INFO, logging.WARNING, logging.ERROR

LEVELS: list[tuple[ev.Event, int]] = [
    (ev.Opened("r-1", "hello", "lab", "a" * 64, "2"), INFO),
    (ev.Admitted(("signed",)), INFO),
    (ev.Refused(("not signed",)), ERROR),
    (ev.Waiting(1, "until 22:00"), INFO),
    (ev.HostSwitched("app1", "2", "canary"), INFO),
    (ev.HostFailed("app1", "switch", "GP340", "no"), ERROR),
    (ev.HostOwed("app1", "silent"), WARNING),
    (ev.TablePut(100, {"e1": "ok"}), INFO),
    (ev.TablePut(100, {"e1": "ok", "e2": "no answer"}), WARNING),
    (ev.Held("ann"), WARNING),
    (ev.Resumed("ann"), INFO),
    (ev.GoingBack(Outcome.WITHDRAWN, 2, "silent"), ERROR),
    (ev.TrafficOff(0.0, 2), INFO),
    (ev.TrafficOff(0.0, 2, {"e2": "no answer"}), ERROR),
    (ev.Closed(Outcome.PROMOTED), INFO),
    (ev.Closed(Outcome.PROMOTED, owed=("app1",)), WARNING),
    (ev.Closed(Outcome.MENDED), INFO),
    (ev.Closed(Outcome.ROLLED_BACK, "errors"), ERROR),
    (ev.Closed(Outcome.WITHDRAWN, "silent"), ERROR),
    (ev.Closed(Outcome.FAILED), ERROR),
]


@pytest.mark.parametrize(
    ("entry", "level"), LEVELS, ids=lambda one: type(one).__name__ if not isinstance(one, int) else ""
)
def test_every_entry_has_its_level(entry: ev.Event, level: int):
    assert loudness(entry) == level


def test_a_verdict_is_as_loud_as_its_alert():
    assert loudness(event(drawn(BAKING))) == INFO
    assert loudness(event(drawn(score=LOW))) == WARNING
    assert loudness(event(drawn(slo_canary=ERRORS))) == WARNING
    assert loudness(event(FORMS["both break until the deadline"])) == ERROR


def test_a_record_that_was_damaged_is_told_at_all():
    assert loudness(ev.Judged(0, "HOLD", 7, "bakes", {"record": {"verdict": "none"}})) == INFO
    assert loudness(ev.Judged(0, "WATCH", 4, "breaks", {})) == WARNING


def test_who_goes_on_tells_from_its_own_seat_on_and_who_begins_tells_all():
    events: list[ev.Event] = [
        ev.Opened("r-1", "hello", "lab", "a" * 64, "2"),
        ev.SeatTaken(1, "ann@a:1"),
        ev.Admitted(("signed", "fresh")),
    ]
    assert told(events) == ["rollout r-1: hello 2 into lab", "admitted: 2 checks passed"]
    gone_on = [*events, ev.SeatTaken(2, "bob@b:2", "go on", "run-2"), ev.Settling()]
    assert told(gone_on) == ["seat taken by bob@b:2 (go on), epoch 2, run run-2", "settling: stable everywhere"]


def told(events: list[ev.Event]) -> list[str]:
    lines: list[Line] = []
    catch_up(Printer(lines.append), [Entry(n, "rollout/r-1", n, one, "", "", 0.0, "") for n, one in enumerate(events)])
    return [line.text for line in lines]


def test_the_lines_that_belong_to_a_verdict_are_one_record():
    lines: list[Line] = []
    Printer(lines.append)(Entry(0, "rollout/r-1", 0, event(drawn(score=LOW)), "", "", 0.0, ""))
    [line] = lines
    assert (line.level, len(line.lines) > 1, line.text.count("\n")) == (WARNING, True, len(line.lines) - 1)
