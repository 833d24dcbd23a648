"""Pictures of rollouts: the same bytes for the same journal, another picture for another one, and nobody's markup.

``python -m tests.unit.test_views_plots`` writes the kept pictures anew.
"""

from __future__ import annotations

import base64
import math
import re
import string
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gopub.cli.read import Lang, explain
from gopub.errors import UsageError
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.state import fold
from gopub.views.board import Scene, board
from gopub.views.chart import LEFT, TALL, Frame, Point, marks, thinned
from gopub.views.looks import looks_of
from gopub.views.plots import plot
from gopub.views.svg import WIDTH
from gopub.views.wording import WORDS, language
from tests.unit.plot_world import journal
from tests.unit.views_world import world

KEPT = Path(__file__).parent.parent / "cases" / "views"
SVG = "{http://www.w3.org/2000/svg}"
NASTY = "\"'><script>alert(1)</script><image href='http://x/'/>]]>&amp;\x00\x1b[2J\u202e\ufffe\ud800 onload=x"


def changed(entry: Entry, **figures: Any) -> Entry:
    """The same look with other figures in its record, as somebody writes into a journal."""
    assert isinstance(entry.event, ev.Judged)
    record: Any = entry.event.record["record"]
    observation = {**record["observation"], **figures}
    return replace(entry, event=replace(entry.event, record={"record": {**record, "observation": observation}}))


def paths(drawn: str, kind: str) -> list[str]:
    return [one.get("d", "") for one in ET.fromstring(drawn).iter(f"{SVG}path") if one.get("class") == kind]  # noqa: S314 - ours


def texts(drawn: str) -> list[str]:
    return ["".join(one.itertext()) for one in ET.fromstring(drawn).iter(f"{SVG}text")]  # noqa: S314 - ours


@pytest.mark.parametrize("lang", WORDS)
def test_a_picture_is_byte_for_byte_what_it_was(lang):
    kept = (KEPT / f"plot.{lang}.svg").read_text("utf-8")
    assert plot(journal(6), lang) == kept, "where it was meant: python -m tests.unit.test_views_plots"


def test_another_record_is_another_picture():
    entries = journal(6)
    look = entries[4]
    for figures in ({"recent": None}, {"hosts": []}, {"evidence": {"log_e": 3.0}}):
        others = [*entries[:4], changed(look, **figures), *entries[5:]]
        assert plot(others) != plot(entries), figures


def test_e_is_drawn_where_the_journal_has_it():
    """E grows from 0.1 to 3162: its line begins and ends at the same distance from 1/α = 100 as the numbers do."""
    drawn = plot(journal(6))
    (line, *_) = paths(drawn, "ours")
    points = [tuple(map(float, pair.split())) for pair in line[1:].split("L")]
    shapes = ET.fromstring(drawn).iter(f"{SVG}line")  # noqa: S314 - ours
    limit = next(float(one.get("y1", "")) for one in shapes if one.get("class") == "limit")
    decade = (points[0][1] - points[-1][1]) / 4.5
    assert points[0][1] - limit == pytest.approx(3 * decade, abs=0.2)
    assert [point[0] for point in points] == sorted(point[0] for point in points)


def test_words_of_others_are_texts():
    entries = journal(3, version=NASTY)
    drawn = plot(entries)
    root = ET.fromstring(drawn)  # noqa: S314 - ours
    assert {one.tag.removeprefix(SVG) for one in root.iter()} == {
        "svg", "title", "desc", "style", "rect", "text", "line", "path", "circle"
    }  # fmt: skip
    assert not [name for one in root.iter() for name in one.attrib if name.startswith("on") or "href" in name]
    assert "<script>alert(1)</script>" in (root.findtext(f"{SVG}title") or "")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ufffe\ud800]", drawn)
    drawn.encode()


def test_control_what_is_not_escaped_is_found():
    drawn = plot(journal(3, version="SAYS")).replace("SAYS", "<script>alert(1)</script>")
    assert "script" in {one.tag.removeprefix(SVG) for one in ET.fromstring(drawn).iter()}  # noqa: S314 - ours


@pytest.mark.parametrize(
    "figures",
    [
        {"evidence": {"log_e": math.nan, "e_value": math.inf}, "recent": "no", "hosts": 3, "config": []},
        {"evidence": {"log_e": None, "e_value": 1e300}, "hosts": [{"memory": 10**400}, {"memory": math.inf}, None]},
        {"evidence": {"log_e": -1e300}, "recent": {"canary": {"hosts": [{"attempts": 1e300, "errors": math.nan}]}}},
        {"evidence": {"log_e": 1e308}, "recent": {"canary": {"latency": {"bounds": ["x"], "counts": [1, 2]}}}},
        {"at": math.inf, "recent": {"canary": {"hosts": [{"attempts": 3, "errors": 9}]}}},
        {"at": -1e300, "config": {"slo": {"error_rate": 1e300, "latency_p95": -1e300}}},
    ],
)
def test_figures_that_no_look_has_draw_a_picture_all_the_same(figures):
    entries = journal(6)
    drawn = plot([*entries[:4], changed(entries[4], **figures), *entries[5:]])
    shapes = [one for one in ET.fromstring(drawn).iter() if one.tag != f"{SVG}rect"]  # noqa: S314 - ours
    for number in re.findall("[^MLZ ]+", " ".join(one.get("d", "") for one in shapes)):
        assert 0 <= float(number) <= 1000
    assert not re.search(r'="[^"]*\b(nan|inf)\b', drawn)


def test_e_beyond_the_scale_stays_in_it_and_is_said():
    drawn = plot(journal(4, lambda look: 100.0 * look))
    assert any("1e300" in text for text in texts(drawn))
    top = min(float(pair.split()[1]) for pair in paths(drawn, "ours")[0][1:].split("L"))
    assert top > 60


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_few_looks_are_told_as_they_are(looks):
    drawn = plot(journal(looks))
    assert ("no look was taken" in " ".join(texts(drawn))) == (looks == 0)
    assert drawn.count("<circle") == (0 if looks == 0 else 8)


def test_many_looks_keep_their_highest_and_lowest_and_are_no_large_file():
    spike = 1777
    drawn = plot(journal(2000, lambda look: 3.0 if look == spike else 0.0, hosts=1, bad=lambda _: 0))
    assert len(drawn) < 200_000
    heights = [float(pair.split()[1]) for pair in paths(drawn, "ours")[0][1:].split("L")]
    assert heights.count(min(heights)) == 1
    assert max(heights) - min(heights) > TALL / 3


def test_thinned_points_stay_in_order_with_gaps():
    frame = Frame(0.0, 1000.0)
    points = [Point(float(at), None if 400 <= at < 500 else float(at % 7)) for at in range(1000)]
    kept = thinned(points, frame)
    assert [one.at for one in kept] == sorted(one.at for one in kept)
    assert any(one.value is None for one in kept)
    assert {one.value for one in kept} == {None, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
    assert frame.x(0.0) == LEFT
    assert thinned(points[:5], frame) == points[:5]


def test_where_nobody_looked_no_line_goes_on():
    whole, late = journal(6), journal(6)
    late[5:] = [replace(one, at=one.at + 600, event=one.event) for one in late[5:]]
    late = [changed(one, at=one.at) if isinstance(one.event, ev.Judged) else one for one in late]
    assert len(paths(plot(late), "theirs")) > len(paths(plot(whole), "theirs"))


def test_axes_have_round_numbers():
    assert marks(0.0, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert marks(-1.0, 7.0, whole=True) == [0.0, 2.0, 4.0, 6.0]
    assert marks(0.0, 0.0) == [0.0]


def test_rates_have_intervals_that_hold_them():
    looks = looks_of(journal(12))
    rate = looks[10].canary.rate
    assert rate
    assert (rate.bad, rate.of, rate.value) == (10, 100, 0.1)
    assert rate.low == pytest.approx(0.047, abs=0.01)
    assert rate.high == pytest.approx(0.19, abs=0.01)
    assert looks[0].stable.p95 == pytest.approx(0.048, abs=0.001)
    assert (looks[0].memory["web3"], looks[0].alpha, looks[0].target) == (30 * 2**20 + 5.0, 0.01, 0.2)


def test_both_languages_have_every_word_with_the_same_places():
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english = {key: places(text) for key, text in WORDS["en"].items()}
    for lang, words in WORDS.items():
        assert {key: places(text) for key, text in words.items()} == english, lang


@pytest.mark.parametrize(
    ("wanted", "environment", "told"),
    [
        ("", {"LANG": "zh_CN.UTF-8"}, "zh"), ("", {"LANG": "zh"}, "zh"), ("", {"LANG": "C.UTF-8"}, "en"),
        ("", {}, "en"),
        ("", {"LC_ALL": "C", "LANG": "zh_CN"}, "en"), ("en", {"LANG": "zh_CN"}, "en"), ("zh", {}, "zh"),
        ("", {"LC_ALL": "", "LANG": "zh.UTF-8"}, "zh"),
    ],
)  # fmt: skip
def test_the_language_is_the_wanted_one_else_that_of_the_locale(wanted, environment, told):
    assert language(wanted, environment) == told


def test_the_command_draws_beside_what_it_says(tmp_path, monkeypatch, capsys):
    world(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    file = tmp_path / "r.svg"
    explain("r-back", plot=str(file), lang=Lang.ZH)
    said = capsys.readouterr()
    assert "rollout r-back" in said.out
    assert file.name in said.err
    assert "金丝雀" in file.read_text("utf-8")
    assert [one.name for one in tmp_path.glob("r.svg*")] == ["r.svg"]


@pytest.mark.parametrize("name", ["gopub.yaml", "there/r.svg", "folder.svg"])
def test_no_other_file_is_written_over(tmp_path, monkeypatch, name):
    world(tmp_path)
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    (tmp_path / "gopub.yaml").write_text("app: x\n")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UsageError, match="GP969"):
        explain("r-back", plot=str(tmp_path / name))
    assert (tmp_path / "gopub.yaml").read_text() == "app: x\n"
    assert not list(tmp_path.glob("*.part"))


def test_a_page_has_the_picture_as_an_image_and_no_markup_of_others():
    entries = journal(3, version=NASTY)
    opened = fold([entries[0].event])
    judged = entries[-2].event
    assert isinstance(judged, ev.Judged)
    page = board(Scene(replace(opened, verdict=judged), entries, (), entries[-1].at), plot(entries))
    text, _, rest = page.text.partition("](data:image/svg+xml;base64,")
    assert base64.b64decode(rest.partition(")")[0]).decode() == plot(entries)
    assert "<" not in text.replace("&lt;", "")
    assert page.key == "hello-prod-rollout"
    assert "data:image" not in board(Scene(opened, entries[:1], (), entries[0].at), plot(entries)).text


def test_nothing_is_wider_than_the_page():
    for drawn in (plot(journal(30)), plot(journal(3, version="v" * 400))):
        for one in ET.fromstring(drawn).iter(f"{SVG}text"):  # noqa: S314 - ours
            x, words = float(one.get("x", "0")), "".join(one.itertext())
            if one.get("text-anchor", "start") == "start":
                assert x + 4.5 * len(words) <= WIDTH, words


def main() -> None:
    """Keep the present pictures."""
    for lang in WORDS:
        (KEPT / f"plot.{lang}.svg").write_text(plot(journal(6), lang), "utf-8")


if __name__ == "__main__":
    main()
