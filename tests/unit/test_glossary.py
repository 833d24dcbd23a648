"""The glossary: each of its words is really used, stands there once, and is set beside a word of the field."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/glossary.md"
ROW = re.compile(r"^\| \*\*([^*|]+)\*\* \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text("utf-8"))
KINDS = ("gopub/**/*.py", "flows/*.py", "tasks/*.py", "docs/concepts/*.md", "docs/guides/*.md", "docs/reference/*.md")


@cache
def words() -> str:
    """All that code and docs say, but for the page itself."""
    files = {path for kind in KINDS for path in ROOT.glob(kind)} - {PAGE}
    return "\n".join(path.read_text("utf-8") for path in sorted(files))


def used(word: str) -> int:
    """In how many places a word stands as one."""
    return len(re.findall(rf"(?<![\w-]){re.escape(word)}(?![\w-])", words()))


@pytest.mark.parametrize("word", [row[0] for row in ROWS])
def test_a_word_of_the_glossary_is_used(word: str) -> None:
    assert used(word) >= 3


def test_a_word_that_nobody_uses_is_found() -> None:
    assert used("rollout") > 100
    assert used("quarrel-free") == used("blast radius") == 0


def test_every_word_stands_there_once() -> None:
    names = [row[0] for row in ROWS]
    assert len(names) == len(set(names)) == PAGE.read_text("utf-8").count("**") // 2 >= 50


def test_the_command_line_and_the_outcomes_are_in_it() -> None:
    names = {row[0] for row in ROWS}
    assert {"promote", "abort", "hold", "rollback", "recover"} <= names
    assert {"rolled back", "withdrawn", "mended"} <= names
    assert {"seat", "lease", "stage", "track", "step", "verdict", "edge", "host", "kit"} <= names
