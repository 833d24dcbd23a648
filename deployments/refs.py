"""Whether a repository has a branch or a tag: asked before a run is started for a version that does not exist."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Protocol

from gopub.errors import GopubError
from gopub.source.git import git, origin_of

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_WITHIN = 15.0


class Refs(Protocol):
    """Looks up refs."""

    async def has(self, repository: str, ref: str) -> bool:
        """Whether ``ref`` is a branch or a tag there; a full commit id is taken at its word.

        Raises:
            GopubError: GP939 the repository does not answer.
        """


class GitRefs:
    """Asks the repository itself, with the access rights of `gopub serve`."""

    async def has(self, repository: str, ref: str) -> bool:
        """Whether ``ref`` is a branch or a tag there."""
        if _COMMIT.fullmatch(ref):
            return True
        names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        try:
            origin = origin_of(repository)
            async with asyncio.timeout(_WITHIN):
                found = await git(
                    Path(), "ls-remote", "--quiet", "--", origin.address, *names, settings=origin.settings
                )
        except (GopubError, TimeoutError) as error:
            raise GopubError(
                "GP939",
                f"the repository does not answer: {str(error) or 'no answer in time'}",
                hint="gopub serve needs to read it; try git ls-remote as the same user",
            ) from error
        return bool(found)


class FixedRefs:
    """Refs that were told to it (public test double)."""

    def __init__(self, *known: str) -> None:
        """Know these refs, of any repository."""
        self._known = frozenset(known)

    async def has(self, repository: str, ref: str) -> bool:  # noqa: ARG002 - the Protocol's
        """Whether it was told of ``ref``."""
        return ref in self._known or bool(_COMMIT.fullmatch(ref))
