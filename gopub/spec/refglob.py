"""Patterns over the full names of refs: ``refs/tags/v*``, ``refs/heads/release/**``. Pure.

A pattern matches a name as a whole. ``*`` stands for any text without ``/``, ``**`` for any text; nothing else is
special. Only branches and tags can be named: what a fork or a merge request offers (``refs/merge-requests/…``,
``refs/pull/…``) was looked at by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gopub.errors import UsageError
from gopub.spec.stars import glob

EVERY = ("refs/heads/**", "refs/tags/**")
"""Every branch and every tag of the repository itself."""

_PATTERN = re.compile(r"refs/(?:heads|tags)/(?!/)[^\s~^:?\[\\\x00-\x1f\x7f]{1,200}")
_REF = re.compile(r"(?!-)(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\s~^:?*\[\\\x00-\x1f\x7f]{1,200}(?<![./])")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def ref_pattern(text: str) -> str:
    """The pattern, where it is one.

    Raises:
        UsageError: GP957 it names neither branches nor tags.
    """
    if not _PATTERN.fullmatch(text):
        raise UsageError("GP957", f"{text!r} is no pattern of branches or tags",
                         hint='write "refs/tags/v*" or "refs/heads/main"; * does not cross a /, ** does')  # fmt: skip
    return text


def full_ref(text: str) -> str:
    """The full name of one branch or tag.

    Raises:
        UsageError: GP957 it is none.
    """
    if "*" in text or not _PATTERN.fullmatch(text) or not is_ref(text):
        raise UsageError("GP957", f"{text!r} is not the full name of a branch or a tag", hint='write "refs/heads/main"')
    return text


def is_ref(text: str) -> bool:
    """Whether git could call a branch, a tag or a commit so."""
    return _REF.fullmatch(text) is not None


def is_commit(text: str) -> bool:
    """Whether it is a whole commit id: 40 hex digits, 64 in a SHA-256 repository."""
    return _COMMIT.fullmatch(text) is not None


def matches(ref: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns stands for the ref."""
    return any(glob(pattern).matches(ref) for pattern in patterns)
