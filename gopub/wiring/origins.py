"""From where releases must have been built: what `admit.provenance` says, else the project's own remote.

A project is a clone of the repository that its releases are built from, or that repository itself. One that git knows
nothing of, or that has no remote, restricts nothing; the check says so.
"""

from __future__ import annotations

from pathlib import Path

from gopub.errors import GopubError
from gopub.evidence.origin import SourcePolicy
from gopub.source.git import asks, lines
from gopub.spec.address import public
from gopub.spec.admit import AdmitSpec

_ANY_OWNER = {"safe.directory": "*"}
"""Only names are read here, and nothing of the repository is run."""


async def sources_of(admit: AdmitSpec, project: Path, spec_file: str = "gopub.yaml") -> SourcePolicy:
    """The sources that an environment of the project in this folder accepts."""
    said = admit.provenance
    refs = (said.ref,) if said.ref else ()
    if said.repository:
        return SourcePolicy((said.repository,), refs, "admit.provenance.repository")
    remotes, root = await _known_to_git(project, spec_file)
    if not remotes:
        return SourcePolicy((), refs, "the repository is not restricted, for the project has no git remote")
    return SourcePolicy((*remotes, root.as_uri()), refs, "the project's git remote, or its own folder")


async def _known_to_git(project: Path, spec_file: str) -> tuple[tuple[str, ...], Path]:
    """Addresses of the repository that the project's gopub.yaml is a file of, and where that lies here."""
    try:
        root = await asks(project, "rev-parse", "--show-toplevel", settings=_ANY_OWNER)
        # A folder may lie below a repository that it is no part of.
        tracked = root and await asks(
            project, "ls-files", "--error-unmatch", "--", f":(literal){spec_file}", settings=_ANY_OWNER
        )
        if not root or tracked is None:
            return (), project
        return await _remotes(Path(root)), Path(root)
    except GopubError:  # there is no git here
        return (), project


async def _remotes(root: Path) -> tuple[str, ...]:
    """What the remote is called, and, where that is a folder here, what its own remote is called."""
    found: list[str] = []
    for place in (root, *_folders(await _urls(root))):
        found += [url for url in await _urls(place) if url not in found]
    return tuple(found)


def _folders(urls: list[str]) -> list[Path]:
    return [Path(url) for url in urls if url.startswith("/") and Path(url).is_dir()]


async def _urls(root: Path) -> list[str]:
    """The addresses of the remote ``origin``, else of all remotes: as they are written, and as git rewrites them."""
    names = lines(await asks(root, "remote", settings=_ANY_OWNER))
    found: list[str] = []
    for name in ["origin"] if "origin" in names else names:
        found += lines(await asks(root, "config", "--get-all", "--", f"remote.{name}.url", settings=_ANY_OWNER))
        found += lines(await asks(root, "remote", "get-url", "--all", "--", name, settings=_ANY_OWNER))
    return list(dict.fromkeys(str((root / url).resolve()) if url.startswith(".") else public(url) for url in found))
