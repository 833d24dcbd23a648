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
from gopub.evidence.roles import Role, lists_beside
from gopub.evidence.stating import serial_of, summaries, unfit
from gopub.evidence.summary import SignedSummary, read_summary, sign_summary
from gopub.journal.stated import Stated
from gopub.store.keys import admission_key
from gopub.units import say_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gopub.evidence.keys import PublicKey, Signer
    from gopub.evidence.roles import Roles
    from gopub.fleet.facts import HostFacts
    from gopub.fleet.protocol import FleetConnection
    from gopub.release.admitting import Considered
    from gopub.store.protocol import ArtifactStore
    from gopub.wiring.ports import Ports


SIGNS_WITHIN = 60.0
"""Seconds that whoever signs has for one answer."""
_Answer = TypeVar("_Answer")


async def state(
    ports: Ports,
    considered: Considered,
    targets: tuple[str, ...],
    *,
    epoch: int,
    facts: Mapping[str, HostFacts] | None = None,
    limit: float = SIGNS_WITHIN,
) -> tuple[Stated, ...]:
    """State that the release was admitted, for hosts of these kinds, under a seat; every check must have passed.

    ``facts`` are the hosts that will be asked to believe it.

    Raises:
        RefusedError: GP354 the key may not sign admissions here, or hosts do not believe it; GP301 it is open.
        GopubError: GP300, GP142 it cannot be used, or does not answer; GP355 the store does not take the statement.
    """
    signer = await _fit(ports, considered, limit)
    if wrong := unbelieved(signer.public, facts or {}, lists_here(ports.fleet_connection)):
        raise wrong
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


def unbelieved(key: PublicKey, facts: Mapping[str, HostFacts], lists: Iterable[Roles]) -> RefusedError | None:
    """The refusal of a key of which enrolled hosts believe no admission, as far as the lists of roles here tell.

    Asked before anything is stated: each host would refuse it (GP468) only once it is told to stage.
    """
    known = {(one.serial, frozenset(key.fingerprint for key in one.of(Role.CONTROLLER))): one.of(Role.ADMISSION)
             for one in lists}  # fmt: skip
    held = {name: (fact.enrolled.roles, frozenset(fact.enrolled.controllers))
            for name, fact in facts.items() if fact.enrolled}  # fmt: skip
    wrong = [name for name, which in held.items() if key not in known.get(which, (key,))]
    if not wrong:
        return None
    some = f"{', '.join(wrong[:3])}{' and others' if len(wrong) > 3 else ''}"
    return RefusedError(
        "GP354",
        f"{some} believe no admission that key {key.fingerprint[:16]} signs: their list of roles does not name it",
        hint="name the admission key of that list in admit.statement.key; or have roots name this one "
        "(gopub keys make FOLDER) and bring it: gopub host roles",
    )


def lists_here(way: FleetConnection | None) -> tuple[Roles, ...]:
    """The list of roles that the connection of orders names, and those that were; none where they cannot be read."""
    signing = way.signing() if way else None
    if signing is None or signing.roles is None:
        return ()
    try:
        return tuple(one.roles for one in lists_beside(signing.roles))
    except GopubError:
        return ()


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
