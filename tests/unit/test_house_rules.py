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


LEFT = {
    "tests/e2e/story_driver.py": {"journal"},
    "tests/flows/memory.py": {"open_run", "already_there", "cargo_for", "process_health"},
}
"""Programs that a test starts, and a worker: in processes of their own what is outside is replaced at these places."""


class Replaced(NamedTuple):
    test: str
    module: str
    name: str


@cache
def file_of(module: str) -> Path | None:
    place = ROOT / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def imported(tree: ast.Module) -> dict[str, str]:
    """The names that a file imports, each with its dotted place."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in nodes for alias in node.names}


@cache
def imports_of(module: str) -> dict[str, str]:
    path = file_of(module)
    return imported(ast.parse(path.read_text("utf-8"))) if path else {}


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
    head, _, rest = name.partition(".")
    within = imports_of(module).get(head, "")
    return split(f"{within}.{rest}") if rest and file_of(within) else (module, name)


def named(node: ast.AST) -> Iterator[str]:
    """What a statement puts something else in the place of: by ``setattr`` of whomever, by ``patch``, or by ``=``."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"setattr", "patch", "object"}:
        words = [ast.unparse(one).strip("'\"") for one in node.args[:2]]
        whole = words and isinstance(node.args[0], ast.Constant)
        yield from words[:1] if whole else [".".join(words)] if len(words) == 2 else []
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            each = target.elts if isinstance(target, ast.Tuple) else [target]
            yield from (ast.unparse(one) for one in each if isinstance(one, ast.Attribute))


def replaced(tree: ast.Module) -> Iterator[Replaced]:
    """Everything of ours that is replaced in a file of tests, and in which function."""
    known = imported(tree)
    for outer in tree.body:
        for node in ast.walk(outer):
            for whole in named(node):
                head, _, rest = whole.partition(".")
                module, name = split(f"{known.get(head, head)}.{rest}")
                if module.partition(".")[0] in OURS:
                    yield Replaced(getattr(outer, "name", ""), module, name)


@cache
def by_file() -> dict[str, list[Replaced]]:
    files = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "tests").rglob("*.py"))}
    return {name: list(replaced(ast.parse(path.read_text("utf-8")))) for name, path in files.items()}


def functions_among(found: list[Replaced]) -> set[str]:
    """The names of those that are functions of ours."""
    return {one.name for one in found if one.name in functions_in(one.module)}


def of_what_decides(found: list[Replaced]) -> list[Replaced]:
    """Those by which a test would not test what decides; a control may take a check away to show that it counts."""
    pure = re.compile("|".join(rf"{re.escape(name)}(?:\..*)?" for name in PURE))
    return [one for one in found if pure.fullmatch(one.module) and not one.test.startswith("test_control")]


def test_nothing_that_decides_is_replaced() -> None:
    assert of_what_decides([one for found in by_file().values() for one in found]) == []


def test_no_function_of_ours_is_replaced() -> None:
    found = {file: names for file, all_of_it in by_file().items() if (names := functions_among(all_of_it))}
    assert found == LEFT


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
    assert functions_among(found) == {"_few", "process_health"}


@pytest.mark.parametrize(
    "line",
    [
        "monkeypatch.setattr(hosts, 'process_health', None)",
        "monkeypatch.setattr('gopub.rollout.hosts.process_health', None)",
        "monkeypatch.setattr('gopub.rollout.bake.hosts.process_health', None)",
        "setattr(hosts, 'process_health', None)",
        "mock.patch('gopub.rollout.hosts.process_health')",
        "mock.patch.object(hosts, 'process_health')",
        "hosts.REACH, hosts.process_health = 1, None",
        "boxes.start.process_health = boxes.marks.tag_runs = None",
    ],
)
def test_a_function_that_is_replaced_is_found_however_it_is(line: str) -> None:
    text = "from gopub.rollout import hosts\nfrom tasks import rollout as boxes\n"
    for where in (
        f"def test_a(monkeypatch):\n    {line}\n",
        f"{line}\n",
        f"class A:\n    def a(self):\n        {line}\n",
    ):
        assert functions_among(list(replaced(ast.parse(text + where)))) & {"process_health", "tag_runs"}
    assert functions_among(list(replaced(ast.parse(f"{text}hosts.REACH = 1\nhere.process_health = None\n")))) == set()
