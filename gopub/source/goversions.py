"""Versions of Go, and which of them a go.mod asks for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

Order: TypeAlias = tuple[int, int, int, int]
"""Major, minor, stage, number: 1.26 comes before 1.26beta1, 1.26rc1, 1.26.0 and 1.26.1, as Go has it."""

_VERSION = re.compile(r"(\d+)\.(\d+)(?:(\.|beta|rc)(\d+))?(?:[-+].*)?", re.ASCII)
_STAGES = {None: 0, "beta": 1, "rc": 2, ".": 3}
_GO = re.compile(r"^go[ \t]+(\d\S*)", re.MULTILINE)
_TOOLCHAIN = re.compile(r"^toolchain[ \t]+go(\d\S*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class GoLines:
    """What go.mod says of Go: the ``go`` line, below which nothing builds it, and the toolchain that it suggests."""

    go: str = ""
    toolchain: str = ""

    @classmethod
    def read(cls, go_mod: str) -> GoLines:
        """Find the lines in the text of a go.mod."""
        go, toolchain = _GO.search(go_mod), _TOOLCHAIN.search(go_mod)
        return cls(go[1] if go else "", toolchain[1] if toolchain else "")

    def least(self, wanted: str | None) -> str:
        """The least version that will do; ``wanted`` is what the spec names, which overrules a suggestion."""
        if wanted is None and self.toolchain and (not self.go or not is_at_least(self.go, self.toolchain)):
            return self.toolchain
        return self.go


def order(version: str) -> Order | None:
    """What a version is sorted by; None for one that is not read, such as a development version."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2]), _STAGES[match[3]], int(match[4] or 0)) if match else None


def is_at_least(version: str, least: str) -> bool:
    """Whether ``version`` is not before ``least``; what cannot be compared will do, for Go itself has the last word."""
    mine, other = order(version), order(least)
    return mine is None or other is None or mine >= other
