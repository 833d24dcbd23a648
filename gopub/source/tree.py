"""What a commit is to a release: its files, its name, its time, and the version that follows from it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gopub.errors import UsageError
from gopub.source.versions import Rank, after, rank, without_v

_COMMIT = re.compile(r"HEAD|[0-9a-f]{7,64}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}")
_VERSION_TAG = re.compile(r"v?(\d[0-9A-Za-z._+-]*)")


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A clean clone at one commit.

    ``repository`` never holds a password; ``commit_time`` is seconds since the epoch; ``changes`` are
    the files by which the local working tree it was cloned from differs from this commit; ``tags`` are all tags at
    the commit, and ``tag`` the one that names the version, once it is chosen. ``before`` are the tags of the commit and
    of all before it, and ``last`` the one of them after which a commit without a tag of its own is sorted. ``folder``
    is the folder that was named as the repository, relative to the checkout: gopub.yaml is looked for from there.
    """

    path: Path
    repository: str
    commit: str
    ref: str
    commit_time: int
    changes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tag: str | None = None
    folder: str = "."
    before: tuple[str, ...] = ()
    last: str | None = None

    @property
    def dirty(self) -> bool:
        """Whether the local working tree differs from this commit."""
        return bool(self.changes)


def full_ref(tree: SourceTree) -> str:
    """The ref as a provenance records it: a tag by its full name, also where the commit was asked for and has one.

    Of a branch stands what was asked for. Policies tell tags from branches by it.
    """
    if tree.ref.startswith("refs/") or (tree.ref not in tree.tags and not _COMMIT.fullmatch(tree.ref)):
        return tree.ref
    if tree.ref in tree.tags:
        return f"refs/tags/{tree.ref}"
    return f"refs/tags/{tree.tag}" if tree.tag else tree.ref


def choose_tag(tags: Sequence[str], ref: str, owners: Collection[str] = ()) -> str | None:
    """The version tag of a commit: the one asked for, else the highest version among ``tags``.

    A repository may hold several programs: of tags with a prefix (``orders/v1.2.3``) only those count whose prefix is
    one of ``owners``. Semantic versions come before others, then tags with our prefix before those without one, then
    what is written as a version (``v2``, ``1.4``) before mere numbers and words (``2024``, ``2026w47``).
    """
    ours = [tag for tag in tags if _version_in(tag) and _is_ours(tag, owners)]
    wanted = ref.removeprefix("refs/tags/")
    return wanted if wanted in ours else max(ours, key=_order, default=None)


def last_tag(tags: Sequence[str], owners: Collection[str] = ()) -> str | None:
    """Of the tags of a commit and of those before it, the semantic version that names the newest of them; see above."""
    return choose_tag([tag for tag in tags if rank(_version_in(tag) or "")], "", owners)


def version_of(tree: SourceTree, wanted: str | None = None) -> str:
    """The release version: as wanted, else from the tag (a leading v dropped), else one after the last tag before it.

    Without any such tag it is made from the commit's time and id alone.

    Raises:
        UsageError: GP205 when the wanted version cannot stand in a file name.
    """
    if wanted is not None:
        version = without_v(wanted)
        if not _VERSION.fullmatch(version):
            raise UsageError("GP205", f"{wanted!r} is not a version", hint='write it as "1.4.0"')
        return version
    tagged = _version_in(tree.tag or "")
    if tagged:
        return tagged
    stamp = datetime.fromtimestamp(tree.commit_time, UTC).strftime("%Y%m%d%H%M%S")
    last = _version_in(tree.last or "")
    version = after(last, stamp, tree.commit[:12]) if last else ""
    return version if _VERSION.fullmatch(version) else f"0.0.0-{stamp}-{tree.commit[:12]}"


def _version_in(tag: str) -> str | None:
    # A module in a folder is tagged folder/v1.2.3: Go's own convention.
    match = _VERSION_TAG.fullmatch(tag.rpartition("/")[2])
    return match[1] if match and _VERSION.fullmatch(match[1]) else None


def _is_ours(tag: str, owners: Collection[str]) -> bool:
    prefix, slash, _ = tag.rpartition("/")
    return not slash or prefix in owners


def _order(tag: str) -> tuple[bool, bool, bool, Rank, str]:
    """The best last: see :func:`choose_tag`; semantic versions by their precedence, the text decides between equals."""
    version, found = _version_in(tag) or "", rank(_version_in(tag) or "")
    written = tag.endswith(f"v{version}") or re.match(r"\d+\.\d", version) is not None
    return found is not None, "/" in tag, written, found or ((), False, ()), version
