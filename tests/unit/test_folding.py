"""Text on a narrow terminal is broken between words, and wide characters take the two columns that they take."""

from __future__ import annotations

import ast
import random
import unicodedata
from pathlib import Path

import pytest

from gopub.cli.folding import NARROWEST, broken, cells, table
from tests.support.chance import seed as chance_seed

CLI = Path(__file__).parents[2] / "gopub" / "cli"
HEAD = ("app", "under way", "driver")
ROWS = [("orders", "2.0.0: 1 host, 25% (observed 12s of 60s)", "ann@desk:1"), ("发布", "-", "-")]


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("发布", 4), ("e\u0301", 1), ("a→b", 3), ("🚀", 2), ("ﾊ", 1), ("한글 x", 6)],
)
def test_columns_are_counted_as_a_terminal_counts(text: str, columns: int) -> None:
    assert cells(text) == columns


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("short", "short"),
        ("hint: look at the log of the service", "hint: look at the log\n  of the service"),
        ("    owed: app1, app2, edge1", "    owed: app1, app2,\n      edge1"),
        ("one\ntwo", "one\ntwo"),
        ("see /a/very/long/path/that/stays/whole now", "see\n  /a/very/long/path/that/stays/whole\n  now"),
        ("灰度发布把一小部分流量给新的版本，然后再看。", "灰度发布把一小部分流量\n  给新的版本，然后再\n  看。"),
        ("a  b" + " " * 30 + "c", "a  b\n  c"),
    ],
)
def test_lines_are_broken_between_words(text: str, folded: str) -> None:
    assert broken(text, 22) == folded


@pytest.mark.parametrize("width", [0, NARROWEST - 1])
def test_where_nobody_reads_nothing_is_broken(width: int) -> None:
    assert broken("word " * 50, width) == "word " * 50


def test_no_word_is_lost_and_no_line_is_too_wide() -> None:
    seed = chance_seed()
    draw = random.Random(seed)
    for _ in range(300):
        words = ["".join(draw.choices("ab→é发布ü", k=draw.randint(1, 9))) for _ in range(draw.randint(1, 40))]
        width = draw.randint(NARROWEST, 60)
        folded = broken(" ".join(words), width)
        assert "".join(folded.split()) == "".join(words)
        assert max(cells(line) for line in folded.split("\n")) <= width


def test_a_table_is_as_wide_as_it_is_where_there_is_room() -> None:
    assert table(HEAD, ROWS) == table(HEAD, ROWS, 200) == [
        "app     under way                                 driver",
        "orders  2.0.0: 1 host, 25% (observed 12s of 60s)  ann@desk:1",
        "发布    -                                         -",
    ]  # fmt: skip


def test_a_table_folds_its_cells_and_then_stands_in_blocks() -> None:
    assert table(HEAD, ROWS, 44) == [
        "app     under way                 driver",
        "orders  2.0.0: 1 host, 25%        ann@desk:1",
        "        (observed 12s of 60s)",
        "发布    -                         -",
    ]
    assert table(HEAD, ROWS, 28)[1:8] == [
        "app: orders",
        "under way: 2.0.0: 1 host,",
        "  25% (observed 12s of 60s)",
        "driver: ann@desk:1",
        "",
        "app: 发布",
        "under way: -",
    ]


def test_wide_characters_are_those_that_unicode_names() -> None:
    wide = [char for char in map(chr, range(0x3000, 0x3100)) if cells(char) == 2]
    assert wide == [c for c in map(chr, range(0x3000, 0x3100)) if unicodedata.east_asian_width(c) in "WF"]


def test_a_document_is_never_folded() -> None:
    """JSON that was broken in a string would be none; so what is printed of `json.dumps` is said as a document."""
    folded = [
        f"{path.name}:{node.lineno}"
        for path in CLI.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "say" and "json" in ast.unparse(node)
    ]
    assert folded == []
