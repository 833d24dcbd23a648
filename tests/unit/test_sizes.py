"""Files and functions stay small, and processes are started in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("gopub", "flows", "tasks", "blocks", "deployments", "python")
FILE_LINES, TEST_LINES, FUNCTION_LINES = 400, 600, 40
KINDS = frozenset({".py", ".sh", ".lua", ".go"})


PRODUCT = sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Qualified names of functions and how many lines their bodies have, docstrings left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield f"{prefix}{node.name}", (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def long_ones() -> dict[str, int]:
    return {
        f"{name_of(path)}:{name}": lines
        for path in PRODUCT
        for name, lines in functions(ast.parse(path.read_text("utf-8")))
        if lines > FUNCTION_LINES
    }


def imports_subprocess(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] == "subprocess" for name in names):
            return True
    return False


def uses_a_shell(tree: ast.AST) -> bool:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    shells = {"create_subprocess_shell", "system", "popen"}
    return any(
        any(word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
            for word in call.keywords)
        or (isinstance(call.func, ast.Attribute) and call.func.attr in shells)
        for call in calls
    )  # fmt: skip


def test_files_are_small() -> None:
    files = [path for folder in (*SOURCES, "scripts", "examples") for path in (ROOT / folder).rglob("*")]
    assert {name_of(path): lines_of(path) for path in files
            if path.is_file() and path.suffix in KINDS and lines_of(path) > FILE_LINES} == {}  # fmt: skip


def test_test_files_are_small() -> None:
    files = [path for path in (ROOT / "tests").rglob("*") if path.suffix in KINDS]
    assert {name_of(path): lines_of(path) for path in files if lines_of(path) > TEST_LINES} == {}


def test_functions_are_small() -> None:
    assert long_ones() == {}


def test_contributing_names_the_same_bounds_and_most_stay_far_below() -> None:
    rule = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("**Sizes.**")[2].partition("\n- ")[0]
    assert [int(number) for number in re.findall(r"\d+", rule)] == [FILE_LINES, TEST_LINES, FUNCTION_LINES, 120, 10]
    texts = [path.read_text("utf-8") for path in PRODUCT]
    lengths = [lines for text in texts for _, lines in functions(ast.parse(text))]
    assert sum(len(text.splitlines()) < 120 for text in texts) > len(texts) / 2
    assert sum(lines < 10 for lines in lengths) > len(lengths) / 2


def test_only_process_imports_subprocess() -> None:
    found = [name_of(path) for path in PRODUCT if imports_subprocess(ast.parse(path.read_text("utf-8")))]
    assert found == ["gopub/process.py"]


def test_nothing_goes_through_a_shell() -> None:
    assert [name_of(path) for path in PRODUCT if uses_a_shell(ast.parse(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "text",
    ["run(a, shell=True)", "run(a, shell=flag)", "os.system(a)", "asyncio.create_subprocess_shell(a)"],
)
def test_a_shell_is_found(text: str) -> None:
    assert uses_a_shell(ast.parse(text))
    assert not uses_a_shell(ast.parse("run(a, shell=False)"))


def test_a_long_function_and_an_import_are_found() -> None:
    text = "class A:\n def f(self):\n  '''Doc.'''\n" + "  x = 1\n" * 41
    assert dict(functions(ast.parse(text))) == {"A.f": 41}
    assert imports_subprocess(ast.parse("def f():\n from subprocess import run"))
    assert not imports_subprocess(ast.parse("from asyncio import subprocess"))
