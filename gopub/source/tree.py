"""What a commit is to a release: its files, its name, its time, and the version that follows from it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gopub.errors import UsageError
from gopub.source.versions import Rank, rank

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}")
_VERSION_TAG = re.compile(r"v?(\d[0-9A-Za-z._+-]*)")


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A clean clone at one commit.

    ``repository`` never holds a password; ``commit_time`` is seconds since the epoch; ``changes`` are
    the files by which the local working tree it was cloned from differs from this commit; ``tag`` is the version
    tag that names the commit, if one does. ``folder`` is the folder that was named as the repository, relative
    to the checkout: gopub.yaml is looked for from there.
    """

    path: Path
    repository: str
    commit: str
    ref: str
    commit_time: int
    changes: tuple[str, ...] = ()
    tag: str | None = None
    folder: str = "."

    @property
    def dirty(self) -> bool:
        """Whether the local working tree differs from this commit."""
        return bool(self.changes)


def choose_tag(tags: Sequence[str], ref: str) -> str | None:
    """The version tag of a commit: the one asked for, else the highest version among ``tags``."""
    wanted = ref.removeprefix("refs/tags/")
    if wanted in tags and _version_in(wanted):
        return wanted
    named = [tag for tag in tags if _version_in(tag)]
    return max(named, key=_order, default=None)


def version_of(tree: SourceTree, wanted: str | None = None) -> str:
    """The release version: as wanted, else from the tag (a leading v dropped), else from commit time and id.

    Raises:
        UsageError: GP205 when the wanted version cannot stand in a file name.
    """
    if wanted is not None:
        version = wanted.removeprefix("v") if _version_in(wanted) else wanted
        if not _VERSION.fullmatch(version):
            raise UsageError("GP205", f"{wanted!r} is not a version", hint='write it as "1.4.0"')
        return version
    tagged = _version_in(tree.tag or "")
    if tagged:
        return tagged
    stamp = datetime.fromtimestamp(tree.commit_time, UTC).strftime("%Y%m%d%H%M%S")
    return f"0.0.0-{stamp}-{tree.commit[:12]}"


def _version_in(tag: str) -> str | None:
    # A module in a folder is tagged folder/v1.2.3: Go's own convention.
    match = _VERSION_TAG.fullmatch(tag.rpartition("/")[2])
    return match[1] if match and _VERSION.fullmatch(match[1]) else None


def _order(tag: str) -> tuple[bool, Rank, str]:
    """Semantic versions last, each by its precedence; the text decides between equals."""
    version = _version_in(tag) or ""
    found = rank(version)
    return found is not None, found or ((), False, ()), version
