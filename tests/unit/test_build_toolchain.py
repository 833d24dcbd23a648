"""Which of the installed Go toolchains builds a release: programs that say they are one stand for them."""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from gopub.build import find_toolchain
from gopub.errors import GopubError
from gopub.source.goversions import GoLines, is_at_least, order

IN_ORDER = ["1.9", "1.20", "1.26", "1.26beta1", "1.26rc1", "1.26rc2", "1.26.0", "1.26.2", "1.26.10", "1.27", "2.0"]


def test_versions_are_sorted_as_go_sorts_them() -> None:
    keys = [order(version) for version in IN_ORDER]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(keys))


def test_a_version_that_is_not_read_is_left_to_go() -> None:
    assert is_at_least("devel", "1.99")
    assert is_at_least("1.26.8", "soon")
    assert is_at_least("1.26.8-custom", "1.26.8")


@pytest.mark.parametrize(
    ("text", "wanted", "least"),
    [
        ("module x\n\ngo 1.24\n", None, "1.24"),
        ("module x\r\n\r\ngo 1.24.1 // a comment\r\ntoolchain go1.26.8\r\n", None, "1.26.8"),
        ("go 1.24\ntoolchain go1.26.8\n", "1.25", "1.24"),
        ("go 1.26.9\ntoolchain go1.26.8\n", None, "1.26.9"),
        ("go 1.24\ntoolchain default\n", None, "1.24"),
        ("module go\n// go 1.99\nrequire example.org/go v1.99.0\n", None, ""),
        ("toolchain go1.26.8\n", None, "1.26.8"),
    ],
)
def test_the_least_version_follows_from_go_mod(text: str, wanted: str | None, least: str) -> None:
    assert GoLines.read(text).least(wanted) == least


def a_go(folder: Path, version: str) -> None:
    (folder / "bin").mkdir(parents=True)
    facts = json.dumps({"GOVERSION": f"go{version}", "GOROOT": str(folder)})
    (folder / "bin/go").write_text(f"#!/bin/sh\necho '{facts}'\n")
    (folder / "bin/go").chmod(0o755)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """1.24.3 comes first (PATH), 1.26.8 second; nothing else is looked at."""
    a_go(tmp_path / "old", "1.24.3")
    a_go(tmp_path / "new", "1.26.8")
    monkeypatch.setenv("PATH", f"{tmp_path}/old/bin:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "new"))
    monkeypatch.setattr("gopub.build.toolchain._STANDARD_PLACE", tmp_path / "none")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "asked", "version"),
    [
        (None, GoLines(), "1.24.3"),
        (None, GoLines("1.24"), "1.24.3"),
        (None, GoLines("1.25"), "1.26.8"),
        (None, GoLines("1.24", "1.24.4"), "1.26.8"),
        ("1.24", GoLines("1.24", "1.24.4"), "1.24.3"),
        ("1.26", GoLines("1.24"), "1.26.8"),
    ],
)
async def test_the_first_that_will_do_is_taken(two: Path, wanted: str | None, asked: GoLines, version: str) -> None:
    assert (await find_toolchain(wanted, cache=two / "cache", asked=asked)).version == version


@pytest.mark.parametrize(
    ("wanted", "asked", "said"),
    [
        (None, GoLines("1.27"), "no Go 1.27 or later here, as go.mod asks for; found 1.24.3 ("),
        ("1.25", GoLines("1.24"), "no Go 1.25 here; found 1.24.3 ("),
        ("1.24", GoLines("1.26.1"), "no Go 1.24 here that is 1.26.1 or later, as go.mod asks for; found 1.24.3 ("),
    ],
)
async def test_where_none_will_do_the_error_says_what_is_needed(
    two: Path, wanted: str | None, asked: GoLines, said: str
) -> None:
    with pytest.raises(GopubError) as caught:
        await find_toolchain(wanted, cache=two / "cache", asked=asked)
    assert (caught.value.code, caught.value.problem[: len(said)]) == ("GP220", said)
