"""The diagram of packages is what the imports say, and no arrow goes up."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.packages import BEGIN, END, PAGE, TOPS, drawn, from_imports, imported, in_order, on_page, package_of


def test_the_page_shows_what_the_imports_say() -> None:
    page = PAGE.read_text("utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page == on_page(page, from_imports()), "draw it anew: python -m tests.support.packages"


def test_an_import_that_is_not_drawn_is_found() -> None:
    page, graph = PAGE.read_text("utf-8"), dict(from_imports())
    graph["clock"] = frozenset({"units"})
    assert page != on_page(page, graph)


def test_every_package_has_a_place_in_it() -> None:
    shown = set(drawn(from_imports()).replace("&", " ").split())
    packages = {path.parent.name for path in PAGE.parent.glob("gopub/*/__init__.py")}
    assert {*packages, *TOPS[:-1]} - shown == set()


def rows(page: str) -> list[str]:
    """The packages of the table, from the top down."""
    table = page.partition("| package | what it decides or does |")[2].partition("\n\n")[0]
    return [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.partition(" | ")[0])]


def test_the_table_has_the_layers_in_their_order() -> None:
    rules = tomllib.loads((PAGE.parent / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (rule["layers"] for rule in rules if rule["name"] == "Inside the core, by feature")
    listed = [sorted(layer.split(" | ")) for layer in layers]
    names = rows(PAGE.read_text("utf-8"))
    assert [sorted(names.pop(0) for _ in layer) for layer in listed if len(names) >= len(layer)] == listed
    assert names == []


def test_a_package_in_the_wrong_place_of_the_table_is_found() -> None:
    page = PAGE.read_text("utf-8").replace("| `plan` |", "| `judge` |", 1)
    assert rows(page) != rows(PAGE.read_text("utf-8"))
    assert rows(page).count("judge") == 2


def test_an_arrow_goes_down() -> None:
    order = in_order(graph := from_imports())
    assert [(a, b) for a in graph for b in graph[a] if order.index(a) >= order.index(b)] == []


def test_an_arrow_up_is_refused() -> None:
    graph = dict(from_imports())
    graph["plan"] |= {"journal"}
    with pytest.raises(ValueError, match=r"import each other.*journal.*plan"):
        drawn(graph)


def test_a_longer_way_needs_no_arrow_of_its_own() -> None:
    graph = {"a": frozenset("bcd"), "b": frozenset("c"), "c": frozenset(), "d": frozenset()}
    assert drawn(graph) == "```mermaid\nflowchart TD\n    a --> b & d\n    b --> c\n```\n"


def test_an_import_inside_a_function_counts(tmp_path: Path) -> None:
    source = "import os, gopub.canon.x\nfrom gopub import plan\ndef f():\n    from flows.deploy import deploy\n"
    assert {package_of(name) for name in imported(ast.parse(source))} == {"", "canon", "plan", "flows"}
    for name, text in (("gopub/a/one.py", "def f():\n    import gopub.b\n"), ("gopub/b.py", "import flows\n")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert from_imports(tmp_path) == {"a": frozenset({"b"}), "b": frozenset()}
