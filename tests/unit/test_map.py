"""The architecture answers "where is it decided": one file for each question, and the names are defined in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PART = "## Where is it decided…\n"
CODE = re.compile(r"`([^`]+)`")
GO = re.compile(r"^func (?:\([^)]*\) )?(\w+)\(", re.MULTILINE)
SHELL = re.compile(r"^(\w+)\(\) [({]", re.MULTILINE)
LUA = re.compile(r"^(?:local )?function (?:_M\.)?(\w+)\(|^local (\w+) =", re.MULTILINE)


class Row(NamedTuple):
    question: str
    files: tuple[str, ...]
    symbols: tuple[str, ...]


def rows_of(page: str) -> list[Row]:
    """The rows of the tables in the part that answers."""
    part = page.partition(PART)[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return [
        Row(cells[0], tuple(CODE.findall(cells[1])), tuple(CODE.findall(cells[2])))
        for cells in lines
        if cells != ["question", "file", "decided by"]
    ]


ROWS = rows_of((ROOT / "ARCHITECTURE.md").read_text("utf-8"))


def in_python(tree: ast.Module | ast.ClassDef, before: str = "") -> Iterator[str]:
    """What a module defines itself, and what its classes do; what it imports is defined elsewhere."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{before}{node.name}"
        elif isinstance(node, ast.ClassDef):
            yield f"{before}{node.name}"
            yield from in_python(node, f"{before}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (f"{before}{one.id}" for one in targets if isinstance(one, ast.Name))


@cache
def defined_in(file: str) -> frozenset[str]:
    text = (ROOT / file).read_text("utf-8")
    if file.endswith(".py"):
        return frozenset(in_python(ast.parse(text)))
    if file.endswith(".sh"):
        return frozenset(SHELL.findall(text))
    if file.endswith(".go"):
        return frozenset(GO.findall(text))
    if file.endswith(".lua"):
        return frozenset(one or other for one, other in LUA.findall(text))
    raise ValueError(f"no reader for {file}")


def wrong(row: Row) -> list[str]:
    """What a row says that is not so."""
    if len(row.files) != 1 or not row.symbols:
        return [f"{len(row.files)} files, {len(row.symbols)} names"]
    (file,) = row.files
    if not (ROOT / file).is_file():
        return [file]
    return [name for name in row.symbols if name not in defined_in(file)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.question.replace(" ", "-"))
def test_what_decides_is_defined_where_the_map_says(row: Row) -> None:
    assert wrong(row) == []


def test_it_answers_many_questions_each_once() -> None:
    assert len(ROWS) >= 60
    assert len({row.question for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("file", "right", "absent"),
    [
        ("gopub/judge/decision.py", "decide", "say_score"),  # imported there, defined elsewhere
        ("gopub/judge/observed.py", "BakeClock.looked", "looked"),
        ("gopub/journal/transitions.py", "TABLE", "FLOOR"),
        ("gopub/fleet/program/order.sh", "fence", "finish"),  # called there, defined elsewhere
        ("gopub/traffic/backends/nginx/lua/gopub/decide.lua", "decide", "put"),
    ],
)
def test_a_name_that_is_not_defined_there_is_found(file: str, right: str, absent: str) -> None:
    assert wrong(Row("?", (file,), (right, absent))) == [absent]


def test_a_file_that_is_not_there_and_a_second_one_are_found() -> None:
    assert wrong(Row("?", ("gopub/nothing.py",), ("decide",))) == ["gopub/nothing.py"]
    assert wrong(Row("?", ("gopub/canon.py", "gopub/errors.py"), ("Exit",))) == ["2 files, 1 names"]
    assert wrong(Row("?", ("gopub/canon.py",), ())) == ["1 files, 0 names"]


def test_a_row_is_read_as_it_is_written() -> None:
    table = "| question | file | decided by |\n|---|---|---|\n| why | `c.py` | `d`, `E.f` |\n"
    rows = rows_of(f"| no | `a.py` | `b` |\n{PART}\n{table}\n## More\n| g | h | i |\n")
    assert rows == [Row("why", ("c.py",), ("d", "E.f"))]
