"""What an admission states, of which release and by whom it may be signed; see ``summary`` for the statement.

It says no more than was checked: each (release, environment, target) that this environment's hosts need has a statement
of its own; the level is the one that the policy trusts the builder with, whatever the build says of itself; and where
the policy was only told of a failed check there is none, for "it passed" would not be true.
"""

from __future__ import annotations

from dataclasses import asdict

from gopub.canon import digest_of
from gopub.evidence.admission import AdmissionFacts, AdmissionPolicy
from gopub.evidence.frame import moment
from gopub.evidence.keys import PublicKey
from gopub.evidence.summary import Summary


def policy_digest(policy: AdmissionPolicy) -> str:
    """By which the same policy is known again: over whose keys and names are believed and what else is asked.

    Files are in it by what they hold, so that another key under the same name is another policy. Which kinds of hosts
    there are is not: the statement names its target. Nor is the list of roles, which is signed anew by itself.
    """
    contents = policy.contents
    together = [[one if isinstance(one, str) else asdict(one) for one in group] for group in policy.together]
    return digest_of(
        {
            **({"all": together} if together else {}),
            "keys": sorted(policy.accepted_keys),
            "identities": [asdict(one) for one in policy.identities],
            "builders": sorted(policy.builders),
            "level": policy.level,
            "repositories": sorted(policy.sources.repositories),
            "refs": sorted(policy.sources.refs),
            "sbom": policy.require_sbom,
            "formats": sorted(contents.formats),
            "forbid": sorted(one.text for one in contents.forbid),
            "deny": sorted(contents.deny),
            "fresh": policy.fresh,
            "mode": "warn" if policy.warn else "enforce",
        }
    )


def level_of(policy: AdmissionPolicy) -> str:
    """What the policy trusts the builder with, as SLSA writes it."""
    return f"SLSA_BUILD_LEVEL_{policy.level}"


def serial_of(epoch: int) -> int:
    """The serial of what is admitted under the seat of that epoch.

    Twice the epoch: between it and the next seat's there is room for going back, which a host counts as one more.
    """
    return 2 * epoch


def summaries(
    facts: AdmissionFacts, policy: AdmissionPolicy, targets: tuple[str, ...], *,
    now: float, lasts: float, serial: int | None = None,
) -> tuple[Summary, ...]:  # fmt: skip
    """What is stated of a release that was admitted on hosts of these kinds, at ``now`` for ``lasts`` seconds.

    Raises:
        RefusedError: GP319 a name in it could not travel.
    """
    return tuple(
        Summary(
            app=facts.app,
            env=facts.env,
            target=one.target,
            release=facts.release_id,
            archive=one.archive,
            binary=one.binary,
            policy=policy_digest(policy),
            verified=moment(now),
            expires=moment(now + lasts),
            level=level_of(policy),
            serial=serial,
        )
        for one in facts.targets
        if one.target in targets
    )


def unfit(key: PublicKey, facts: AdmissionFacts, policy: AdmissionPolicy) -> str:
    """Why a key may not sign admissions here; empty where it may.

    A key that signs releases never may: whoever stole it would let in what they made themselves.
    """
    known = key.fingerprint
    if known == facts.signer or known in policy.accepted_keys or any(known in group for group in policy.together):
        return f"key {known[:16]}, which is to sign admissions into {facts.env}, signs releases"
    if policy.roles is not None and known not in policy.roles.admission:
        return f"key {known[:16]} does not hold the role admission in the list of roles {policy.roles.serial}"
    return ""


def differs(summary: Summary, facts: AdmissionFacts) -> str:
    """In what a statement is not about this release in this environment; empty where it is."""
    one = next((one for one in facts.targets if one.target == summary.target), None)
    if one is None:
        return "it is of a target that the release does not have"
    due = (facts.app, facts.env, facts.release_id, one.archive, one.binary)
    said = (summary.app, summary.env, summary.release, summary.archive, summary.binary)
    return "" if said == due else "it is about something else"
