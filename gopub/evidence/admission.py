"""Whether a release may enter an environment. Pure: facts and policy in, named checks with reasons out.

 1. ``signature``    release.json carries a good signature
 2. ``signer``       by a key or identity that this environment accepts, or by all of several
 3. ``artifacts``    every target's archive and binary carry a good signature of that key
 4. ``provenance``   a signed provenance covers the digest of every archive and binary
 5. ``builder``      it was made by a builder that is accepted, as a build of gopub's own type
 6. ``source``       from a repository and a ref that are accepted
 7. ``commit``       it names the commit that release.json names
 8. ``sbom``         every target has at least one signed SBOM, and every SBOM is signed
 9. ``target``       there is a build for every kind of host
10. ``archives``     the archives for these hosts are whole, and hold exactly the signed binaries
11. ``environment``  release.json describes this environment
12. ``quarantine``   neither the release nor one of its binaries was taken back here

Where the policy asks for it, or a certificate signed, also:

13. ``certificate``  the statements say of the build what the certificate says
14. ``formats``      every target has a signed SBOM of every format that is asked for
15. ``forbidden``    no package of any SBOM is forbidden
16. ``licences``     every package's licence is known, and none is denied
17. ``fresh``        it was signed not too long ago, by a checked time where there is one, else by the provenance
18. ``roles``        the list of roles holds, and the key that signed holds the role release in it

Where the policy is only to be told (``warn``), a check of :data:`POLICY_ONLY` that fails refuses nothing. The others
always do: without them nobody knows what it is, who made it, or whether hosts can run it.

All checks are made and told, also after the first that fails. A complaint is the text of the error that a
signature check gave; the empty string means that it passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gopub.canon import Json
from gopub.evidence.checks import Check
from gopub.evidence.checks import few as _few
from gopub.evidence.claims import Claims, Clock
from gopub.evidence.contents import NOTHING_ASKED, Age, ContentPolicy, Lists, content_checks, fresh
from gopub.evidence.holders import Holders, holder
from gopub.evidence.origin import ANY_SOURCE, SourcePolicy, shown
from gopub.evidence.provenance import BUILD_TYPE, BUILDER_LOCAL
from gopub.evidence.signers import IdentityRule, disagreement
from gopub.evidence.together import NOBODY_ELSE, Countersigned, Member, Signatory, lacking
from gopub.evidence.together import shown as member_shown
from gopub.spec.stars import glob

_CLOCKS = {Clock.TSA: "a timestamp authority", Clock.LOG: "a transparency log"}
POLICY_ONLY = frozenset({"builder", "source", "sbom", "formats", "forbidden", "licences", "fresh"})
"""What a policy alone asks for, and may ask for as a warning."""


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A target's digests (hex), and what was found wrong with its signatures and SBOMs, by name."""

    target: str
    archive: str
    binary: str
    signatures: Mapping[str, str]
    sboms: Mapping[str, str]
    packages: Lists = field(default_factory=dict)
    """By format, out of the SBOMs that nothing was found wrong with."""


@dataclass(frozen=True, slots=True)
class ProvenanceFacts:
    """What the provenance says, once its signature was checked."""

    complaint: str = ""
    subjects: frozenset[str] = frozenset()
    commit: str = ""
    builder: str = ""
    build_type: str = ""
    repository: str = ""
    ref: str = ""
    finished: float | None = None
    """When the build ended, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class AdmissionFacts:
    """What is known about a release that wants to enter ``env``; ``signer`` is the key's fingerprint."""

    app: str
    version: str
    release_id: str
    commit: str
    env: str
    manifest: str
    signer: str
    targets: tuple[TargetFacts, ...]
    provenance: ProvenanceFacts
    environments: tuple[str, ...]
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Digest of a release or binary to the reason why it was taken back in this environment."""
    archives: tuple[str, ...] = ()
    """What was found wrong with the archives that were read."""
    claims: Claims | None = None
    """What the certificate says that signed it; None: a key did."""
    now: float = 0.0
    """What time it is, seconds since the epoch."""
    unchecked: tuple[str, ...] = ()
    """What the signature of release.json has beside it that nobody could check."""
    countersigned: Countersigned = NOBODY_ELSE
    """Who else signed release.json; looked for where the policy asks for several."""


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """What an environment asks for: keys by fingerprint, builders by id, sources, targets that its hosts need."""

    accepted_keys: tuple[str, ...]
    builders: tuple[str, ...] = (BUILDER_LOCAL,)
    targets: tuple[str, ...] = ()
    require_sbom: bool = True
    sources: SourcePolicy = ANY_SOURCE
    identities: tuple[IdentityRule, ...] = ()
    """Whose certificates are accepted beside the keys; ``builders`` may be patterns as well."""
    together: tuple[tuple[Member, ...], ...] = ()
    """Those of whom each must have signed, where one of the groups is enough; beside the keys and identities alone."""
    contents: ContentPolicy = NOTHING_ASKED
    fresh: float | None = None
    """Seconds."""
    warn: bool = False
    level: int = 1
    """The SLSA build level that the builders are trusted with."""
    roles: Holders | None = None
    """Which keys may sign at all, where the root's list is known."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision: accepted when no check refuses; ``reasons`` are those of the checks that do."""

    release_id: str
    env: str
    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        """Whether the release may enter."""
        return not any(check.refuses for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not; empty when it may."""
        return tuple(f"{check.name}: {check.reason}" for check in self.checks if check.refuses)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What did not pass and is only told."""
        return tuple(f"{check.name}: {check.reason}" for check in self.checks if check.warned)

    def to_json(self) -> dict[str, Json]:
        """As it stands in the journal."""
        checks: list[Json] = [check.to_json() for check in self.checks]
        return {"release": self.release_id, "env": self.env, "accepted": self.accepted, "checks": checks}


def admit(facts: AdmissionFacts, policy: AdmissionPolicy) -> Admission:
    """Decide; the numbers are those of the module's list."""
    checks = (*_always(facts, policy), *_asked(facts, policy))
    told = (replace(one, warned=policy.warn and not one.passed and one.name in POLICY_ONLY) for one in checks)
    return Admission(facts.release_id, facts.env, tuple(told))


def _always(facts: AdmissionFacts, policy: AdmissionPolicy) -> tuple[Check, ...]:
    return (
        _check("signature", facts.manifest, "release.json is signed"),  # 1
        _signer(facts, policy),  # 2
        _check("artifacts", _bad_signatures(facts), "every archive and binary is signed"),  # 3
        _check("provenance", _provenance(facts), "the provenance covers every archive and binary"),  # 4
        _check("builder", _builder(facts, policy), f"built by {facts.provenance.builder}"),  # 5
        _source(facts, policy),  # 6
        _check("commit", _commit(facts), f"built from commit {facts.commit[:12]}"),  # 7
        _check("sbom", _sboms(facts, policy), "every SBOM is signed"),  # 8
        _check("target", _targets(facts, policy), "there is a build for every kind of host"),  # 9
        _check("archives", _few(facts.archives), "every archive for these hosts holds exactly the signed binary"),
        _check("environment", _environment(facts), f"release.json describes {facts.env}"),  # 11
        _check("quarantine", _quarantine(facts), f"never taken back in {facts.env}"),  # 12
    )


def _asked(facts: AdmissionFacts, policy: AdmissionPolicy) -> tuple[Check, ...]:
    made = []
    if facts.claims is not None:
        said = facts.provenance
        wrong = disagreement(facts.claims, said.repository, said.ref, facts.commit)
        made.append(_check("certificate", wrong, "its certificate and its statements agree"))
    made += content_checks(policy.contents, {one.target: one.packages for one in facts.targets})
    if policy.fresh is not None:
        made.append(fresh(policy.fresh, _age(facts)))
    if policy.roles is not None:
        made.append(holder(policy.roles, facts.signer if facts.claims is None else None, facts.now))
    return tuple(made)


def _age(facts: AdmissionFacts) -> Age:
    if facts.claims is not None:
        return Age(
            facts.claims.first.timestamp(), _CLOCKS[min(facts.claims.times, key=lambda one: one.at).told_by], facts.now
        )
    return Age(facts.provenance.finished, "the provenance, which no clock but the builder's vouches for", facts.now)


def _check(name: str, complaint: str, otherwise: str) -> Check:
    return Check(name, not complaint, complaint or otherwise)


def _signer(facts: AdmissionFacts, policy: AdmissionPolicy) -> Check:
    if not policy.accepted_keys and not policy.identities and not policy.together:
        return Check("signer", passed=False, reason=f"{facts.env or 'nobody'} accepts no key at all")
    alone = _alone(facts, policy)
    if alone.passed or not policy.together:
        return alone
    return _together(facts, policy, alone.reason if policy.accepted_keys or policy.identities else "")


def _together(facts: AdmissionFacts, policy: AdmissionPolicy, otherwise: str) -> Check:
    first = Signatory(facts.signer, facts.claims)
    known = policy.roles
    others = [
        one for one in facts.countersigned.by if known is None or one.claims is not None or one.signer in known.release
    ]
    missing = [lacking(group, first, others) for group in policy.together]
    if () in missing:
        group = policy.together[missing.index(())]
        return Check("signer", passed=True, reason=f"signed by all of {' and '.join(map(member_shown, group))}")
    fewest = min(missing, key=len)
    told = [f"not signed by {' and '.join(fewest)} as well", otherwise, *facts.countersigned.wrong]
    return Check("signer", passed=False, reason=_few(one for one in told if one))


def _alone(facts: AdmissionFacts, policy: AdmissionPolicy) -> Check:
    if facts.claims is not None:
        return _certified(facts.claims, policy)
    accepted = facts.signer in policy.accepted_keys
    verb = "is" if accepted else "is not"
    return Check(
        "signer",
        accepted,
        f"key {facts.signer[:16] or 'unknown'} {verb} accepted{f' in {facts.env}' if facts.env else ''}"
        + "".join(f"; its {what} was not checked" for what in facts.unchecked),
    )


def _certified(claims: Claims, policy: AdmissionPolicy) -> Check:
    misfits = [rule.misfits(claims) for rule in policy.identities]
    if "" in misfits:
        rule = policy.identities[misfits.index("")]
        return Check("signer", passed=True, reason=f"{claims.signer[:200]} is accepted as {rule.identity}")
    return Check(
        "signer", passed=False, reason=_few(misfits) or "only keys are accepted here, and a certificate signed"
    )


def _bad_signatures(facts: AdmissionFacts) -> str:
    missing = [
        f"{target.target}: no signature of the {what}"
        for target in facts.targets
        for what in ("archive", "binary")
        if what not in target.signatures
    ]
    wrong = [
        f"{target.target} {what}: {complaint}"
        for target in facts.targets
        for what, complaint in sorted(target.signatures.items())
        if complaint
    ]
    return _few([*missing, *wrong])


def _provenance(facts: AdmissionFacts) -> str:
    if facts.provenance.complaint:
        return facts.provenance.complaint
    if not facts.targets:
        return "the release has no targets"
    return _few(
        f"the {what} of {target.target} is not among its subjects"
        for target in facts.targets
        for what, digest in (("archive", target.archive), ("binary", target.binary))
        if digest not in facts.provenance.subjects
    )


def _builder(facts: AdmissionFacts, policy: AdmissionPolicy) -> str:
    said = facts.provenance
    if not said.builder.isprintable() or not any(glob(one).matches(said.builder) for one in policy.builders):
        return f"builder {shown(said.builder) if said.builder else 'unknown'} is not accepted"
    if said.build_type != BUILD_TYPE:
        return f"build type {shown(said.build_type) if said.build_type else 'unknown'} is not gopub's"
    return ""


def _source(facts: AdmissionFacts, policy: AdmissionPolicy) -> Check:
    said = facts.provenance
    if said.complaint:
        return Check("source", passed=False, reason="there is no provenance that says where it was built from")
    repository, ref = said.repository, said.ref
    if facts.claims is not None:  # its authority knows; whoever builds may state what they like
        repository, ref = facts.claims.build.source_repository_uri, facts.claims.build.source_repository_ref
    return _check("source", policy.sources.complaint(repository, ref), policy.sources.says(repository, ref))


def _commit(facts: AdmissionFacts) -> str:
    built = facts.provenance.commit
    return (
        ""
        if built and built == facts.commit
        else (f"release.json says {facts.commit[:12]}, the provenance {built[:12] or 'nothing'}")
    )


def _sboms(facts: AdmissionFacts, policy: AdmissionPolicy) -> str:
    missing = [f"{target.target} has no SBOM" for target in facts.targets if not target.sboms]
    wrong = [
        f"{target.target} {name}: {complaint}"
        for target in facts.targets
        for name, complaint in sorted(target.sboms.items())
        if complaint
    ]
    return _few([*(missing if policy.require_sbom else []), *wrong])


def _targets(facts: AdmissionFacts, policy: AdmissionPolicy) -> str:
    lacking = sorted(set(policy.targets) - {target.target for target in facts.targets})
    return f"hosts need {', '.join(lacking)}, which was not built" if lacking else ""


def _environment(facts: AdmissionFacts) -> str:
    known = ", ".join(facts.environments) or "none"
    return "" if facts.env in facts.environments else f"release.json does not describe {facts.env} (only {known})"


def _quarantine(facts: AdmissionFacts) -> str:
    digests = (facts.release_id, *(target.binary for target in facts.targets))
    return _few(
        f"{digest[:12]} was taken back: {facts.quarantined[digest]}"
        for digest in digests
        if digest in facts.quarantined
    )
