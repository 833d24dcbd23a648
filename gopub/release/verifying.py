"""Whether a release in a store is what it says: every digest, every bundle, every subject. Offline.

What a check found wrong is a complaint with a reason; a store that does not answer is an error, not a complaint.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gopub.build.artifact import FileRef
from gopub.build.target import Target
from gopub.build.unpacking import unlike_signed
from gopub.canon import Json, JsonError, canonical, read_json, sha256
from gopub.errors import GopubError, RefusedError
from gopub.evidence.admission import (
    AdmissionFacts,
    AdmissionPolicy,
    ProvenanceFacts,
    TargetFacts,
    admit,
)
from gopub.evidence.checks import Check
from gopub.evidence.packages import Package, packages_of
from gopub.evidence.provenance import PREDICATE_TYPE, build_type_of, builder_of, commit_of, finished_of, source_of
from gopub.evidence.sbom import FORMATS
from gopub.evidence.signers import IdentityRule
from gopub.evidence.statement import subject_digests
from gopub.evidence.verifier import SameSigner, Signed, Verifier
from gopub.release.loading import Stored
from gopub.release.model import Release, SignedRelease, TargetFiles
from gopub.store.protocol import MAX_BUNDLE, MAX_DOCUMENT, MISSING, ArtifactStore, Nowhere, fetch, save

_OF_AN_ENVIRONMENT = frozenset({"archives", "environment", "quarantine", "source", "target"})
_BAD_SIGNATURE = frozenset({"GP310", "GP311", "GP312", "GP316", "GP317"})


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked of a release without an environment; ``files`` are those whose bytes were read."""

    app: str
    version: str
    release_id: str
    signer: str
    checks: tuple[Check, ...]
    files: tuple[FileRef, ...]

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Json]:
        """For ``gopub verify --json``."""
        checks: list[Json] = [check.to_json() for check in self.checks]
        files: list[Json] = [ref.to_json() for ref in self.files]
        return {
            "app": self.app,
            "version": self.version,
            "release": self.release_id,
            "signer": self.signer,
            "accepted": self.accepted,
            "checks": checks,
            "files": files,
        }


async def gather_facts(
    store: ArtifactStore,
    signed: SignedRelease,
    by: Verifier,
    *,
    env: str,
    quarantined: Mapping[str, str] | None = None,
    now: float = 0.0,
) -> AdmissionFacts:
    """What admission needs to know; reads the evidence, not the artifacts themselves.

    ``by`` says whose signatures are believed; which of them are accepted is the policy's to say. All parts of a release
    are signed by whoever signed release.json.
    ``quarantined`` maps digests of releases or binaries to the reason why they were taken back in ``env``.
    """
    release = signed.release
    signer, manifest = _signer(signed, by)
    same = SameSigner(by, signer.signer) if signer else by
    targets, stated = [], []
    for text, files in release.targets.items():
        evidence = await _Evidence.read(store, files)
        targets.append(_target_facts(text, files, evidence, same))
        stated.append(_provenance(files, evidence, same))
    return AdmissionFacts(
        app=release.app,
        version=release.version,
        release_id=signed.release_id,
        commit=release.commit,
        env=env,
        manifest=manifest,
        signer=signer.signer if signer else "",
        targets=tuple(targets),
        provenance=_together(stated),
        environments=tuple(release.environments),
        quarantined=quarantined or {},
        claims=signer.claims if signer else None,
        now=now,
        unchecked=signer.unchecked if signer else (),
    )


async def verify_release(store: ArtifactStore, signed: SignedRelease, by: Verifier) -> VerifyReport:
    """Check a release by whom is believed: the evidence, then the bytes of every file, then what the archives hold."""
    facts = await gather_facts(store, signed, by, env="")
    named = facts.claims
    theirs = (IdentityRule(named.identity, named.issuer, named.trust),) if named else ()
    decided = admit(facts, AdmissionPolicy(accepted_keys=(facts.signer or "nobody",), identities=theirs))
    checks = [check for check in decided.checks if check.name not in _OF_AN_ENVIRONMENT]
    release = signed.release
    # Sizes are believed because somebody signed them: without a signature nothing is read by them.
    wrong = (
        ["not read: release.json is not signed by anybody who is believed"]
        if facts.manifest
        else await _damaged(store, release)
    )
    checks.append(_check("files", wrong, f"all {len(release.files())} files have their digest and size"))
    if not wrong:
        unlike = await archive_complaints(store, signed, release.targets)
        checks.append(_check("archives", unlike, "every archive holds exactly the signed binary"))
    return VerifyReport(release.app, release.version, signed.release_id, facts.signer, tuple(checks), release.files())


async def verify_stored(store: ArtifactStore, stored: Stored, by: Verifier, name: str) -> VerifyReport:
    """The same for what lies in a store: of a release that nobody believed signed nothing is read, as the report says.

    ``name`` is what it was asked for by.

    Raises:
        RefusedError: GP322, GP324 as :meth:`Stored.signed_by`.
    """
    try:
        signed = stored.signed_by(by)
    except RefusedError as error:
        if error.code not in _BAD_SIGNATURE:
            raise
        checks = (
            Check("signature", passed=False, reason=_complaint(error)),
            Check("signer", passed=False, reason="nobody that is known here; nothing of it was read"),
        )
        return VerifyReport(stored.app or "unknown app", name, stored.release_id, "", checks, ())
    return await verify_release(store, signed, by)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The bundles and SBOMs of a target by name, and why those that could not be read are missing."""

    data: Mapping[str, bytes]
    complaints: Mapping[str, str]

    @classmethod
    async def read(cls, store: ArtifactStore, files: TargetFiles) -> _Evidence:
        data: dict[str, bytes] = {}
        complaints: dict[str, str] = {}
        documents = {f"document-{name}": ref for name, ref in files.sboms.items()}
        for name, ref in {**files.evidence, **documents}.items():
            try:
                data[name] = await fetch(store, ref, most=MAX_DOCUMENT if name in documents else MAX_BUNDLE)
            except GopubError as error:
                complaints[name] = _complaint(error)
        return cls(data, complaints)

    def check(self, name: str, verify: Callable[[bytes], object]) -> str:
        """The complaint about one bundle; empty when ``verify`` accepts it."""
        if name not in self.data:
            return self.complaints.get(name, "there is no bundle")
        try:
            verify(self.data[name])
        except RefusedError as error:
            return _complaint(error)
        return ""


def _signer(signed: SignedRelease, by: Verifier) -> tuple[Signed | None, str]:
    try:
        return by.blob(signed.bundle, sha256(signed.manifest)), ""
    except RefusedError as error:
        return None, _complaint(error)


def _target_facts(text: str, files: TargetFiles, evidence: _Evidence, by: Verifier) -> TargetFacts:
    signatures = {
        name: evidence.check(name, partial(by.blob, digest=ref.digest))
        for name, ref in (("archive", files.archive), ("binary", files.binary))
    }
    sboms = {name: _sbom(name, files, evidence, by) for name in files.sboms}
    packages = {name: _packages(name, evidence) for name, complaint in sboms.items() if not complaint}
    return TargetFacts(text, files.archive.digest, files.binary.digest, signatures, sboms, packages)


def _packages(name: str, evidence: _Evidence) -> tuple[Package, ...] | None:
    """What a document lists that somebody who is believed signed."""
    try:
        document = read_json(evidence.data[f"document-{name}"], limit=MAX_DOCUMENT)
    except JsonError:
        return None
    return packages_of(name, document) if isinstance(document, dict) else None


def _sbom(name: str, files: TargetFiles, evidence: _Evidence, by: Verifier) -> str:
    """The attestation must be of the format's type, about archive and binary, and hold exactly the document."""
    if name not in FORMATS:
        return "unknown format"
    said: dict[str, bytes] = {}

    def verify(bundle: bytes) -> None:
        for ref in (files.archive, files.binary):
            content = by.statement(bundle, ref.digest).statement
            if content["predicateType"] != FORMATS[name].predicate:
                raise _wrong_type(FORMATS[name].predicate)
            said["document"] = canonical(content["predicate"])

    complaint = evidence.check(f"sbom-{name}", verify) or evidence.complaints.get(f"document-{name}", "")
    if not complaint and evidence.data[f"document-{name}"] != said["document"]:
        return "the file is not the document that was signed"
    return complaint


def _provenance(files: TargetFiles, evidence: _Evidence, by: Verifier) -> ProvenanceFacts:
    found: list[ProvenanceFacts] = []

    def verify(bundle: bytes) -> None:
        said = by.statement(bundle, files.binary.digest).statement
        if said["predicateType"] != PREDICATE_TYPE:
            raise _wrong_type(PREDICATE_TYPE)
        made = (commit_of(said), builder_of(said), build_type_of(said), *source_of(said))
        found.append(ProvenanceFacts("", subject_digests(said), *made, finished_of(said)))

    complaint = evidence.check("provenance", verify)
    return ProvenanceFacts(complaint=complaint) if complaint else found[0]


def _together(stated: Sequence[ProvenanceFacts]) -> ProvenanceFacts:
    """One provenance for the whole release: the complaints of any target are its own, and all must agree."""
    for one in stated:
        if one.complaint:
            return one
    return ProvenanceFacts(
        complaint="" if stated else "the release has no targets",
        subjects=frozenset().union(*(one.subjects for one in stated)),
        commit=_agreed(one.commit for one in stated),
        builder=_agreed(one.builder for one in stated),
        build_type=_agreed(one.build_type for one in stated),
        repository=_agreed(one.repository for one in stated),
        ref=_agreed(one.ref for one in stated),
        finished=_oldest([one.finished for one in stated]),
    )


def _oldest(times: Sequence[float | None]) -> float | None:
    """The earliest; None where one of them is not known."""
    known = [one for one in times if one is not None]
    return min(known) if known and len(known) == len(times) else None


def _agreed(said: Iterable[str]) -> str:
    """What all targets say; empty where they say different things."""
    found = set(said)
    return found.pop() if len(found) == 1 else ""


async def _damaged(store: ArtifactStore, release: Release) -> list[str]:
    return [text for ref in release.files() for text in [await _complaint_of(store, ref)] if text]


async def _complaint_of(store: ArtifactStore, ref: FileRef) -> str:
    try:
        await save(store, ref, Nowhere())
    except GopubError as error:
        return f"{ref.name}: {_complaint(error)}"
    return ""


async def archive_complaints(store: ArtifactStore, signed: SignedRelease, targets: Collection[str]) -> tuple[str, ...]:
    """What is wrong with the archives for these targets: missing, damaged, or not exactly the signed binary.

    Each is read from a file on the disk, for it may be larger than the memory; its size was signed.
    """
    complaints: list[str] = []
    for text, files in signed.release.targets.items():
        if text in targets:
            complaints.append(await _unlike(store, files, Target.parse(text), signed.release.app))
    return tuple(complaint for complaint in complaints if complaint)


async def _unlike(store: ArtifactStore, files: TargetFiles, target: Target, app: str) -> str:
    with tempfile.TemporaryFile(prefix="gopub-verify-") as file:
        try:
            await save(store, files.archive, file)
        except GopubError as error:
            return f"{files.archive.name}: {_complaint(error)}"
        return unlike_signed(file, target, app, files.binary)


def _check(name: str, wrong: Sequence[str], otherwise: str) -> Check:
    return Check(name, not wrong, "; ".join(wrong[:3]) or otherwise)


def _complaint(error: GopubError) -> str:
    if not isinstance(error, RefusedError) and error.code != MISSING:
        raise error
    return f"{error.code} {error.problem}"


def _wrong_type(wanted: str) -> RefusedError:
    return RefusedError("GP314", f"the statement is not of type {wanted}", hint="the bundle belongs elsewhere")
