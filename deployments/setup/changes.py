"""What a set-up found or did, one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Did = Literal["created", "updated", "removed", "unchanged", "left"]
"""``left``: it is wanted, but what is called so is somebody else's, and stays as it is."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing on the server and what became of it."""

    kind: str
    name: str
    did: Did
    why: str = ""

    def __str__(self) -> str:
        """``created   deployment deploy/deploy``."""
        return f"{self.did:<9} {self.kind} {self.name}{self.why and f': {self.why}'}"


def changed(before: object, after: object) -> Did:
    """What became of a thing that was ``before`` (None: not there) and is ``after`` now."""
    if before is None:
        return "created"
    return "unchanged" if before == after else "updated"
