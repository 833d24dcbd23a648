"""What a host remembers of the journal, held against the journal: whether its past is still the one that was. Pure.

A host keeps number and hash of the journal's newest entry with each order. Where the journal's own chain holds and has
the same hash at that number, nothing before it was changed, put in or taken away since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gopub.canon import Json
from gopub.journal.heads import Chain

_WORDS = 7


@dataclass(frozen=True, slots=True)
class Remembered:
    """One line of a host's memory; ``at`` is by its clock, ``key`` the beginning of the fingerprint that signed."""

    at: str
    seq: int
    hash: str
    epoch: int
    verb: str
    key: str = ""
    rollout: str = ""

    @property
    def says(self) -> str:
        """For people: ``entry 44 as 0f3c… since 2026-11-30T21:40:00Z (switch of rollout hello-prod-2-0a1b2c)``."""
        of = f" of rollout {self.rollout}" if self.rollout else ""
        return f"entry {self.seq} as {self.hash[:12]} since {self.at} ({self.verb}{of})"

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {
            "at": self.at,
            "seq": self.seq,
            "hash": self.hash,
            "epoch": self.epoch,
            "verb": self.verb,
            "key": self.key or None,
            "rollout": self.rollout or None,
        }


def read_remembered(values: Mapping[str, str]) -> tuple[Remembered, ...]:
    """The values of a host's record of the verb ``heads``, the oldest first; what is no such line is passed over."""
    numbered = {int(key[5:]): text for key, text in values.items() if key.startswith("head.") and key[5:].isdecimal()}
    lines = (_line(numbered[number].split(" ")) for number in sorted(numbered))
    return tuple(line for line in lines if line is not None)


def _line(words: Sequence[str]) -> Remembered | None:
    if len(words) != _WORDS or not (words[1].isdecimal() and words[3].isdecimal()):
        return None
    at, seq, said, epoch, verb, key, rollout = ("" if word == "-" else word for word in words)
    return Remembered(at, int(seq), said, int(epoch), verb, key, rollout)


@dataclass(frozen=True, slots=True)
class Compared:
    """One host's memory against the journal.

    In the order in which the host was told: ``first`` is the first that does not agree, and ``now`` the hash that the
    journal has there, empty where it has no such entry any more; ``same`` is the last before it, ``again`` the first
    after it that agrees. ``differing`` counts all that do not agree, ``left_out`` what was older than was asked for.
    """

    lines: int
    same: Remembered | None = None
    first: Remembered | None = None
    now: str = ""
    again: Remembered | None = None
    differing: int = 0
    left_out: int = 0

    @property
    def differs(self) -> bool:
        """Whether the journal's past is another one than the host was told of."""
        return self.first is not None

    @property
    def newest(self) -> int:
        """The newest entry that it remembers as the journal has it; 0 where there is none."""
        return self.same.seq if self.same and not self.differs else 0

    @property
    def says(self) -> str:
        """For people: what it remembers, what the journal has instead, and what that can be."""
        if self.first is None:
            return f"the same until {self.same.says}" if self.same else "remembers nothing of it"
        has = f"the journal has {self.now[:12]} there" if self.now else "the journal has no such entry"
        told = [f"remembers {self.first.says}; {has}"]
        if self.same:
            told.append(f"the same until entry {self.same.seq}, known since {self.same.at}")
        if self.again:
            told.append(f"the journal as it is now is known here since {self.again.at}")
        return f"{'; '.join(told)}: {self._what}"

    @property
    def _what(self) -> str:
        if self.same is None:
            return "another journal, or one written anew from its beginning"
        if not self.now:
            return "entries were cut off at its end, or an older state was restored"
        return "what came after was changed and chained anew, or an older state was restored and went on"

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        lines = {"same": self.same, "first": self.first, "again": self.again}
        counts: dict[str, Json] = {"lines": self.lines, "differing": self.differing, "left_out": self.left_out}
        told: dict[str, Json] = {name: line.to_json() if line else None for name, line in lines.items()}
        return counts | told | {"now": self.now or None}


def compare(remembered: Sequence[Remembered], chain: Chain, since: str = "") -> Compared:
    """Hold a host's memory against the chain; ``chain.hashes`` has those of the entries that are remembered.

    What is older than ``since`` is left out. Of entries behind a break of the chain nothing can be said: that is told
    by itself.
    """
    lines = [line for line in remembered if line.at >= since]
    known = [line for line in lines if line.seq <= chain.entries or chain.breaks is None]
    other = [line for line in known if chain.hashes.get(line.seq) != line.hash]
    at = known.index(other[0]) if other else len(known)
    first = other[0] if other else None
    return Compared(
        len(lines),
        same=known[at - 1] if at else None,
        first=first,
        now=chain.hashes.get(first.seq, "") if first else "",
        again=next((line for line in known[at:] if line not in other), None),
        differing=len(other),
        left_out=len(remembered) - len(lines),
    )


def numbers(remembered: Iterable[Iterable[Remembered]]) -> frozenset[int]:
    """The entries whose hashes are asked of the journal."""
    return frozenset(line.seq for lines in remembered for line in lines)
