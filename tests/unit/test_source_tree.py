"""The version that follows from a commit, and the tag that names it."""

from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import UsageError
from gopub.source.tree import SourceTree, choose_tag, full_ref, last_tag, version_of
from gopub.source.versions import is_older


def a_tree(tag: str | None = None) -> SourceTree:
    return SourceTree(Path("x"), "file:///x", "0123456789abcdef" * 2 + "01234567", "main", 1_700_000_000, tag=tag)


@pytest.mark.parametrize(
    ("tags", "ref", "chosen"),
    [
        ([], "main", None),
        (["nightly"], "main", None),
        (["v1.9.0", "v1.10.0"], "main", "v1.10.0"),
        (["v1.0.0", "v1.0.0-rc1"], "HEAD", "v1.0.0"),
        (["v1.0.0", "v1.0.0-rc1"], "v1.0.0-rc1", "v1.0.0-rc1"),
        (["v1.0.0", "v1.0.0-rc1"], "refs/tags/v1.0.0-rc1", "v1.0.0-rc1"),
        (["2026w47", "v1.0.0"], "main", "v1.0.0"),
        (["2024", "v1.2"], "main", "v1.2"),
        (["2024", "v1"], "main", "v1"),
        (["2024", "v1.0.0"], "2024", "2024"),
        (["2024"], "main", "2024"),
        (["services/orders/v2.0.0"], "main", "services/orders/v2.0.0"),
        (["orders/v1.2.3", "billing/v9.0.0"], "main", "orders/v1.2.3"),
        (["orders/v1.2.3", "v2.0.0"], "main", "orders/v1.2.3"),
        (["orders/v1.2.3", "v2.0.0"], "v2.0.0", "v2.0.0"),
        (["orders/2024", "v2.0.0"], "main", "v2.0.0"),
        (["v1.2.3", "billing/v9.0.0"], "main", "v1.2.3"),
        (["billing/v9.0.0"], "main", None),
        (["billing/v9.0.0"], "refs/tags/billing/v9.0.0", None),
        (["x/services/orders/v9.0.0"], "main", None),
    ],
)
def test_the_tag_of_a_commit(tags: list[str], ref: str, chosen: str | None) -> None:
    assert choose_tag(tags, ref, {"orders", "services/orders"}) == chosen


@pytest.mark.parametrize(
    ("ref", "tags", "tag", "recorded"),
    [
        ("v1.0.0", ("v1.0.0",), "v1.0.0", "refs/tags/v1.0.0"),
        ("HEAD", ("v1.0.0",), "v1.0.0", "refs/tags/v1.0.0"),
        ("0123456789ab", ("v1.0.0",), "v1.0.0", "refs/tags/v1.0.0"),
        ("HEAD", (), None, "HEAD"),
        ("main", ("v1.0.0",), "v1.0.0", "main"),
        ("v9", ("v1.0.0",), "v1.0.0", "v9"),
        ("refs/heads/v1.0.0", ("v1.0.0",), "v1.0.0", "refs/heads/v1.0.0"),
    ],
)
def test_a_provenance_tells_a_tag_from_a_branch(
    ref: str, tags: tuple[str, ...], tag: str | None, recorded: str
) -> None:
    assert full_ref(replace(a_tree(), ref=ref, tags=tags, tag=tag)) == recorded


def test_a_wanted_version_wins_and_loses_its_v() -> None:
    assert version_of(a_tree("v1.0.0"), "v2.0.0") == "2.0.0"


def test_without_a_wish_the_tag_gives_the_version() -> None:
    assert version_of(a_tree("examples/hello/v1.4.0")) == "1.4.0"


def test_without_a_tag_time_and_commit_give_the_version() -> None:
    assert version_of(a_tree()) == "0.0.0-20231114221320-0123456789ab"


@pytest.mark.parametrize(
    ("before", "version"),
    [
        (["v1.23.0", "v1.9.0"], "1.23.1-0.20231114221320-0123456789ab"),
        (["v1.24.0-rc.1", "v1.23.0"], "1.24.0-rc.1.0.20231114221320-0123456789ab"),
        (["v1.23.0+build.7"], "1.23.1-0.20231114221320-0123456789ab"),
        (["orders/v2.0.0", "v3.0.0", "billing/v9.0.0"], "2.0.1-0.20231114221320-0123456789ab"),
        (["2026w47", "v1.4", "nightly"], "0.0.0-20231114221320-0123456789ab"),
        (["v1.0.0-" + "x" * 50], "0.0.0-20231114221320-0123456789ab"),
    ],
)
def test_a_commit_without_a_tag_comes_after_the_last_tag_before_it(before: list[str], version: str) -> None:
    tree = replace(a_tree(), last=last_tag(before, {"orders"}))
    assert version_of(tree) == version
    assert not is_older(version, (tree.last or "").rpartition("/")[2])
    assert version_of(replace(tree, tag="v1.4.0")) == "1.4.0", "control: its own tag wins"


@pytest.mark.parametrize("text", ["", "a/b", "../1.0", "1.0 ", "-1.0", "1" * 65, "1.0\n"])
def test_a_version_must_fit_a_file_name(text: str) -> None:
    with pytest.raises(UsageError, match="GP205"):
        version_of(a_tree(), text)
