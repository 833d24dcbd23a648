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

    A version that was made from a commit without a tag (``0.0.0-TIME-COMMIT``) says nothing about what is in it: it
    is neither older nor newer than any other.
    """
    if _OF_A_COMMIT.fullmatch(version) or _OF_A_COMMIT.fullmatch(than):
        return False
    mine, other = rank(version), rank(than)
    return mine is not None and other is not None and mine < other


def _identifier(part: str) -> Identifier:
    return (False, int(part), "") if part.isdecimal() else (True, 0, part)
