"""What the project asks of a release: whose key, from which source, never taken back; and the decision about one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence.admission import Admission
from gopub.evidence.keys import PUBLIC_NAME, PublicKey
from gopub.release.admitting import Considered, consider, decide
from gopub.release.config import local_keys
from gopub.release.loading import load_release
from gopub.rollout.run import Run
from gopub.spec.models import AdmitSpec
from gopub.wiring.origins import sources_of

if TYPE_CHECKING:
    from collections.abc import Collection

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
    return await consider(
        project.store(),
        app,
        name,
        env=env,
        key=key_of(project, admit),
        sources=await sources_of(admit, project.folder),
        quarantined=dict.fromkeys(quarantined, "it was rolled back here"),
    )


async def signed_for(project: Project, app: str, admit: AdmitSpec, name: str) -> SignedRelease:
    """A release of the app by the key that the project asks for, and no more than that.

    Raises:
        GopubError: as :func:`considered_by`.
    """
    insist_on_app(project, app)
    return await load_release(project.store(), app, name, key_of(project, admit))


def insist_on_app(project: Project, app: str) -> None:
    """A project has a word in its own app's rollouts only.

    Raises:
        RefusedError: GP732.
    """
    if project.spec.app != app:
        raise RefusedError("GP732", f"the project in {str(project.folder)!r} is {project.spec.app}, not {app}",
                           hint=f"name the folder whose gopub.yaml says `app: {app}`")  # fmt: skip


def key_of(project: Project, admit: AdmitSpec) -> PublicKey:
    """The key by which releases of an environment must be signed: always the project's word.

    Raises:
        UsageError: GP729 it cannot be read.
    """
    return accepted_key(str(project.folder / admit.key) if admit.key else "")


async def admission_of(run: Run) -> Admission:
    """The decision about the run's release, now that its hosts are known."""
    if run.considered is None:
        raise GopubError("GP724", f"rollout {run.rollout} has no release at hand", hint="is the store reachable?")
    targets = tuple(sorted({f"linux/{fact.arch}" for fact in run.facts.values()}))
    return await decide(run.ports.store, run.considered, targets)


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
