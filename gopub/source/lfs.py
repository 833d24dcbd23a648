"""Pointer files of Git LFS: a commit holds a few lines in place of the file, and the file lies on a server.

gopub builds what is in the commit, so it never fetches such a file: a pointer that would go into a release is refused.
"""

from __future__ import annotations

from pathlib import Path

from gopub.errors import RefusedError, Where

_FIRST_LINE = b"version https://git-lfs.github.com/spec/v1\n"


def refuse_pointer(path: Path, *, shown: str, use: str) -> None:
    """Refuse a file that is a pointer; ``shown`` is its path in the repository, ``use`` what it would become part of.

    Raises:
        RefusedError: GP208.
    """
    with path.open("rb") as file:
        if file.read(len(_FIRST_LINE)) != _FIRST_LINE:
            return
    raise RefusedError(
        "GP208",
        f"{use} takes a pointer of Git LFS in the place of the file: the commit does not hold its content",
        hint="take it out of Git LFS (git lfs untrack) and commit the file itself",
        where=Where(shown),
    )
