"""Packages that may be in no release: ``github.com/x/y@<1.4.2``, what such a text means, and what it hits. Pure.

A name is that of a package in an SBOM, or its purl without version (``pkg:golang/github.com/x/y``); ``*`` stands for
any text without ``/``, ``**`` for any text, and case does not count. Without a condition every version is meant; of
several conditions, joined by commas, all must hold. Versions are ordered as in semver.org 2.0.0, §11, with or without
a ``v``: a pseudo-version is a pre-release of the tag that it names, ``+incompatible`` does not count.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gopub.errors import UsageError
from gopub.spec.stars import glob

Rank: TypeAlias = tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...]]
"""Numbers; whether it is no pre-release, which comes last; the pre-release: numbers before words."""

LONGEST = 300
_HINT = 'write "github.com/x/y@<1.4.2", "golang.org/x/net@>=0.20.0,<0.23.0", or a name alone for every version'
_NAME = re.compile(r"[A-Za-z0-9@%*][A-Za-z0-9@%*._~+/:-]*")
_VERSION = re.compile(
    r"(?:v|go)?(\d{1,18})(?:\.(\d{1,18}))?(?:\.(\d{1,18}))?(?:(?:-|(?=rc|beta|alpha))([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_CONDITION = re.compile(r"(<=|>=|!=|<|>|=)? *([^\s<>=!]+)")
_GO_EARLY = re.compile(r"(rc|beta|alpha)(\d+)")
_COMPARE: Mapping[str, Callable[[Rank, Rank], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forbidden:
    """One entry of a list: which packages, and in which versions."""

    text: str
    name: str
    conditions: tuple[tuple[str, str], ...] = ()

    def is_about(self, *names: str) -> bool:
        """Whether one of these names of a package is meant."""
        pattern = glob(self.name.casefold())
        return any(pattern.matches(name.casefold()) for name in names if name)

    def hits(self, version: str) -> bool | None:
        """Whether a package of that version is forbidden; None: nobody can say, for no order has such a version."""
        if not self.conditions:
            return True
        found = rank(version)
        if found is None:
            return None
        return all(_COMPARE[sign](found, wanted) for sign, text in self.conditions if (wanted := rank(text)))


def forbidden(text: str) -> Forbidden:
    """What an entry means.

    Raises:
        UsageError: GP330 it is none.
    """
    if len(text) > LONGEST:
        raise UsageError("GP330", f"{len(text)} characters are too many for a package", hint=_HINT)
    at = text.rfind("@")
    name, conditions = (text, "") if at <= 0 or "/" in text[at:] else (text[:at].strip(), text[at + 1 :])
    if not _NAME.fullmatch(name) or not name.strip("*/"):
        raise UsageError("GP330", f"{text!r} names no package", hint=_HINT)
    if at > 0 and name != text and not conditions.strip():
        raise UsageError("GP330", f"{text!r} ends where a version should stand", hint=_HINT)
    asked = tuple(_condition(one.strip(), text) for one in conditions.split(",") if conditions)
    if _excludes_all(asked):
        raise UsageError("GP330", f"{text!r}: no version is all of that", hint=_HINT)
    return Forbidden(text, name, asked)


def _excludes_all(conditions: Sequence[tuple[str, str]]) -> bool:
    """Whether the lowest that they allow lies above the highest: the entry would forbid nothing."""
    ranks = [(sign, found) for sign, text in conditions if (found := rank(text)) is not None]
    low = max(((found, sign == ">") for sign, found in ranks if sign in {">", ">=", "="}), default=None)
    high = min(((found, sign != "<") for sign, found in ranks if sign in {"<", "<=", "="}), default=None)
    if low is None or high is None:
        return False
    alone = low[0] == high[0] and (low[1] or not high[1] or ("!=", low[0]) in ranks)
    return low[0] > high[0] or alone


def _condition(one: str, text: str) -> tuple[str, str]:
    found = _CONDITION.fullmatch(one)
    if found is None or rank(found[2]) is None:
        raise UsageError("GP330", f"{text!r}: {one!r} is no condition on a version", hint=_HINT)
    return found[1] or "=", found[2]


def rank(version: str) -> Rank | None:
    """What a version is sorted by; None where it has none, such as ``(devel)``. Also Go's own: ``go1.26rc1``."""
    found = _VERSION.fullmatch(version) if len(version) <= LONGEST else None
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    parts = _GO_EARLY.sub(r"\1.\2", pre).split(".") if pre else []
    return (int(major), int(minor or 0), int(patch or 0)), not pre, tuple(map(_identifier, parts))


def _identifier(part: str) -> tuple[bool, int, str]:
    is_number = part.isdigit() and len(part) <= LONGEST
    return (False, int(part), "") if is_number else (True, 0, part)
