"""What others wrote reaches a terminal, a log and a page as text: nothing in it is obeyed, hidden or turned around."""

from __future__ import annotations

import json
import logging
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gopub.cli import lazy, main
from gopub.clock import ManualClock
from gopub.errors import UsageError
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.plan.model import Outcome
from gopub.telemetry import log, one_line, visible
from gopub.views import pages
from gopub.views.explanation import explanation, explanation_json
from gopub.views.follow import line_printer

HOSTILE = "\x1b]0;owned\x07 \u202eorp\u202c \x9b2J\r\x7fall good\n20:19:55  promoted"
"""Renames a window, turns text around, clears the screen, goes back in its line, and writes a line of its own."""


def obeyed(text: str, *, lines: bool = False) -> list[str]:
    """The characters of a text that would be obeyed."""
    return [char for char in text if unicodedata.category(char)[0] == "C" and not (lines and char == "\n")]


def test_the_text_above_would_be_obeyed() -> None:
    assert len(obeyed(HOSTILE)) == 8  # control


def test_each_such_character_is_written_out() -> None:
    assert one_line(HOSTILE) == (r"\u001b]0;owned\u0007 \u202eorp\u202c \u009b2J\r\u007fall good\n20:19:55  promoted")
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible("发布 订单　服务 é ✓") == "发布 订单　服务 é ✓"


@given(st.text())
def test_nothing_is_obeyed_and_nothing_printable_is_changed(text: str) -> None:
    assert not obeyed(one_line(text))
    assert not text.isprintable() or one_line(text) == text


@given(st.text())
def test_json_stays_json_and_means_the_same(text: str) -> None:
    assert json.loads(visible(json.dumps({"reason": text}, ensure_ascii=False))) == {"reason": text}


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = str(tmp_path / "journal.db")
    monkeypatch.setenv("GOPUB_JOURNAL", path)
    journal = open_journal(path, ManualClock())
    history = [
        ev.Opened("r1", "orders", "prod", "a" * 64, "1.0.0", HOSTILE),
        ev.HostFailed("app1", "switch", "GP440", HOSTILE),
        ev.Closed(Outcome.FAILED, HOSTILE),
    ]
    journal.append_all(
        [("rollout/r1", 0, history), ("env/orders/prod", 0, [ev.EnvOpened("r1", HOSTILE)])], actor=HOSTILE
    )
    return journal.read("rollout/r1")


def test_explain_prints_one_line_for_each(entries) -> None:
    lines = explanation(entries)
    assert not obeyed("".join(lines))
    assert sum("promoted" in line for line in lines) == 3
    assert not any(line.startswith("20:19:55") for line in lines)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_prints_nothing_that_is_obeyed(entries, options: list[str]) -> None:
    lazy.register(main.app, ["explain"])
    result = CliRunner().invoke(main.app, ["explain", "r1", *options])
    assert result.exit_code == 0, result.output
    assert not obeyed(result.output, lines=True)
    assert not options or json.loads(result.output) == explanation_json(entries) | {"trust": []}


def test_what_is_told_live_is_one_line_too(entries) -> None:
    told: list[str] = []
    for entry in entries:
        line_printer(told.append)(entry)
    assert told
    assert not obeyed("".join(told))


def test_an_error_shows_what_it_quotes(capsys) -> None:
    main.tell_error(UsageError("GP941", f"there is no rollout {HOSTILE}", hint="see `gopub status`"))
    said = capsys.readouterr().err
    assert r"\u001b]0;owned" in said
    assert not obeyed(said, lines=True)


def test_a_log_line_shows_it_as_well(caplog) -> None:
    with caplog.at_level(logging.WARNING, "gopub.visible"):
        log("visible").warning("a host says %s", HOSTILE)
    assert not obeyed(caplog.messages[0], lines=True)


def test_on_a_page_it_is_no_markup_either() -> None:
    text = pages.shown(f"{HOSTILE} <img src=x> [a](http://b) `c` | d\n# e")
    assert not obeyed(text)
    assert "&lt;img" in text
    assert r"\[a\](http://b) \`c\` \| d" in text
