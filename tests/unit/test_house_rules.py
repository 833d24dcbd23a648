"""Rules of CONTRIBUTING that neither types nor imports hold: one clock, one voice, and what tests may replace."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from gopub.process import run

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
(PURE,) = (rule["source_modules"] for rule in CONTRACTS if rule["name"] == "What decides touches nothing")
OURS = ("gopub", "flows", "tasks", "blocks", "deployments")
MOST_REPLACED = 11
"""So many functions of ours are replaced in tests, mostly at a way out; a new one has to take the place of another."""


async def banned(text: str, file: str) -> list[str]:
    """What ruff finds in a file of that name with that text that only one place may use."""
    argv = [sys.executable, "-m", "ruff", "check", "--quiet", "--select", "TID251", "--output-format", "concise"]
    said = await run([*argv, "--stdin-filename", file, "-"], cwd=ROOT, stdin=text.encode(), check=False)
    return re.findall(r"TID251 `([\w.]+)`", said.text)


@pytest.mark.parametrize("file", ["gopub/rollout/new.py", "gopub/cli/new.py", "tasks/new.py", "deployments/new.py"])
async def test_whoever_asks_the_machine_for_time_is_found(file: str) -> None:
    text = (
        "import asyncio\nimport time\nfrom datetime import UTC, datetime\n"
        "a = time.time(), time.monotonic(), datetime.now(UTC)\nasync def f(): await asyncio.sleep(1)\n"
    )
    found = ["time.time", "time.monotonic", "datetime.datetime.now", "asyncio.sleep"]
    assert await banned(text, file) == found
    assert await banned(text, "gopub/clock.py") == await banned(text, "gopub/lab/new.py") == []
    assert await banned("from gopub.clock import SystemClock\na = SystemClock().now()\n", file) == []


async def test_whoever_prints_is_found() -> None:
    text = "import typer\ntyper.echo('x')\n"
    assert await banned(text, "gopub/cli/new.py") == ["typer.echo"]


def test_what_goes_past_the_clock_or_the_words_says_why() -> None:
    files = [path for top in OURS for path in (ROOT / top).rglob("*.py")]
    lines = [line for path in files for line in path.read_text("utf-8").splitlines() if "noqa: TID251" in line]
    assert len(lines) <= 2
    assert [line for line in lines if not re.search(r"noqa: TID251 - \w+", line)] == []


class Replaced(NamedTuple):
    test: str
    module: str
    name: str


@cache
def file_of(module: str) -> Path | None:
    place = ROOT / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def functions_in(module: str) -> frozenset[str]:
    """The functions of ours that a module defines, or imports by name."""
    path = file_of(module)
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body if path else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OURS:
            names |= {alias.asname or alias.name for alias in node.names if alias.name.islower()}
    return frozenset(names)


def split(dotted: str) -> tuple[str, str]:
    """A path to a thing as its module and its name there."""
    module, name = dotted, ""
    while module and file_of(module) is None:
        module, _, last = module.rpartition(".")
        name = f"{last}.{name}" if name else last
    return module, name


def replaced(tree: ast.Module) -> Iterator[Replaced]:
    """Everything of ours that ``monkeypatch.setattr`` replaces in a file of tests, and in which function."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for outer in [one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]:
        for node in ast.walk(outer):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
                words = [ast.unparse(one).strip("'\"") for one in node.args[:2]]
                first = words[0] if isinstance(node.args[0], ast.Constant) else ".".join(words)
                head, _, rest = first.partition(".")
                module, name = split(f"{known.get(head, head)}.{rest}")
                if module.partition(".")[0] in OURS:
                    yield Replaced(outer.name, module, name)


def all_replaced() -> list[Replaced]:
    files = sorted((ROOT / "tests").rglob("*.py"))
    return [one for path in files for one in replaced(ast.parse(path.read_text("utf-8")))]


def of_what_decides(found: list[Replaced]) -> list[Replaced]:
    """Those by which a test would not test what decides; a control may take a check away to show that it counts."""
    pure = re.compile("|".join(rf"{re.escape(name)}(?:\..*)?" for name in PURE))
    return [one for one in found if pure.fullmatch(one.module) and not one.test.startswith("test_control")]


def test_nothing_that_decides_is_replaced() -> None:
    assert of_what_decides(all_replaced()) == []


def test_functions_of_ours_that_are_replaced_become_no_more() -> None:
    found = [one for one in all_replaced() if one.name in functions_in(one.module)]
    assert len(found) <= MOST_REPLACED


def test_what_is_replaced_is_found() -> None:
    text = (
        "from gopub.judge import decision as d\nfrom gopub.rollout import hosts\n"
        "def test_a(monkeypatch):\n    monkeypatch.setattr(d, '_few', lambda *_: False)\n"
        "    monkeypatch.setattr(hosts, 'process_health', None)\n    monkeypatch.setattr(hosts, 'REACH', 1)\n"
        "def test_control_b(monkeypatch):\n    monkeypatch.setattr('gopub.judge.decision._few', None)\n"
    )
    found = list(replaced(ast.parse(text)))
    assert [one.name for one in found] == ["_few", "process_health", "REACH", "_few"]
    assert of_what_decides(found) == [Replaced("test_a", "gopub.judge.decision", "_few")]
    assert [one.name for one in found if one.name in functions_in(one.module)] == ["_few", "process_health", "_few"]
