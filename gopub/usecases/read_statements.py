"""What was stated of a release in an environment, as the store has it now, and who says so.

The store is a stranger's: nothing is believed that the admission key did not sign, about this release, under the name
that its text has. Of each target the newest is looked at. Whose key that is: those that the list of roles names, where
the project names one; else the key of ``admit.statement``; else the local pair, of which nobody knows whether it is the
one of the machine that rolls out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gopub.canon import Json, sha256
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence.frame import LARGEST
from gopub.evidence.roles import Role
from gopub.evidence.stating import differs, policy_digest
from gopub.evidence.summary import SignedSummary, read_summary
from gopub.release.config import admission_public
from gopub.rollout.policy import believed_by, roles_of
from gopub.store.keys import admission_key, admissions_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gopub.evidence.keys import PublicKey
    from gopub.release.admitting import Considered
    from gopub.spec.admit import AdmitSpec
    from gopub.store.protocol import ArtifactStore
    from gopub.wiring.project import Project


@dataclass(frozen=True, slots=True)
class Statement:
    """The newest of a target: what was found of it (``ok``, ``over``, ``?``: nobody here knows, ``FAIL``), and why.

    ``signed`` and ``key`` are there where a key that counts signed it.
    """

    target: str
    place: str
    word: str
    reason: str
    signed: SignedSummary | None = None
    key: PublicKey | None = None
    error: RefusedError | None = None

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {"target": self.target, "place": self.place, "found": self.word, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Believed:
    """Whose statements count; ``surely``: the project says so, and any other is a forgery."""

    keys: tuple[PublicKey, ...]
    surely: bool
    trouble: str = ""
    never: tuple[PublicKey, ...] = ()
    """Those of releases."""


async def statements_of(project: Project, admit: AdmitSpec, considered: Considered) -> tuple[Statement, ...]:
    """The newest statement of every target that has one, in the order of the release.

    Raises:
        GopubError: GP342 the store does not answer; what is wrong with the list of roles that the project names.
    """
    facts, store = considered.facts, project.store()
    believed = _believed(project, admit)
    found = []
    for target in considered.release.targets:
        places = await store.list(admissions_prefix(facts.release_id, facts.env, target))
        if places:
            found.append(await _statement(store, target, places[-1], considered, believed))
    return tuple(found)


def save_statements(statements: Iterable[Statement], folder: Path) -> list[Path]:
    """Write every one whose signer counts: as it travels, as a Sigstore bundle, and with the key that checks both.

    Raises:
        UsageError: GP969 a file cannot be written.
    """
    made = {}
    for one in statements:
        if one.signed is not None and one.key is not None:
            file = folder / f"{one.target.replace('/', '-')}.admission"
            made[file] = one.signed.text.encode()
            made[file.with_name(f"{file.name}.sigstore.json")] = one.signed.bundle(one.key)
            made[file.with_name(f"{file.name}.pub")] = one.key.pem
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in made.items():
            file.write_bytes(data)
    except OSError as error:
        problem = f"what was stated cannot be written to {str(folder)!r}: {error.strerror or error}"
        raise UsageError("GP969", problem, hint="name a folder that you may write to") from error
    return list(made)


def _believed(project: Project, admit: AdmitSpec) -> Believed:
    if admit.roles is not None:
        return Believed(roles_of(admit.roles, project.folder).of(Role.ADMISSION), surely=True)
    never = tuple(one.key for one in believed_by(project, admit).keys)
    try:
        known = admission_public(admit.statement.key, project.connections)
    except GopubError as error:
        return Believed((), surely=False, trouble=f"{error.code} {error.problem}", never=never)
    ours = tuple(key for key in (known,) if key and key not in never)
    return Believed(ours, surely=admit.statement.key is not None, never=never)


async def _statement(
    store: ArtifactStore, target: str, place: str, considered: Considered, believed: Believed
) -> Statement:
    try:
        text = await store.get(place, limit=LARGEST)
        signed = read_summary(text)
        _insist(signed, sha256(text), place, considered)
    except RefusedError as error:
        return Statement(target, place, "FAIL", f"{error.code} {error.problem}", error=error)
    said = signed.summary
    key = _signer(signed, believed.keys)
    if key is None:
        return _of_nobody(signed, place, believed)
    reason = f"{said.target} until {said.expires}, {said.level}, by key {key.fingerprint[:16]}"
    if said.policy != policy_digest(considered.policy):
        reason += "; by another policy than that of now"
    over = said.expired(considered.facts.now)
    reason += "; it has expired: a rollout admits it anew" if over else ""
    return Statement(said.target, place, "over" if over else "ok", reason, signed, key)


def _insist(signed: SignedSummary, digest: str, place: str, considered: Considered) -> None:
    """A true one lies under its own name, and is about what lies here: else somebody moved it."""
    said, facts = signed.summary, considered.facts
    wrong = differs(said, facts)
    if not wrong and place != admission_key(facts.release_id, facts.env, said.target, said.verified, digest):
        wrong = "it lies under another name than its own"
    if wrong:
        raise RefusedError("GP312", f"the statement {place} is not what was kept there: {wrong}",
                           hint="somebody changed the store; the journal has what was stated")  # fmt: skip


def _signer(signed: SignedSummary, keys: Iterable[PublicKey]) -> PublicKey | None:
    for key in keys:
        try:
            signed.by(key)
        except RefusedError:
            continue
        return key
    return None


def _of_nobody(signed: SignedSummary, place: str, believed: Believed) -> Statement:
    target = signed.summary.target
    known = ", ".join(key.fingerprint[:16] for key in believed.keys)
    if not believed.surely and _signer(signed, believed.never) is None:
        why = believed.trouble or (f"the local key {known} did not" if known else "no key of admissions is known here")
        said = f"{target}: nobody here knows who signed it ({why}); admit.roles says whose keys count"
        return Statement(target, place, "?", said)
    error = RefusedError("GP311", f"the statement {place} is not signed by a key of admissions ({known or 'none'})",
                         hint="it was changed, or another key signed it, such as a stolen one")  # fmt: skip
    return Statement(target, place, "FAIL", f"{error.code} {error.problem}", error=error)
