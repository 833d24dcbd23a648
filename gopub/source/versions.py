"""Which of two release versions is the older one: precedence as in semver.org 2.0.0, §11. Pure."""

from __future__ import annotations

import re
from typing import TypeAlias

Identifier: TypeAlias = tuple[bool, int, str]
"""One part of a pre-release: numbers come before words, and are compared as numbers."""
Rank: TypeAlias = tuple[tuple[int, ...], bool, tuple[Identifier, ...]]
"""Numbers; whether it is no pre-release, which comes last; the pre-release."""

_SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)
_OF_A_COMMIT = re.compile(r"0\.0\.0-\d{14}-[0-9a-f]{12}")
_AFTER = re.compile(r"(.+[-.])0\.\d{14}-[0-9a-f]{12}", re.ASCII)
_V = re.compile(r"v\d", re.ASCII)


def rank(version: str) -> Rank | None:
    """What a version is sorted by; None where it is no semantic version. Build metadata does not count."""
    match = _SEMVER.fullmatch(version)
    if match is None:
        return None
    major, minor, patch, pre = match.groups()
    parts = tuple(_identifier(part) for part in pre.split(".")) if pre else ()
    return (int(major), int(minor), int(patch)), not pre, parts


def is_older(version: str, than: str) -> bool:
    """Whether both are semantic versions and ``version`` comes before ``than``.

    A version that was made from a commit with no tag before it (``0.0.0-TIME-COMMIT``) says nothing about what is in
    it: it is neither older nor newer than any other. Of two commits after the same tag neither is older: they may be
    on different branches.
    """
    if _OF_A_COMMIT.fullmatch(version) or _OF_A_COMMIT.fullmatch(than):
        return False
    after, other_after = _AFTER.fullmatch(version), _AFTER.fullmatch(than)
    if after and other_after and after[1] == other_after[1]:
        return False
    mine, other = rank(version), rank(than)
    return mine is not None and other is not None and mine < other


def after(tagged: str, time: str, commit: str) -> str:
    """The version of a commit after a tag, as Go writes it: after that tag, and before every later one.

    ``1.23.0`` gives ``1.23.1-0.TIME-COMMIT``, and ``1.24.0-rc.1`` gives ``1.24.0-rc.1.0.TIME-COMMIT``.
    """
    numbers, dash, pre = tagged.removeprefix("v").partition("+")[0].partition("-")
    if dash:
        return f"{numbers}-{pre}.0.{time}-{commit}"
    major, minor, patch = numbers.split(".")
    return f"{major}.{minor}.{int(patch) + 1}-0.{time}-{commit}"


def without_v(name: str) -> str:
    """The version that a person means who writes it with or without the ``v`` of its tag; no release keeps that."""
    return name.removeprefix("v") if _V.match(name) else name


def _identifier(part: str) -> Identifier:
    return (False, int(part), "") if part.isdecimal() else (True, 0, part)
