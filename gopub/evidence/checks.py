"""One question of admission, its answer, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gopub.canon import Json


@dataclass(frozen=True, slots=True)
class Check:
    """``warned``: it did not pass, and the policy says that this is only told."""

    name: str
    passed: bool
    reason: str
    warned: bool = False

    @property
    def refuses(self) -> bool:
        """Whether it keeps a release out."""
        return not self.passed and not self.warned

    @property
    def word(self) -> str:
        """How it ended, in four characters."""
        return "ok  " if self.passed else "warn" if self.warned else "FAIL"

    def to_json(self) -> dict[str, Json]:
        """As it stands in the journal, and in ``--json``."""
        said: dict[str, Json] = {"name": self.name, "passed": self.passed, "reason": self.reason}
        return {**said, "warned": True} if self.warned else said


def few(complaints: Iterable[str]) -> str:
    """The first three, and how many more there are."""
    found = list(complaints)
    return "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
