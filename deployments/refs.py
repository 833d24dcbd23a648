"""What a repository has: asked before a run is started for a branch, a tag or a commit that may not be released.

A name is asked of the repository itself. For a commit id its history is needed: a copy of the commits alone, without
any file, is kept below the state folder and brought up to date. A first copy of a large repository outlasts a request:
it goes on meanwhile, and who asks again finds it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gopub.canon import sha256
from gopub.clock import new_token
from gopub.errors import GopubError
from gopub.paths import private_folder, state_folder
from gopub.source.git import Origin, asks, git, lines, origin_of
from gopub.source.reach import ends_of, not_taken, refs_with
from gopub.source.versions import rank, without_v
from gopub.spec.refglob import is_commit, is_ref, matches

ANSWER_WITHIN = 15.0
_KINDS = ("refs/heads/", "refs/tags/")
_ALL = tuple(f"+{kind}*:{kind}*" for kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a branch stands now, empty where it is gone; of some commits those that it has, and the newest of these."""

    head: str = ""
    held: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()


class Refs(Protocol):
    """Looks up refs."""

    async def named(self, repository: str, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the full names that are branches or tags there.

        Raises:
            GopubError: GP939 the repository does not answer.
        """

    async def holding(self, repository: str, commit: str) -> tuple[str, ...]:
        """The full names of all branches and tags that a commit is in; none, where it is not there.

        Raises:
            GopubError: GP939 the repository does not answer.
        """

    async def branch(self, repository: str, name: str, commits: Sequence[str]) -> Branch:
        """Where the branch of that full name stands, which of the commits it has, and which are in no other's history.

        Raises:
            GopubError: GP939 the repository does not answer.
        """


async def settled(refs: Refs, repository: str, ref: str, patterns: Sequence[str]) -> str | None:
    """The full name of a branch or a tag, or the commit id, that may be released; None where it is not there.

    Raises:
        RefusedError: GP959 it is there, and in no branch or tag of these patterns.
        GopubError: GP934 two are called so; GP939 the repository does not answer.
    """
    if is_commit(ref):
        held = await refs.holding(repository, ref)
        if held and not any(matches(name, patterns) for name in held):
            raise not_taken(f"commit {ref[:12]}", patterns)
        return ref if held else None
    names = full_names(ref)
    found = await refs.named(repository, names) if names else ()
    if not found and rank(ref) is not None:  # a version: the ``v`` of its tag does not count
        plain = without_v(ref)
        found = await refs.named(repository, [f"refs/tags/{plain if plain != ref else f'v{ref}'}"])
    if len(found) > 1:
        raise GopubError("GP934", f"{ref!r} is a branch and a tag", hint="write refs/heads/… or refs/tags/…")
    if found and not matches(found[0], patterns):
        raise not_taken(found[0], patterns)
    return found[0] if found else None


def full_names(ref: str) -> tuple[str, ...]:
    """What a ref may be called in full; none for what is neither a branch nor a tag."""
    if not is_ref(ref):
        return ()
    if ref.startswith("refs/"):
        return (ref,) if ref.startswith(_KINDS) else ()
    return tuple(kind + ref for kind in _KINDS)


class GitRefs:
    """Asks the repository itself, with the access rights of `gopub serve`."""

    def __init__(self, folder: Path | None = None, *, within: float = ANSWER_WITHIN) -> None:
        """Keep copies of histories in ``folder``; an answer comes ``within`` so many seconds, or none does."""
        self._folder = folder or state_folder("histories")
        self._within = within
        self._reading: dict[str, asyncio.Task[Path]] = {}

    async def named(self, repository: str, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the full names that are branches or tags there."""
        try:
            origin = origin_of(repository)
            words = ("ls-remote", "--quiet", "--refs", "--", origin.address, *names)
            async with asyncio.timeout(self._within):
                listed = await git(Path(), *words, settings=origin.settings)
        except (GopubError, TimeoutError) as error:
            raise _no_answer(error) from error
        # git takes a name as the end of one: refs/heads/main is also in refs/heads/x/refs/heads/main.
        there = {line.partition("\t")[2] for line in lines(listed)}
        return tuple(name for name in names if name in there)

    async def holding(self, repository: str, commit: str) -> tuple[str, ...]:
        """The full names of all branches and tags that a commit is in."""
        try:
            origin = origin_of(repository)
            async with asyncio.timeout(self._within):
                history = await asyncio.shield(self._history(origin))
            return await refs_with(history, commit)
        except (GopubError, TimeoutError) as error:
            raise _no_answer(error) from error

    async def branch(self, repository: str, name: str, commits: Sequence[str]) -> Branch:
        """Where a branch stands, and what it has of the commits."""
        try:
            origin = origin_of(repository)
            async with asyncio.timeout(self._within):
                history = await asyncio.shield(self._history(origin))
            head = "".join(lines(await asks(history, "rev-parse", "--verify", "--quiet", "--end-of-options", name)))
            return Branch(head, *await ends_of(history, head, commits)) if head else Branch()
        except (GopubError, TimeoutError) as error:
            raise _no_answer(error) from error

    def _history(self, origin: Origin) -> asyncio.Task[Path]:
        """The reading of a repository's history that is under way, or a new one: never two of the same at once."""
        running = self._reading.get(origin.address)
        if running is None:
            running = asyncio.create_task(_history(origin, self._folder))
            self._reading[origin.address] = running
            running.add_done_callback(lambda done: self._read(origin.address, done))
        return running

    def _read(self, address: str, done: asyncio.Task[Path]) -> None:
        del self._reading[address]
        if not done.cancelled():
            done.exception()  # whoever still waits is told; that nobody does is no fault


async def _history(origin: Origin, folder: Path) -> Path:
    """The folder with all commits of a repository's branches and tags as they are now, and nothing else of it."""
    if origin.local is not None:
        return origin.local
    place = await asyncio.to_thread(private_folder, folder) / f"{sha256(origin.address.encode())[:16]}.git"
    if await asyncio.to_thread(place.is_dir):
        await git(place, "fetch", "--quiet", "--prune", "--filter=tree:0", "origin", *_ALL, settings=origin.settings)
        return place
    fresh = place.with_name(f"{place.name}-{new_token()[:8]}.part")
    try:
        words = ("clone", "--quiet", "--bare", "--template=", "--filter=tree:0", "--", origin.address, str(fresh))
        await git(folder, *words, settings=origin.settings)
        await asyncio.to_thread(fresh.rename, place)
    finally:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
    return place


def _no_answer(error: Exception) -> GopubError:
    said = error.problem if isinstance(error, GopubError) else "no answer in time"
    return GopubError("GP939", f"the repository does not answer: {said}",
                      hint="gopub serve needs to read it; try git ls-remote as the same user")  # fmt: skip
