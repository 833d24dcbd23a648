"""A rollout's page has room for every fleet, and what others write into it neither breaks nor fills it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.telemetry import REDACTOR
from gopub.views.board import Scene, board, scene
from gopub.views.hostrows import MOST_HOSTS
from gopub.views.pages import MOST_CELL, MOST_TEXT, back_page, named_key, plan_page, shown
from tasks.marks import ending
from tests.unit.views_world import HOSTS, NEW_FOLDER, moving

OPENED = 1_700_000_000.0
ROOM = 20_000
"""Characters that a page of any fleet has; that of 5000 hosts had 281,000."""


def fleet(many: int) -> list[ev.Event]:
    """Admitted and planned on so many hosts, all of them staged, five of them canaries."""
    opened, seat, admitted, planned, *_ = moving("r-1", "hello", "prod")
    assert isinstance(planned, ev.Planned)
    names = tuple(f"web{number:04d}" for number in range(many))
    steps = (replace(planned.plan.steps[0], hosts=names[:5]), replace(planned.plan.steps[1], hosts=names))
    plan = replace(planned.plan, hosts=tuple(replace(HOSTS[0], name=name) for name in names), steps=steps)
    switched = [ev.HostSwitched(name, NEW_FOLDER, "canary") for name in names[:5]]
    staged = map(ev.HostStaged, names)
    return [opened, seat, admitted, ev.Planned(plan), ev.StageIntended(names), *staged,
            ev.SwitchIntended(names[:5], NEW_FOLDER, "canary"), *switched]  # fmt: skip


def of(events: list[ev.Event], *asked: ev.Asked) -> Scene:
    entries = [Entry(n, "rollout/r-1", n, one, "ann", "", OPENED + n, "") for n, one in enumerate(events)]
    return scene(entries, asked, OPENED + len(events))


def rows_of(text: str) -> list[str]:
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| web")]


def test_of_a_great_fleet_those_that_somebody_looks_for_stand_first_and_the_others_are_counted():
    failed = [ev.HostFailed(f"web{number}", "switch", "GP440", "no room") for number in (4711, 4712)]
    text = board(of([*fleet(5000), *failed])).text
    rows = rows_of(text)
    assert len(rows) == MOST_HOSTS
    assert rows[:2] == ["web4711", "web4712"]
    assert rows[2:7] == [f"web{number:04d}" for number in range(5)], "then the canaries"
    more = "And 4970 more hosts (4970 stable, new release: staged). What became of each: `gopub explain r-1`"
    assert more in text
    assert len(text) < ROOM


def test_those_that_are_owed_come_before_those_that_failed():
    back = [ev.StepReached(0, OPENED), ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors"), ev.TrafficOff(OPENED)]
    failed = ev.HostFailed("web0099", "switch", "GP440", "no room")
    text = board(of([*fleet(100), failed, *back, ev.HostOwed("web0003", "does not answer")])).text
    assert rows_of(text)[:3] == ["web0003", "web0099", "web0000"]
    assert "with an error" not in text


def test_hosts_with_an_error_that_do_not_fit_are_counted_as_such():
    failed = [ev.HostFailed(f"web{number:04d}", "stage", "GP440", "x" * 100_000) for number in range(50, 100)]
    text = board(of([*fleet(100), *failed])).text
    assert "20 stable, new release: staged, with an error" in text
    assert len(text) < ROOM


def test_of_a_small_fleet_every_host_has_its_row():
    text = board(of(fleet(MOST_HOSTS))).text
    assert len(rows_of(text)) == MOST_HOSTS
    assert "more hosts" not in text


HOSTILE = [
    "| a | b |\n| - | - |", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![x](data:text/html,x)",
    "# head", "> quote", "`code` **bold** __bold__ ~~gone~~", "\u202etxet\u202c", "\x1b]0;t\x07\x1b[2J", "a\r\nb\x00c",
    "&lt;b&gt; &#106;avascript:", "x" * 100_000, "|" * 100_000, "\u202e" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_whatever_others_write_is_text_on_one_line_with_an_end(text: str):
    events = [replace(one, reason=text) if isinstance(one, ev.Opened) else one for one in fleet(3)]
    events += [ev.HostFailed("web0001", "stage", "GP440", text)]
    plain = [*fleet(3), ev.HostFailed("web0001", "stage", "GP440", "plain")]
    page = board(of(events, ev.Asked("hold", text, text, OPENED)))
    usual = board(of(plain, ev.Asked("hold", "plain", "ann", OPENED)))
    assert page.text.count("\n") == usual.text.count("\n"), "no line more than with plain words"
    assert all(char.isprintable() or char == "\n" for char in page.text + page.description)
    assert len(page.text) < ROOM * 4, "each character may be written as six"
    live = re.sub(r"\\.", "", page.text + page.description)  # what is escaped is text
    assert not [mark for mark in ("<", "[", "]", "!", "**bold", "~", "&#106", "> quote", "# head") if mark in live]
    [row] = [line for line in page.text.splitlines() if line.startswith("| web0001")]
    assert row.replace("\\|", "").count("|") == 6, "a table of five columns"


def test_a_secret_that_is_cut_in_two_is_not_shown_by_half():
    secret = "half-a-secret-" + "s3" * 20
    REDACTOR.learn(secret)
    for most, before in ((MOST_TEXT, "y" * (MOST_TEXT - 20)), (MOST_CELL, "y" * (MOST_CELL - 20))):
        assert "half-a" not in shown(before + secret, most)
    assert "half-a" in shown("half-a-secre", 20), "control"


def test_the_message_of_a_state_is_one_line_with_an_end():
    """That of a run which somebody holds for a reason of a hundred thousand characters had all of them."""
    message = ending("rolled back", "first\n" + "x" * 100_000).message
    assert message is not None
    assert message.startswith("first\\nxxx")
    assert len(message) <= MOST_TEXT + 1
    assert ending("rolled back", "errors").message == "errors", "control"


def test_the_other_pages_of_a_great_fleet_are_bounded_too():
    state = of(fleet(5000)).state
    page = plan_page(state)
    assert page is not None
    assert len(page.text) < ROOM
    names = [f"web{number}" for number in range(5000)]
    back = back_page({"outcome": "rolled back", "app": "hello", "version": "2", "env": "prod", "reason": "|" * 100_000,
                      "runs": "1", "owed": names, "owed_edges": [], "alarms": names, "rollout": "r-1"})  # fmt: skip
    assert "owed: web0, web1 and 4998 more" in back.text
    assert "- and 4980 more" in back.text
    assert len(back.text) < ROOM


def test_a_key_is_one_that_prefect_takes():
    assert named_key("Größe-日本-prod") == "gr--e----prod"
