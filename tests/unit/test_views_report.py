"""Reports on rollouts: all that is known, in one file that fetches nothing, and nobody's markup in it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from gopub.cli.read import Lang, explain
from gopub.errors import UsageError
from gopub.health.logscore import LogClass, LogScore
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.views.report import html, markdown, report_of
from gopub.views.report_words import REPORT_WORDS
from tests.unit.plot_world import journal
from tests.unit.test_views_plots import NASTY
from tests.unit.verdicts import NOON, drawn, event
from tests.unit.views_world import plan, world

TAGS = {"html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "section", "dl", "dt", "dd", "div",
        "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "details", "summary", "pre", "footer", "svg", "desc",
        "rect", "text", "line", "path", "circle"}  # fmt: skip
ASKED = (ev.Asked("promote:1", "looks fine", "bob", NOON + 20), ev.Asked("hold", "", "eve", NOON + 30))


class Tags(HTMLParser):
    """Which elements and attributes a file has, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def whole(text: str = "hello") -> list[Entry]:
    """A rollout from its release to its end, in which ``text`` stands wherever somebody else writes."""
    told, sealed = journal(6), text.replace("\ud800", "")  # half a character cannot be sealed
    classes = (LogClass(sealed, 12, 0, 9.0, counted=True),)
    logs = event(drawn(log_score=LogScore(0.99, 9.0, 846, 2954, classes), log_note=sealed, notes=(sealed,)))
    opened = ev.Opened("r-1", "hello", "prod", "b" * 64, f"2.0.0 {text}", text)
    events = [
        opened, ev.Admitted(("signed by ci", text)),
        ev.Planned(plan("r-1", "hello", "prod", binaries=(("linux/amd64", "9" * 64),), notes=(text,))),
        *(one.event for one in told[1:-1]), logs, ev.HostOwed(text, text), told[-1].event,
        ev.Closed(Outcome.ROLLED_BACK, text, (text, "web3"), ("edge1",)),
    ]  # fmt: skip
    return [
        Entry(n, "rollout/r-1", n, one, text, "7" * 32, NOON + n, "a" * 64) for n, one in enumerate(events, start=1)
    ]


@pytest.mark.parametrize("lang", REPORT_WORDS)
def test_a_report_tells_all_from_the_release_to_what_is_owed(lang):
    report = report_of(whole(), ASKED, lang)
    assert report
    for text in (html(report), markdown(report)):
        for word in ("2.0.0", "b" * 64, "9" * 64, "signed by ci", "web3", "edge1", "2023-11-15 12:00:20", "bob"):
            assert word in text, word
        for head in ("what", "proof", "steps", "seen", "rested", "unseen", "picture", "verdicts", "people", "owed"):
            assert REPORT_WORDS[lang][head] in text, head
    assert report.tone == "bad"
    words = Tags(html(report)).words
    order = [words.index(REPORT_WORDS[lang][head]) for head in ("what", "proof", "steps", "picture", "people")]
    assert order == sorted(order)


def test_both_languages_have_every_word_and_the_same_blanks():
    en, zh = REPORT_WORDS["en"], REPORT_WORDS["zh"]
    blanks = [{key: set(re.findall(r"\{(\w+)\}", text)) for key, text in one.items()} for one in (en, zh)]
    assert blanks[0] == blanks[1]


@pytest.mark.parametrize("lang", REPORT_WORDS)
def test_what_others_wrote_is_text_and_nothing_is_fetched(lang):
    asked = (ev.Asked("hold", NASTY, NASTY, NOON),)
    report = report_of(whole(NASTY), asked, lang)
    assert report
    page = html(report)
    found = Tags(page)
    assert found.tags <= TAGS, found.tags - TAGS
    assert not {name for name in found.attributes if name.startswith("on") or name in ("href", "src", "xlink:href")}
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "<script" not in markdown(report)
    assert "alert(1)" in page, "a control: it is there, as text"
    plain = Tags(html(report_of(whole(), (ev.Asked("hold", "x", "x", NOON),), lang)))
    assert (found.tags, found.attributes) == (plain.tags, plain.attributes), "it added no markup of its own"
    assert not any(char in page + markdown(report) for char in "\x00\x1b\u202e\ufffe")


def test_the_same_journal_is_the_same_bytes_and_another_one_is_not():
    first, again = (html(report_of(whole(), ASKED)) for _ in range(2))
    assert first == again
    assert html(report_of(whole("other"), ASKED)) != first


def test_a_rollout_that_was_refused_or_has_just_begun_is_told_as_far_as_it_went():
    entries = whole()[:1]
    begun = report_of(entries)
    assert begun
    assert begun.tone == ""
    assert "No plan was made" in html(begun)
    assert "not in the journal" in markdown(begun)
    refused = report_of([entries[0], replace(entries[0], event=ev.Refused(("no signature",)))])
    assert refused
    assert "no signature" in html(refused)
    assert report_of([]) is None


def test_verdicts_that_said_the_same_are_told_once():
    report = report_of(whole(), ASKED)
    assert report
    verdicts = next(one for one in report.after if one.head == "Its verdicts")
    judged = sum(isinstance(one.event, ev.Judged) for one in whole())
    assert 1 < len(verdicts.rows) < judged
    assert verdicts.lines == (f"{judged - len(verdicts.rows)} more that said the same are left out",)


def test_the_command_writes_either_kind_at_once_or_not_at_all(tmp_path, monkeypatch, capsys):
    world(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    for name, begin in (("r.html", "<!DOCTYPE html>"), ("r.md", "# orders 2.0.0 发布到 lab")):
        explain("r-back", report=str(tmp_path / name), lang=Lang.ZH)
        assert (tmp_path / name).read_text("utf-8").startswith(begin)
        assert f"wrote {tmp_path / name}" in capsys.readouterr().err
    explain("r-held", report=str(tmp_path / "held.md"), lang=Lang.EN)
    assert "ann asked to hold: lunch" in (tmp_path / "held.md").read_text("utf-8")
    for bad in ("r.pdf", "none/r.html"):
        with pytest.raises(UsageError, match=r"r\.(pdf|html)") as caught:
            explain("r-back", report=str(tmp_path / bad))
        assert caught.value.code == "GP969"
    assert sorted(one.name for one in tmp_path.glob("*.part")) == []


def test_of_a_report_and_a_picture_none_is_written_where_one_has_no_place(tmp_path, monkeypatch):
    world(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    with pytest.raises(UsageError, match=r"gopub\.yaml"):
        explain("r-back", report=str(tmp_path / "r.md"), plot=str(tmp_path / "gopub.yaml"))
    assert not (tmp_path / "r.md").exists()
    explain("r-back", report=str(tmp_path / "r.md"), plot=str(tmp_path / "r.svg"))
    assert (tmp_path / "r.md").exists() and (tmp_path / "r.svg").exists(), "control: both have one"
