"""Whether a release may enter an environment. Pure: facts and policy in, named checks with reasons out.

 1. ``signature``    release.json carries a good signature
 2. ``signer``       by a key that this environment accepts
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

All checks are made and told, also after the first that fails. A complaint is the text of the error that a
signature check gave; the empty string means that it passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gopub.canon import Json
from gopub.evidence.origin import ANY_SOURCE, SourcePolicy, shown
from gopub.evidence.provenance import BUILD_TYPE, BUILDER_LOCAL


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A target's digests (hex), and what was found wrong with its signatures and SBOMs, by name."""

    target: str
    archive: str
    binary: str
    signatures: Mapping[str, str]
    sboms: Mapping[str, str]


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


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """What an environment asks for: keys by fingerprint, builders by id, sources, targets that its hosts need."""

    accepted_keys: tuple[str, ...]
    builders: tuple[str, ...] = (BUILDER_LOCAL,)
    targets: tuple[str, ...] = ()
    require_sbom: bool = True
    sources: SourcePolicy = ANY_SOURCE


@dataclass(frozen=True, slots=True)
class Check:
    """One question of admission, its answer, and why."""

    name: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision: accepted when every check passed; ``reasons`` are those of the checks that did not."""

    release_id: str
    env: str
    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        """Whether the release may enter."""
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not; empty when it may."""
        return tuple(f"{check.name}: {check.reason}" for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Json]:
        """As it stands in the journal."""
        checks: list[Json] = [{"name": c.name, "passed": c.passed, "reason": c.reason} for c in self.checks]
        return {"release": self.release_id, "env": self.env, "accepted": self.accepted, "checks": checks}


def admit(facts: AdmissionFacts, policy: AdmissionPolicy) -> Admission:
    """Decide; the numbers are those of the module's list."""
    return Admission(
        facts.release_id,
        facts.env,
        (
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
        ),
    )


def _check(name: str, complaint: str, otherwise: str) -> Check:
    return Check(name, not complaint, complaint or otherwise)


def _signer(facts: AdmissionFacts, policy: AdmissionPolicy) -> Check:
    if not policy.accepted_keys:
        return Check("signer", passed=False, reason=f"{facts.env or 'nobody'} accepts no key at all")
    accepted = facts.signer in policy.accepted_keys
    verb = "is" if accepted else "is not"
    return Check(
        "signer",
        accepted,
        f"key {facts.signer[:16] or 'unknown'} {verb} accepted{f' in {facts.env}' if facts.env else ''}",
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
    if said.builder not in policy.builders:
        return f"builder {shown(said.builder) if said.builder else 'unknown'} is not accepted"
    if said.build_type != BUILD_TYPE:
        return f"build type {shown(said.build_type) if said.build_type else 'unknown'} is not gopub's"
    return ""


def _source(facts: AdmissionFacts, policy: AdmissionPolicy) -> Check:
    said = facts.provenance
    if said.complaint:
        return Check("source", passed=False, reason="there is no provenance that says where it was built from")
    complaint = policy.sources.complaint(said.repository, said.ref)
    return _check("source", complaint, policy.sources.says(said.repository, said.ref))


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


def _few(complaints: Iterable[str]) -> str:
    found = list(complaints)
    return "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
