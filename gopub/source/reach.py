"""Which branches and tags a commit is in: what no branch and no tag has, nobody has taken into the repository.

A server also hands out commits of forks and merge requests, and those that a forced push took away: whoever may open a
merge request could have anything released by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gopub.errors import RefusedError
from gopub.source.git import asks, git, lines
from gopub.spec.refglob import matches

_TAGS = "refs/tags/"
_HEADS = "refs/heads/"


async def refs_with(repository: Path, commit: str, *, heads: str = _HEADS) -> tuple[str, ...]:
    """The full names of the branches and tags that a commit is in; ``heads`` is where branches lie in a clone."""
    words = ("for-each-ref", f"--contains={commit}", "--format=%(refname)", "--", heads, _TAGS)
    found = lines(await asks(repository, *words))
    return tuple(_HEADS + name.removeprefix(heads) if name.startswith(heads) else name for name in found)


async def ends_of(repository: Path, head: str, commits: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Those of the commits that ``head`` has in its history or is, and which of these are in no other's."""
    ancestor = ("merge-base", "--is-ancestor", "--end-of-options")
    held = {one for one in commits if await asks(repository, *ancestor, one, head) is not None}
    if not held:
        return frozenset(), frozenset()
    return frozenset(held), frozenset(
        lines(await git(repository, "merge-base", "--independent", "--end-of-options", *sorted(held)))
    )


async def require_taken(clone: Path, commit: str, patterns: Sequence[str]) -> None:
    """Refuse a commit that is in no branch and no tag of these patterns; without patterns any is taken.

    Raises:
        RefusedError: GP959.
    """
    if patterns and not any(matches(name, patterns) for name in await refs_with(clone, commit, heads=_CLONED)):
        raise not_taken(f"commit {commit[:12]}", patterns)


def not_taken(what: str, patterns: Sequence[str]) -> RefusedError:
    """The refusal of a ref or a commit."""
    return RefusedError(
        "GP959",
        f"{what} is in no branch or tag that may be released here: {', '.join(patterns)}",
        hint="merge it or tag it; commits of forks and of merge requests count only then",
    )


_CLONED = "refs/remotes/origin/"
