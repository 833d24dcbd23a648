"""Which commit a ref means."""

from __future__ import annotations

import re
from pathlib import Path

from gopub.errors import UsageError
from gopub.source.git import Origin, asks, git, without_password
from gopub.source.versions import rank, without_v

_COMMIT = re.compile(r"[0-9a-f]{7,64}")  # SHA-1, SHA-256, or the beginning of one


async def resolve(clone: Path, ref: str, origin: Origin) -> str:
    """The id of the commit that a ref of ``origin`` names; afterwards the clone has it.

    Raises:
        UsageError: GP202 no such ref; GP203 an ambiguous one.
    """
    found = await _candidates(clone, ref, origin)
    if not found and not ref.startswith("+"):  # to git that would be a refspec, and mean another ref
        fetched = await asks(clone, "fetch", "--quiet", "origin", "--", ref, settings=origin.settings)
        if fetched is not None:
            found = {"FETCH_HEAD": await git(clone, "rev-parse", "--verify", "FETCH_HEAD^{commit}")}
    if not found:
        raise UsageError(
            "GP202",
            f"{without_password(origin.address)} has no branch, tag or commit {ref!r}",
            hint="git branch --all and git tag show what it has" if origin.local else "is it pushed?",
        )
    if len(set(found.values())) > 1:
        raise UsageError(
            "GP203",
            f"{ref!r} names several commits: "
            + ", ".join(f"{name} = {commit[:12]}" for name, commit in sorted(found.items())),
            hint="write refs/heads/…, refs/tags/…" + (" or refs/remotes/origin/…" if origin.local else ""),
        )
    return next(iter(found.values()))


async def as_tagged(clone: Path, ref: str, origin: Origin) -> str:
    """The ref; where nothing is called so and it is a version, its tag that has a ``v`` more or less."""
    if rank(ref) is None or await _candidates(clone, ref, origin):
        return ref
    plain = without_v(ref)
    tag = plain if plain != ref else f"v{ref}"
    return tag if await _commit(clone, f"refs/tags/{tag}") else ref


async def _commit(repository: Path, full: str) -> str | None:
    return await asks(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{full}^{{commit}}")


async def _candidates(clone: Path, ref: str, origin: Origin) -> dict[str, str]:
    answers = {name: await _commit(clone, full) for name, full in _names(ref, local=origin.local is not None).items()}
    if origin.local is not None:
        answers[f"remote branch {ref}"] = await _tracked(clone, ref, origin.local)
    return {name: commit for name, commit in answers.items() if commit}


def _names(ref: str, *, local: bool) -> dict[str, str]:
    """What a ref can be called in the clone: branches of what was cloned are remote branches there."""
    branch, tag = ref.removeprefix("refs/heads/"), ref.removeprefix("refs/tags/")
    if ref.startswith("refs/heads/"):
        return {f"branch {branch}": f"refs/remotes/origin/{branch}"}
    if ref.startswith("refs/tags/"):
        return {f"tag {tag}": ref}
    names = {f"tag {tag}": f"refs/tags/{tag}", f"branch {branch}": f"refs/remotes/origin/{branch}"}
    if branch.startswith("origin/") and not local:
        short = branch.removeprefix("origin/")
        names[f"branch {short}"] = f"refs/remotes/origin/{short}"
    if ref == "HEAD" or _COMMIT.fullmatch(ref):
        names[f"commit {ref}"] = ref
    return names


async def _tracked(clone: Path, ref: str, local: Path) -> str | None:
    """What ``origin/main`` means in a repository on this machine: as its last fetch saw it. A clone leaves that out."""
    full = ref if ref.startswith("refs/remotes/") else f"refs/remotes/{ref}"
    commit = await _commit(local, full)
    if commit is not None:
        await git(clone, "fetch", "--quiet", "origin", "--", full)
    return commit
