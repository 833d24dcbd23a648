"""Whether the vendored copy is what the modules give: Go itself never compares the bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gopub.canon import sha256_file


@dataclass(frozen=True, slots=True)
class TreeDifference:
    """Paths that differ, that only the repository has, and that only the modules give; relative, sorted."""

    changed: tuple[str, ...]
    added: tuple[str, ...]
    missing: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.changed or self.added or self.missing)

    def __str__(self) -> str:
        """The first few of each kind, for an error message."""
        kinds = (("changed", self.changed), ("added", self.added), ("missing", self.missing))
        return "; ".join(f"{kind}: {_few(paths)}" for kind, paths in kinds if paths)


def compare(ours: Path, reference: Path) -> TreeDifference:
    """Compare two folders file by file; a symbolic link counts as a changed file, since Go writes none."""
    left, right = _digests(ours), _digests(reference)
    return TreeDifference(
        changed=tuple(sorted(path for path in left.keys() & right.keys() if left[path] != right[path])),
        added=tuple(sorted(left.keys() - right.keys())),
        missing=tuple(sorted(right.keys() - left.keys())),
    )


def _digests(root: Path) -> dict[str, str]:
    entries = (path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    return {
        path.relative_to(root).as_posix(): f"link {path.readlink()}" if path.is_symlink() else sha256_file(path)
        for path in entries
    }


def _few(paths: tuple[str, ...]) -> str:
    shown = ", ".join(paths[:5])
    return shown if len(paths) <= 5 else f"{shown} and {len(paths) - 5} more"
