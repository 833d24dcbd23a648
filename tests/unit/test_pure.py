"""What says of itself that it is pure reaches nothing that touches the world, whatever it imports."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
(RULE,) = (rule for rule in RULES if rule["name"] == "What decides touches nothing")
SAYS = re.compile(r"\bPure[.:]")
TEMPLATES = "a template is filled in by a child process with limits"
BESIDE = "takes a value whose module does more"
REACH = {
    "gopub.build.ldflags": TEMPLATES,
    "gopub.fleet.inventory.connect": TEMPLATES,
    "gopub.usecases.way_back": BESIDE,
    "gopub.views.waiting": BESIDE,
}
"""What imports something that touches the world all the same, and why."""


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("gopub", include_external_packages=True, cache_dir=None)


def touches(module: str) -> set[str]:
    """What of the world a module reaches, over whatever it imports."""
    there = graph()
    outside = set(RULE["forbidden_modules"]) & there.modules
    return {name for name in outside if there.chain_exists(importer=module, imported=name)}


def at_once(module: str) -> set[str]:
    return graph().find_modules_directly_imported_by(module) & set(RULE["forbidden_modules"])


def pure() -> list[str]:
    """The modules whose first words say so."""
    files = {path.relative_to(ROOT).with_suffix(""): path for path in (ROOT / "gopub").rglob("*.py")}
    found = {place: ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "" for place, path in files.items()}
    return sorted(".".join(place.parts) for place, text in found.items() if SAYS.search(text))


def test_what_says_that_it_is_pure_is() -> None:
    assert len(pure()) > 30
    assert {name: found for name in pure() if name not in REACH and (found := touches(name))} == {}


def test_what_says_so_and_reaches_further_does_nothing_of_it_itself() -> None:
    assert REACH.keys() - set(pure()) == set()
    assert {name: found for name in REACH if (found := at_once(name))} == {}


def test_what_touches_is_found_wherever_it_is_reached() -> None:
    assert "sqlalchemy" in at_once("gopub.journal.seat")
    assert not at_once("gopub.rollout.bake") - {"asyncio"}
    assert {"sqlalchemy", "time", "socket"} <= touches("gopub.rollout.bake")


def test_the_rule_asks_for_what_is_reached_and_of_all_that_decides() -> None:
    assert not RULE.get("allow_indirect_imports")
    assert {"gopub.judge", "gopub.plan", "gopub.journal.transitions", "gopub.rollout.tables"} <= set(
        RULE["source_modules"]
    )
    assert {"asyncio", "os", "random", "socket", "subprocess", "time"} <= set(RULE["forbidden_modules"])
