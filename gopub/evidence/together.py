"""Whether several who must all have signed a release did: each of them by a signature of their own. Pure.

The first to sign is whose signatures all parts of the release have; the others signed the bytes of release.json, which
names every part by its digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gopub.evidence.claims import Claims
from gopub.evidence.signers import IdentityRule

Member: TypeAlias = str | IdentityRule
"""Whom a policy names: a key by its fingerprint, or an identity."""


@dataclass(frozen=True, slots=True)
class Signatory:
    """Somebody whose signature over release.json was checked: one name for them, and what their certificate says."""

    signer: str
    claims: Claims | None = None

    def is_meant(self, by: Member) -> bool:
        """Whether a policy names them there."""
        if isinstance(by, str):
            return self.claims is None and self.signer == by
        return self.claims is not None and not by.misfits(self.claims)


@dataclass(frozen=True, slots=True)
class Countersigned:
    """Who else signed release.json, and why other signatures beside it do not count."""

    by: tuple[Signatory, ...] = ()
    wrong: tuple[str, ...] = ()


NOBODY_ELSE = Countersigned()


def lacking(members: Sequence[Member], first: Signatory, others: Sequence[Signatory]) -> tuple[str, ...]:
    """For whom of them there is no signature of their own; nobody counts for two.

    Whoever signed first has to be one of them: their word stands behind all parts.
    """
    if not any(first.is_meant(one) for one in members):
        return tuple(map(shown, members))
    signed = list({one.signer: one for one in (first, *others)}.values())
    holds: dict[int, int] = {}
    for index in range(len(members)):
        _find(index, members, signed, holds, set())
    return tuple(shown(one) for index, one in enumerate(members) if index not in holds.values())


def shown(member: Member) -> str:
    """Whom a policy names, to people."""
    return f"key {member[:16]}" if isinstance(member, str) else f"{member.identity} of {member.issuer}"


def _find(
    member: int, members: Sequence[Member], signed: Sequence[Signatory], holds: dict[int, int], seen: set[int]
) -> bool:
    """Give a member a signature, where need be one whose member has another: by augmenting paths."""
    for index, one in enumerate(signed):
        if index in seen or not one.is_meant(members[member]):
            continue
        seen.add(index)
        if index not in holds or _find(holds[index], members, signed, holds, seen):
            holds[index] = member
            return True
    return False
