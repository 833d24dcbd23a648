"""Precedence of versions, against the order that semver.org itself gives."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.clock import SystemClock
from gopub.errors import Exit, RefusedError
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.journal.streams import env_stream
from gopub.plan.model import Outcome
from gopub.source.versions import is_older, without_v
from gopub.usecases.refuse_downgrade import refuse_downgrade

IN_ORDER = (  # https://semver.org/#spec-item-11, and numbers of two digits
    "0.9.10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
)  # fmt: skip
OF_A_COMMIT = "0.0.0-20260102030405-0123456789ab"
SEMVER = st.builds(
    lambda numbers, pre: ".".join(map(str, numbers)) + (f"-{pre}" if pre else ""),
    st.tuples(*[st.integers(0, 12)] * 3),
    st.from_regex(r"(rc|[0-9]|a)(\.([0-9]{1,2}|b))?", fullmatch=True) | st.just(""),
)


@pytest.mark.parametrize(("older", "newer"), tuple(combinations(IN_ORDER, 2)))
def test_the_order_is_that_of_semver(older: str, newer: str) -> None:
    assert is_older(older, newer)
    assert not is_older(newer, older)


@given(SEMVER, SEMVER, SEMVER)
def test_it_is_an_order(a: str, b: str, c: str) -> None:
    assert not (is_older(a, b) and is_older(b, a))
    assert not (is_older(a, b) and is_older(b, c)) or is_older(a, c)


@pytest.mark.parametrize("version", ["1.0.0", "v1.0.0", "1.0.0+build.7", OF_A_COMMIT, "2026w47", "1.0", ""])
def test_what_says_nothing_of_its_place_is_not_older(version: str) -> None:
    assert not is_older(version, "1.0.0")
    assert not is_older("1.0.0", version)


@pytest.mark.parametrize(("version", "stable", "older"), [
    ("1.23.1-0.20260102030405-0123456789ab", "1.23.0", False),
    ("1.22.1-0.20260102030405-0123456789ab", "1.23.0", True),
    ("1.23.0", "1.23.1-0.20260102030405-0123456789ab", True),
    ("1.23.1", "1.23.1-0.20260102030405-0123456789ab", False),
    ("1.23.1-0.20260102030405-0123456789ab", "1.23.1-rc.1", True),
    ("1.24.0-rc.1.0.20260102030405-0123456789ab", "1.24.0-rc.1", False),
    ("1.24.0-rc.1.0.20260102030405-0123456789ab", "1.24.0-rc.2", True),
    ("1.23.1-0.20260102030405-0123456789ab", "1.23.1-0.20270102030405-ba9876543210", False),
    ("1.22.1-0.20280102030405-0123456789ab", "1.23.1-0.20270102030405-ba9876543210", True),
    ("1.23.1-0.20260102030405-0123456789ab", OF_A_COMMIT, False),
])  # fmt: skip
def test_a_commit_after_a_tag_lies_between_that_tag_and_the_next(version: str, stable: str, older: bool) -> None:
    assert is_older(version, stable) is older


@pytest.mark.parametrize(("name", "version"), [
    ("v1.2.3", "1.2.3"), ("1.2.3", "1.2.3"), ("v2", "2"), ("vnext", "vnext"), ("vv1", "vv1"), ("", ""),
])  # fmt: skip
def test_the_v_of_a_tag_is_no_part_of_the_version(name: str, version: str) -> None:
    assert without_v(name) == version


def test_an_older_version_than_the_stable_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    closed = ev.EnvClosed("r", Outcome.PROMOTED, "a" * 64, "1.3.0")
    open_journal(str(tmp_path / "journal.db"), SystemClock()).append(
        env_stream("orders", "prod"), 0, [closed], actor="t"
    )
    for version in ("1.3.0", "1.4.0", OF_A_COMMIT):
        refuse_downgrade("orders", "prod", version)
    refuse_downgrade("orders", "staging", "1.2.0")
    with pytest.raises(RefusedError) as caught:
        refuse_downgrade("orders", "prod", "1.2.0")
    assert (caught.value.code, caught.value.exit) == ("GP730", Exit.REFUSED)
    assert caught.value.problem == "orders 1.2.0 is older than 1.3.0, which is stable in prod"
