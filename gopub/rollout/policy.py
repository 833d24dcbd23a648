"""What the project asks of a release: whose key, from which source, never taken back; and the decision about one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gopub.clock import SystemClock
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence.admission import Admission, AdmissionPolicy
from gopub.evidence.contents import ContentPolicy
from gopub.evidence.holders import Holders
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.keys import PUBLIC_NAME, PublicKey
from gopub.evidence.named import NamedVerifier
from gopub.evidence.provenance import BUILDER_LOCAL
from gopub.evidence.roles import Role, load_roles
from gopub.evidence.signers import IdentityRule
from gopub.evidence.together import Member
from gopub.evidence.trust import SigstoreConnection, Trust
from gopub.evidence.verifier import AnyVerifier, KeyVerifier, Verifier
from gopub.release.admitting import Considered, consider, decide
from gopub.release.config import local_keys
from gopub.release.loading import load_release
from gopub.rollout.run import Run
from gopub.spec.admit import AdmitSpec, RolesKnown, SignerNamed
from gopub.spec.forbidden import forbidden
from gopub.wiring.origins import sources_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from gopub.evidence.roles import Roles
    from gopub.fleet.facts import HostFacts
    from gopub.release.model import SignedRelease
    from gopub.wiring.project import Project


async def considered_by(
    project: Project, app: str, env: str, name: str, *, quarantined: Collection[str] = ()
) -> Considered:
    """The release of that version or id, held against what the project asks of releases in this environment.

    Raises:
        RefusedError: GP732 the project is another app's; GP310 to GP312 it is not signed by the project's key;
            GP322, GP324 it is malformed, or of another app.
        UsageError: GP942 the project has no such environment, GP729 its key cannot be read.
        GopubError: the store does not have it, or does not answer.
    """
    insist_on_app(project, app)
    admit = project.environment(env).admit
    return await held_against(admit, project, app, env, name, quarantined=quarantined)


async def held_against(
    admit: AdmitSpec, project: Project, app: str, env: str, name: str, *, quarantined: Collection[str] = ()
) -> Considered:
    """The same for any policy; its files lie in the project's folder, its connections are the project's.

    Raises:
        GopubError: as :func:`considered_by`.
    """
    believed = believed_by(project, admit)
    return await consider(
        project.store(),
        app,
        name,
        env=env,
        by=believed.verifier,
        policy=await believed.policy(project.folder),
        quarantined=dict.fromkeys(quarantined, "it was rolled back here"),
        now=SystemClock().now(),
    )


async def signed_for(project: Project, app: str, admit: AdmitSpec, name: str) -> SignedRelease:
    """A release of the app by somebody whom the project accepts, and no more than that.

    Raises:
        GopubError: as :func:`considered_by`.
    """
    insist_on_app(project, app)
    return await load_release(project.store(), app, name, believed_by(project, admit).verifier)


def insist_on_app(project: Project, app: str) -> None:
    """A project has a word in its own app's rollouts only.

    Raises:
        RefusedError: GP732.
    """
    if project.spec.app != app:
        raise RefusedError("GP732", f"the project in {str(project.folder)!r} is {project.spec.app}, not {app}",
                           hint=f"name the folder whose gopub.yaml says `app: {app}`")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Believed:
    """Whose signatures a project accepts, and what else it asks of what they signed."""

    keys: tuple[KeyVerifier, ...]
    certificates: tuple[NamedVerifier, ...]
    entries: tuple[tuple[Member, ...], ...]
    """Of each entry all must have signed, and one entry is enough."""
    admit: AdmitSpec

    @property
    def verifier(self) -> Verifier:
        """Believes them, and nobody else."""
        return AnyVerifier([*self.keys, *self.certificates])

    async def policy(self, project: Path) -> AdmissionPolicy:
        """What is asked; the sources are those of the project in this folder where nothing else is said."""
        builder, sbom = self.admit.provenance.builder, self.admit.sbom
        alone = [entry[0] for entry in self.entries if len(entry) == 1]
        return AdmissionPolicy(
            accepted_keys=tuple(one for one in alone if isinstance(one, str)),
            identities=tuple(one for one in alone if isinstance(one, IdentityRule)),
            together=tuple(entry for entry in self.entries if len(entry) > 1),
            builders=(builder,) if builder else (BUILDER_LOCAL,),
            sources=await sources_of(self.admit, project),
            contents=ContentPolicy(
                formats=sbom.formats or (),
                forbid=tuple(map(forbidden, sbom.forbid or ())),
                deny=sbom.licences.deny or (),
            ),
            fresh=self.admit.fresh,
            warn=self.admit.mode == "warn",
            level=self.admit.provenance.level,
            roles=holders_of(self.admit, project),
        )


def holders_of(admit: AdmitSpec, project: Path) -> Holders | None:
    """Which keys hold which role, by the list that the project names; None where it names none.

    Raises:
        UsageError: GP334, GP729 the list or the root's key cannot be read.
        RefusedError: GP311 another root signed it; GP332 it is malformed.
    """
    if admit.roles is None:
        return None
    roles = roles_of(admit.roles, project)
    release, admission = (tuple(key.fingerprint for key in roles.of(role)) for role in (Role.RELEASE, Role.ADMISSION))
    return Holders(roles.serial, roles.expires, roles.until, release, admission)


def roles_of(known: RolesKnown, project: Path) -> Roles:
    """The list that a project names, signed by the root that it names, expired or not.

    Raises:
        UsageError, RefusedError: as :func:`holders_of`.
    """
    return load_roles(project / known.file).by(accepted_key(str(project / known.root)))


def believed_by(project: Project, admit: AdmitSpec) -> Believed:
    """By whom releases of an environment must be signed: always the project's word.

    Raises:
        UsageError: GP729 a key cannot be read; GP318 a trust config.
        SpecError: GP140, GP141 there is no such connection of kind sigstore.
    """
    if admit.signed is None:
        local = KeyVerifier(accepted_key(_file(project, admit.key)))
        return Believed((local,), (), ((local.key.fingerprint,),), admit)
    keys = {
        (one.key, one.trust): KeyVerifier(
            accepted_key(_file(project, one.key)), _trust(project, one.trust) if one.trust else None
        )
        for _, one in admit.named()
        if one.key
    }

    def member(one: SignerNamed) -> Member:
        if one.key:
            return keys[one.key, one.trust].key.fingerprint
        return IdentityRule(one.identity or "", one.issuer or "", one.trust or "")

    entries = tuple(tuple(map(member, entry.each)) for entry in admit.signed)
    rules = [one for entry in entries for one in entry if isinstance(one, IdentityRule)]
    return Believed(tuple(keys.values()), tuple(_certified(project, rules)), entries, admit)


def _certified(project: Project, rules: Sequence[IdentityRule]) -> Iterator[NamedVerifier]:
    """One for each trust config, so that each is read once."""
    for name in dict.fromkeys(rule.trust for rule in rules):
        ours = tuple(rule for rule in rules if rule.trust == name)
        yield NamedVerifier(KeylessVerifier(_trust(project, name)), ours)


def _trust(project: Project, name: str) -> Trust:
    return project.connections.get(name, SigstoreConnection).open(name)


def _file(project: Project, key: str | None) -> str:
    return str(project.folder / key) if key else ""


async def admission_of(run: Run) -> Admission:
    """The decision about the run's release, now that its hosts are known.

    Raises:
        GopubError: GP724 there is none at hand; GP342 the store does not answer.
    """
    return await decide(run.ports.store, at_hand(run), kinds_of(run.facts))


def at_hand(run: Run) -> Considered:
    """The run's release, as it was considered.

    Raises:
        GopubError: GP724 there is none.
    """
    if run.considered is None:
        raise GopubError("GP724", f"rollout {run.rollout} has no release at hand", hint="is the store reachable?")
    return run.considered


def kinds_of(facts: Mapping[str, HostFacts]) -> tuple[str, ...]:
    """For which targets there must be a build: those of the hosts that were asked."""
    return tuple(sorted({f"linux/{fact.arch}" for fact in facts.values()}))


def accepted_key(path: str) -> PublicKey:
    """The public key that an env accepts: the one it names, else the local one.

    Raises:
        UsageError: GP729 it cannot be read.
    """
    file = Path(path) if path else local_keys() / PUBLIC_NAME
    try:
        return PublicKey.parse(file.read_bytes(), name=str(file))
    except OSError as error:
        raise UsageError("GP729", f"the public key {str(file)!r} cannot be read: {(error.strerror or '').lower()}",
                         hint="name it in admit.key, or release once here") from error  # fmt: skip
