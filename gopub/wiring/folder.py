"""Who is the project: the folder whose word counts for keys, hosts and connections, whatever a commit says.

It is the folder that a person stands in, the one that projects.yaml names, or a protected ref of the repository. Such a
ref is checked out into a folder of its own below the state folder. It appears whole, and stays as it is for `promote`
and `recover`, which may read it while other deployments of the repository come and go.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.canon import sha256
from gopub.clock import new_token
from gopub.errors import RefusedError, UsageError
from gopub.paths import state_folder
from gopub.source import checkout
from gopub.spec.address import public, refuse_password
from gopub.spec.projects import Projects, apps_of
from gopub.spec.refglob import full_ref


@dataclass(frozen=True, slots=True)
class Place:
    """Where a project is looked for: a folder, or a ref of the repository, or neither."""

    repository: str
    spec_file: str = "gopub.yaml"
    project: str = ""
    project_ref: str = ""
    app: str = ""
    env: str = ""


async def project_folder(place: Place, *, registered: Callable[[], Projects] | None = None) -> str:
    """The folder whose gopub.yaml, connections and inventory count, whatever the commit says that is released.

    It is the one that is named; or the ref that is named, checked out; or what projects.yaml says of the repository.
    ``registered`` reads that file. Without it a person is here, and the folder of the repository is the project.

    Raises:
        RefusedError: GP956 none of them says which folder.
        UsageError: GP958 the repository's address holds a password.
        GopubError: GP201 git failed, GP202 there is no such ref.
    """
    refuse_password(place.repository)
    if place.project:
        return place.project
    if place.project_ref:
        return await _checked_out(place.repository, full_ref(place.project_ref), place.spec_file)
    if registered is not None:
        return await project_folder(_registered(place, registered))
    folder = Path(place.repository, place.spec_file)
    if await asyncio.to_thread(folder.is_file):
        return str(folder.parent)
    raise _unknown(place, "it is no folder with a gopub.yaml")


def here(repository: str, spec_file: str) -> str:
    """The project of a person's command: the repository, where it has a gopub.yaml; else where they are."""
    folder = Path(repository, spec_file)
    return str(folder.parent.resolve()) if folder.is_file() else str(Path.cwd())


def _registered(place: Place, registered: Callable[[], Projects]) -> Place:
    """The same with what projects.yaml on this machine says of the repository."""
    try:
        projects = registered()
    except UsageError as error:
        raise _unknown(place, error.problem) from error
    found = apps_of(projects, place.repository, place.spec_file)
    if place.app:
        found = {name: app for name, app in found.items() if name == place.app}
    if len(found) != 1:
        which = f"names {', '.join(found)} of it, and the run none of them" if found else "does not name it"
        raise _unknown(place, f"projects.yaml {which}")
    ((name, app),) = found.items()
    if place.env and place.env not in app.envs:
        raise UsageError("GP942", f"{name} has no environment {place.env!r}; projects.yaml has: {', '.join(app.envs)}",
                         hint="correct env, or add it to envs")  # fmt: skip
    return replace(place, project=app.project or "", project_ref=app.project_ref or "", app=name, spec_file=app.spec)


def _unknown(place: Place, why: str) -> RefusedError:
    return RefusedError(
        "GP956",
        f"no project is known for {public(place.repository)}: {why}",
        hint="name it in projects.yaml on the worker, or give the run a project or a project_ref: "
        "else whoever pushes would choose the key, the hosts and the connections",
    )


async def _checked_out(repository: str, ref: str, spec_file: str) -> str:
    """The folder of a ref's gopub.yaml. It is made whole and stays: `promote` and `recover` may read it later."""
    home = state_folder("projects")
    fresh = home / f"{sha256(repository.encode())[:16]}-{new_token()[:8]}.part"
    try:
        source = await checkout(repository, ref, fresh)
        place = fresh.with_name(f"{fresh.name.partition('-')[0]}-{source.commit}")
        await asyncio.to_thread(_put, fresh, place)
    finally:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
    return str(Path(place, spec_file).parent)


def _put(fresh: Path, place: Path) -> None:
    """Give the folder its name; one that has the name already holds the same commit, and is not touched."""
    try:
        fresh.rename(place)
    except OSError:
        if not place.is_dir():
            raise
