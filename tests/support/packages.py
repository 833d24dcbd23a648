"""The packages and who imports whom, drawn from the imports into ARCHITECTURE.md.

``python -m tests.support.packages`` draws it anew; a test compares. It reads the sources, so it is not shipped.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOPS = ("deployments", "flows", "tasks", "blocks", "gopub")
BEGIN, END = "<!-- drawn from the imports -->\n", "<!-- end of what is drawn -->\n"
PAGE = ROOT / "ARCHITECTURE.md"

Graph = Mapping[str, frozenset[str]]


def package_of(module: str) -> str:
    """The package that a module is drawn as: below ``gopub`` the second name; empty for what is not ours."""
    top, _, rest = module.partition(".")
    return "" if top not in TOPS else rest.partition(".")[0] if top == "gopub" else top


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a file imports, in functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module in TOPS else (module,)


def from_imports(root: Path = ROOT) -> Graph:
    """Every package with those that it imports."""
    modules = {path.relative_to(root).with_suffix(""): path for top in TOPS for path in (root / top).rglob("*.py")}
    found: dict[str, set[str]] = {}
    for place, path in modules.items():
        if here := package_of(".".join(part for part in place.parts if part != "__init__")):
            there = {package_of(name) for name in imported(ast.parse(path.read_text("utf-8")))}
            found.setdefault(here, set()).update(there - {here, ""})
    return {here: frozenset(there & found.keys()) for here, there in found.items()}


def in_order(graph: Graph) -> list[str]:
    """From the top down, each after all that import it.

    Raises:
        ValueError: some import each other; names them.
    """
    left, order = dict(graph), []
    while left:
        below = frozenset().union(*left.values())
        free = sorted(here for here in left if here not in below)
        if not free:
            raise ValueError(f"these import each other, or are below some that do: {', '.join(sorted(left))}")
        order += free
        left = {here: there for here, there in left.items() if here not in free}
    return order


def below(graph: Graph, here: str) -> frozenset[str]:
    """All that a package reaches."""
    return frozenset().union(*(below(graph, there) | {there} for there in graph[here]))


def reduced(graph: Graph) -> Graph:
    """The arrows that no longer way says already."""
    return {
        here: frozenset(one for one in there if not any(one in below(graph, other) for other in there))
        for here, there in graph.items()
    }


def drawn(graph: Graph) -> str:
    """The diagram: an arrow from the one that imports to the one that is imported; none goes up."""
    order = in_order(graph)
    arrows = reduced(graph)
    lines = [f"    {here} --> {_say(arrows[here], order)}" for here in order if arrows[here]]
    return "".join(f"{line}\n" for line in ["```mermaid", "flowchart TD", *lines, "```"])


def _say(names: Iterable[str], order: list[str]) -> str:
    return " & ".join(sorted(names, key=order.index))


def on_page(page: str, graph: Graph) -> str:
    """The page with what is drawn between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{drawn(graph)}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(on_page(PAGE.read_text("utf-8"), from_imports()), "utf-8")
