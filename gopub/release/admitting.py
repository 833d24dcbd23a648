"""Whether a release in a store may enter an environment: each step looks at what the one before has let through.

 1. sizes           what the store gives is read only as far as it may be large
 2. signature, key  over the raw bytes, by whom the project accepts
 3. parsing         then release.json is read, and must be of the app and version that was asked for
 4. evidence        bundles and SBOMs, by the sizes and digests that were signed; and who else signed release.json
 5. policy          :func:`gopub.evidence.admission.admit`, pure
 6. archives        once the hosts are known: the bytes for their kinds of machine

See :mod:`gopub.wiring.allowed` for who may open a connection afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gopub.evidence.admission import Admission, AdmissionFacts, AdmissionPolicy, admit
from gopub.evidence.verifier import Verifier
from gopub.release.countersigning import countersigned
from gopub.release.loading import load_release
from gopub.release.model import Release, SignedRelease
from gopub.release.verifying import archive_complaints, gather_facts
from gopub.store.protocol import ArtifactStore

_OF_HOSTS = frozenset({"target", "archives"})


@dataclass(frozen=True, slots=True)
class Considered:
    """A signed release, what its evidence says, and what the environment asks for; the hosts are not known yet."""

    signed: SignedRelease
    facts: AdmissionFacts
    policy: AdmissionPolicy

    @property
    def release(self) -> Release:
        """The release."""
        return self.signed.release

    @property
    def admission(self) -> Admission:
        """The decision as far as no host has a say in it: what depends on hosts was not looked at, and is not told."""
        whole = admit(self.facts, self.policy)
        return replace(whole, checks=tuple(check for check in whole.checks if check.name not in _OF_HOSTS))


async def consider(
    store: ArtifactStore,
    app: str,
    name: str,
    *,
    env: str,
    by: Verifier,
    policy: AdmissionPolicy,
    quarantined: Mapping[str, str],
    now: float,
) -> Considered:
    """Steps 1 to 5 for the release of that version or id; ``quarantined`` maps digests to why they were taken back.

    ``by`` believes those whom the policy accepts, and ``now`` is what time it is: a signature may be too old.

    Raises:
        GopubError, UsageError, RefusedError: as :func:`load_release`: nobody can say what it is.
    """
    signed = await load_release(store, app, name, by)
    facts = await gather_facts(store, signed, by, env=env, quarantined=quarantined, now=now)
    if policy.together:
        facts = replace(facts, countersigned=await countersigned(store, signed, by))
    return Considered(signed, facts, policy)


async def decide(store: ArtifactStore, considered: Considered, targets: tuple[str, ...]) -> Admission:
    """Step 6, and the whole decision: for hosts of these kinds.

    Raises:
        GopubError: GP342 the store does not answer.
    """
    wrong = await archive_complaints(store, considered.signed, targets)
    return admit(replace(considered.facts, archives=wrong), replace(considered.policy, targets=targets))
