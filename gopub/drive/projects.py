"""The folder of a project that is known by its repository's address only, as a webhook knows it.

gopub.yaml, connections.yaml and inventories are read from a folder. One that is on this machine already is taken as it
is; else the commit is checked out into a folder of its own below the state folder. It appears whole, and stays as it is
for `promote` and `recover`, which may read it while other deployments of the repository come and go.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from gopub.canon import sha256
from gopub.clock import new_token
from gopub.errors import GopubError, UsageError
from gopub.paths import state_dir
from gopub.rollout import events as ev
from gopub.rollout.journal import Journal
from gopub.rollout.run import env_stream, stream_of
from gopub.source import checkout


def last_project(journal: Journal, app: str, env: str) -> str:
    """The folder that the env's last rollout was started from: who starts one in the UI need not know it.

    Raises:
        UsageError: GP951 there was none on this journal.
    """
    for entry in reversed(journal.read(env_stream(app, env))):
        if isinstance(entry.event, ev.EnvOpened):
            began = (one.event for one in journal.read(stream_of(entry.event.rollout)))
            for event in began:
                if isinstance(event, ev.Opened):
                    return event.project
    raise UsageError("GP951", f"where the gopub.yaml of {app} lies is not known: nothing was rolled out into {env} yet",
                     hint="start `deploy`, or name the folder on the worker as `project`")  # fmt: skip


def known_project(journal: Journal, app: str, env: str) -> str:
    """The same for who can do without: ``.`` where nobody knows it."""
    try:
        return last_project(journal, app, env)
    except GopubError:
        return "."


async def project_folder(repository: str, ref: str, spec_file: str) -> str:
    """The folder that holds the repository's gopub.yaml; a repository elsewhere is checked out first.

    Raises:
        GopubError: GP201 git failed, GP202 there is no such ref.
    """
    if await asyncio.to_thread(Path(repository).is_dir):
        return str(Path(repository, spec_file).parent)
    home = state_dir() / "projects"
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
