"""The journal's newest entry in two words: who keeps them knows whether anything before it was changed since. Pure.

Each entry's hash has that of the entry before it in it, over all streams. So number and hash of one entry stand for all
that was written until then, in its order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """The number and the hash of an entry; that of an empty journal, where nothing is said."""

    seq: int = 0
    hash: str = GENESIS

    def said(self, rollout: str = "") -> str:
        """As an order carries it to a host; empty where there is nothing to remember."""
        if not self.seq:
            return ""
        return f"{self.seq}:{self.hash}" + (f":{rollout}" if rollout else "")


@dataclass(frozen=True, slots=True)
class Chain:
    """What a walk found: the last entry that the chain holds to, the hashes asked for, and where it breaks."""

    last: Head
    hashes: Mapping[int, str] = field(default_factory=dict)
    breaks: str | None = None

    @property
    def entries(self) -> int:
        """How many entries the chain holds."""
        return self.last.seq
