"""The docs are true where a program can tell: codes, links, files, commands, and the file that the README shows."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from gopub.cli.lazy import COMMANDS
from gopub.errors import Exit
from gopub.spec.loader import parse_spec

ROOT = Path(__file__).parents[2]
SOURCES = ("gopub", "flows", "tasks", "blocks", "deployments")
ERRORS = ROOT / "docs/errors"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
CODE = re.compile(r"\bGP\d{3}\b")
RAISED = re.compile(r"""["'](GP\d{3})["']|\b(?:fail|fail_unkept|wrong|in_vain|not_taken) (GP\d{3})\b""")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)`")
COMMAND = re.compile(r"(?:(?<=`)|(?<=^)|(?<=\$ ))gopub ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", re.MULTILINE)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def raised_in(folder: str) -> frozenset[str]:
    """Every code that a program in the folder gives; those in docstrings alone do not count."""
    files = [path for kind in ("*.py", "*.sh", "*.lua") for path in (ROOT / folder).rglob(kind)]
    found = RAISED.findall("\n".join(path.read_text("utf-8") for path in files))
    return frozenset(quoted or shell for quoted, shell in found)


def raised() -> frozenset[str]:
    return frozenset().union(*(raised_in(folder) for folder in SOURCES))


def paged() -> set[str]:
    return {path.stem for path in ERRORS.glob("*.md")}


def links_of(text: str) -> list[str]:
    return [link for link in LINK.findall(FENCE.sub("", text)) if "://" not in link and not link.startswith("mailto:")]


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and GitLab make them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken(page: Path, text: str) -> Iterator[str]:
    for link in links_of(text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target.read_text("utf-8"))):
            yield link


def commands_of(text: str) -> set[tuple[str, str]]:
    """``gopub …`` in code, as a command and the word after it."""
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    return set(COMMAND.findall(code))


def subcommands(name: str) -> frozenset[str]:
    module, attribute = COMMANDS[name][0].split(":")
    found = getattr(importlib.import_module(module), attribute)
    return frozenset(get_command(found).commands) if isinstance(found, typer.Typer) else frozenset()  # type: ignore[attr-defined]


def unknown(command: str, word: str) -> bool:
    if command not in COMMANDS:
        return True
    below = subcommands(command)
    return bool(below and word and word not in below)


def test_every_code_has_a_page() -> None:
    assert sorted(raised() - paged()) == []


def test_every_page_has_a_code_that_is_raised() -> None:
    assert sorted(paged() - raised()) == []


def test_a_code_means_one_thing() -> None:
    """What starts flows and the core do not give the same code."""
    assert sorted(raised_in("gopub") & raised_in("deployments")) == []


def test_codes_are_found_where_they_are_raised_only() -> None:
    assert "GP431" in raised()  # in a shell program
    assert "GP708" in raised()  # in Python
    assert not RAISED.search('"""Raises: GP999 never."""')


@pytest.mark.parametrize("page", sorted(ERRORS.glob("*.md")), ids=lambda path: path.stem)
def test_an_error_page_has_its_three_parts(page: Path) -> None:
    heads = re.findall(r"^#+ .*$", page.read_text("utf-8"), re.MULTILINE)
    assert heads[0].startswith(f"# {page.stem} ")
    assert heads[1:] == ["## What", "## Why", "## What to do"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page, page.read_text("utf-8"))) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = (
        "[a](nothing.md) [b](README.md) [c](README.md#no-such-heading) [d](README.md#install) [e](https://x.example/)"
    )
    assert list(broken(ROOT / "README.md", text)) == ["nothing.md", "README.md#no-such-heading"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_codes_in_pages_exist(page: Path) -> None:
    known = raised()
    assert sorted(set(CODE.findall(page.read_text("utf-8"))) - known) == []


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(name: str) -> None:
    text = FENCE.sub("", (ROOT / name).read_text("utf-8"))
    assert [file for file in FILE.findall(text) if not (ROOT / file).is_file()] == []


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    packages = {path.parent.name for path in ROOT.glob("gopub/*/__init__.py")}
    assert sorted(name for name in packages if f"`{name}`" not in text) == []


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_file_on_the_first_screen_loads(name: str) -> None:
    block = re.findall(r"```yaml\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL)[0]
    assert len(block.splitlines()) == 7
    spec = parse_spec(block, "gopub.yaml").spec
    assert (spec.app, spec.build.main) == ("orders", "./cmd/orders")
    assert spec.environments["prod"].health.port == 8080


def test_both_readmes_have_the_same_parts() -> None:
    shapes = []
    for name in ("README.md", "README.zh-CN.md"):
        text = (ROOT / name).read_text("utf-8")
        bare = FENCE.sub("", text)
        shapes.append((
            len(re.findall(r"^## ", bare, re.MULTILINE)),
            len(re.findall(r"^- ", bare, re.MULTILINE)),
            len(FENCE.findall(text)),
            [link for link in links_of(text) if not link.startswith("README")],
        ))  # fmt: skip
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    assert sorted(f"{a} {b}" for a, b in commands_of(page.read_text("utf-8")) if unknown(a, b)) == []


def test_a_command_that_does_not_exist_is_found() -> None:
    found = commands_of(
        "`gopub fly now` and `gopub lab up` and `gopub lab fly`, gopub said\n```\n$ gopub deploy v1\n```"
    )
    assert {pair for pair in found if unknown(*pair)} == {("fly", "now"), ("lab", "fly")}


def test_every_command_and_exit_code_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"`gopub {name}" not in page] == []
    assert [code.value for code in Exit if f"| {code.value} | " not in page] == []


def test_every_page_is_in_the_index() -> None:
    index = {(ROOT / "docs" / link).resolve() for link in links_of((ROOT / "docs/README.md").read_text("utf-8"))}
    pages = [page for page in ROOT.glob("docs/**/*.md") if page.parent != ERRORS and page.name != "README.md"]
    assert [name_of(page) for page in pages if page.resolve() not in index] == []


def test_pages_that_programs_name_exist() -> None:
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    named = {page for path in files for page in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))}
    assert [page for page in sorted(named - {"docs/errors/GPnnn.md"}) if not (ROOT / page).is_file()] == []


def test_pages_name_no_folder_of_somebodys_machine() -> None:
    private = re.compile(r"/(?:root|work|tmp)/|/home/\w")
    assert [name_of(page) for page in PAGES if private.search(page.read_text("utf-8"))] == []
