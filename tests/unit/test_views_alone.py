"""Nothing but views folds the journal for reading: who else does so acts on what it finds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parent.parent.parent
ACT = ("journal", "rollout", "usecases", "views")
"""What writes and folds entries, what drives, what people ask for; and the one that reads."""
FOLDS = frozenset({"fold", "fold_env", "advance", "read_state", "read_env_state", "summary_of"})
EVENTS = "gopub.journal.events"
BELOW = ("health",)
"""Sees no journal, by the order of the packages; what it folds is its own."""


def readers() -> list[Path]:
    """Every module of the product that has no business with folding."""
    core = [
        path
        for path in (ROOT / "gopub").rglob("*.py")
        if path.relative_to(ROOT / "gopub").parts[0] not in (*ACT, *BELOW)
    ]
    return core + [path for name in ("tasks", "flows", "deployments", "blocks") for path in (ROOT / name).rglob("*.py")]


def folds(source: str) -> list[str]:
    """Where a module folds entries, or takes them apart by kind."""
    tree = ast.parse(source)
    return [f"{node.lineno}: {ast.unparse(node).splitlines()[0]}" for node in _folding(tree, _named(tree))]


def _named(tree: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """What the module calls the events' module, and which events it calls by their own name."""
    modules, kinds = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                if f"{node.module}.{one.name}" == EVENTS:
                    modules.add(one.asname or one.name)
                elif node.module == EVENTS:
                    kinds.add(one.asname or one.name)
    return frozenset(modules), frozenset(kinds)


def _folding(
    tree: ast.AST, names: tuple[frozenset[str], frozenset[str]]
) -> Iterator[ast.expr | ast.stmt | ast.pattern]:
    modules, kinds = names
    own = {one.asname or one.name for node in ast.walk(tree) if _of_health(node) for one in node.names}

    def event(node: ast.expr) -> bool:
        by_module = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
        return by_module or (isinstance(node, ast.Name) and node.id in kinds)

    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(names=imported) if FOLDS & {one.name for one in imported} and not _of_health(node):
                yield node
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in FOLDS - own:
                yield node
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Attribute(attr="event"), _]):
                yield node
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kind]) if any(map(event, _parts(kind))):
                yield node
            case ast.MatchClass(cls=kind) if event(kind):
                yield node


def _of_health(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    """Whether this takes something from a package below the journal, whose `fold` is of counts."""
    return isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[:2] in [["gopub", one] for one in BELOW]


def _parts(kind: ast.expr) -> list[ast.expr]:
    return kind.elts if isinstance(kind, ast.Tuple) else [kind]


def test_no_other_package_folds_for_reading() -> None:
    found = {str(path.relative_to(ROOT)): where for path in readers() if (where := folds(path.read_text("utf-8")))}
    assert found == {}, "read it through gopub/views"


def test_control_those_that_may_are_found() -> None:
    inside = {path.parent.name for path in (ROOT / "gopub").rglob("*.py") if folds(path.read_text("utf-8"))}
    assert inside == set(ACT)
    assert len(readers()) > 150


@pytest.mark.parametrize(
    "line",
    [
        "from gopub.journal.reading import read_state",
        "from gopub.journal import reading\nreading.read_env_state(journal, 'a', 'b')",
        "from gopub.journal.state import fold as whole",
        "from gopub.journal import events as ev\nisinstance(one, ev.Opened)",
        "from gopub.journal.events import Closed, Opened\nisinstance(one, (Opened, Closed))",
        "from gopub.journal import events\nmatch one:\n    case events.Judged():\n        pass",
        "isinstance(entry.event, kind)",
    ],
)
def test_control_each_way_to_fold_is_found(line: str) -> None:
    assert folds(line)


def test_control_what_only_names_events_is_none() -> None:
    assert not folds("from gopub.journal import events as ev\nwrite(ev.Asked('abort'))\nisinstance(one, Exception)")
