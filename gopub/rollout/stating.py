"""An admission, stated: signed with the admission key, kept beside the release, and given back for the journal.

The store comes first. What the journal says was stated is there for whoever looks; a driver that dies in between leaves
a statement that is true, and whoever goes on checks anew and makes another one beside it. Where the store does not take
it nothing is admitted: the rollout ends before a host was touched.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gopub.canon import sha256
from gopub.errors import GopubError, RefusedError
from gopub.evidence.frame import seconds_of
from gopub.evidence.stating import serial_of, summaries, unfit
from gopub.evidence.summary import SignedSummary, read_summary, sign_summary
from gopub.journal.stated import Stated
from gopub.store.keys import admission_key
from gopub.units import say_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gopub.evidence.keys import PublicKey, Signer
    from gopub.fleet.facts import HostFacts
    from gopub.release.admitting import Considered
    from gopub.store.protocol import ArtifactStore
    from gopub.wiring.ports import Ports


SIGNS_WITHIN = 60.0
"""Seconds that whoever signs has for one answer."""
_Answer = TypeVar("_Answer")


async def state(
    ports: Ports, considered: Considered, targets: tuple[str, ...], *, epoch: int, limit: float = SIGNS_WITHIN
) -> tuple[Stated, ...]:
    """State that the release was admitted, for hosts of these kinds, under a seat; every check must have passed.

    Raises:
        RefusedError: GP354 the key may not sign admissions here; GP301 it is open to others.
        GopubError: GP300, GP142 it cannot be used, or does not answer; GP355 the store does not take the statement.
    """
    signer = await _fit(ports, considered, limit)
    lasts = ports.environment.admit.statement.lasts
    made = summaries(considered.facts, considered.policy, targets,
                     now=ports.clock.now(), lasts=lasts, serial=serial_of(epoch))  # fmt: skip
    signed = [await _answered(partial(sign_summary, signer, one), limit) for one in made]
    return tuple([await _kept(ports.store, one, signer.public) for one in signed])


def misfit(key: PublicKey, considered: Considered) -> RefusedError | None:
    """The refusal of a key that may not sign admissions of this release here; None where it may."""
    hint = "name another in admit.statement.key; gopub keys make makes one for each role"
    wrong = unfit(key, considered.facts, considered.policy)
    return RefusedError("GP354", wrong, hint=hint) if wrong else None


def unstatable(warnings: Iterable[str], facts: Mapping[str, HostFacts]) -> RefusedError | None:
    """The refusal of a release of which nothing can be stated, where hosts ask for that; None where it may enter."""
    enrolled = [name for name, fact in facts.items() if fact.enrolled]
    told = "; ".join(warnings)
    if not told or not enrolled:
        return None
    some = f"{', '.join(enrolled[:3])}{' and others' if len(enrolled) > 3 else ''}"
    wrong = f"nothing can be stated of a release that breaks the policy ({told}), and enrolled hosts ask for it: {some}"
    return RefusedError("GP499", wrong, hint="mend what it breaks; mode: warn is for hosts that are not enrolled")


def over(statements: Iterable[Stated], now: float) -> bool:
    """Whether one of them has expired by ``now``."""
    return any(now >= (seconds_of(one.expires) or 0.0) for one in statements)


def carried(statements: Iterable[Stated], target: str) -> Mapping[str, str]:
    """What was stated for hosts of that kind, as an order brings it; nothing where nothing was.

    It is the journal's: whoever goes on with a rollout brings what was stated when it entered.
    """
    one = next((one for one in statements if one.target == target), None)
    return read_summary(one.text.encode()).carried(one.key) if one else {}


async def _fit(ports: Ports, considered: Considered, limit: float) -> Signer:
    signer = await _answered(ports.admission, limit)
    if wrong := misfit(signer.public, considered):
        raise wrong
    return signer


async def _answered(work: Callable[[], _Answer], limit: float) -> _Answer:
    try:
        return await asyncio.wait_for(asyncio.to_thread(work), limit)
    except TimeoutError:
        raise GopubError("GP300", f"whoever signs admissions did not answer within {say_seconds(limit)}",
                         hint="look after the connection that admit.statement.key names") from None  # fmt: skip


async def _kept(store: ArtifactStore, signed: SignedSummary, key: PublicKey) -> Stated:
    said, data = signed.summary, signed.text.encode()
    digest = sha256(data)
    place = admission_key(said.release, said.env, said.target, said.verified, digest)
    try:
        await store.put(place, data, digest=digest)
    except GopubError as error:
        raise GopubError(
            "GP355",
            f"the admission into {said.env} cannot be kept beside the release: {error.code} {error.problem}",
            hint="whoever rolls out must be allowed to write releases/*/admissions/ in the store",
        ) from error
    return Stated(said.target, said.expires, said.level, place, signed.text, key.fingerprint)
