"""What ``go build`` complains of where the cause lies outside of what it says: files that git ignores, and cgo. Pure.

Both work on a developer's machine and not here: a release is built from the commit alone, and without cgo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gopub.errors import GopubError

CGO_PACKAGES = (
    "list", "-e", "-deps", "-f",
    '{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{"\\t"}}{{.Dir}}{{end}}',
)  # fmt: skip
"""The question to Go, with cgo on, which packages have files that need it; a line each: path, tab, folder."""
_EMBED = re.compile(
    r"^(?P<place>\S+?:\d+)(?::\d+)?: pattern (?P<pattern>.+?): "
    r"(?:no matching files found|cannot embed directory .+: contains no embeddable files)$",
    re.MULTILINE,
)
_WITHOUT_CGO = re.compile(r"build constraints exclude all Go files in |: undefined: ")
_MOST = 3


def is_for_cgo(complaint: str) -> bool:
    """Whether the packages with cgo are worth asking for."""
    return _WITHOUT_CGO.search(complaint) is not None


def said(target: str, complaint: str, cgo: Iterable[str] = ()) -> GopubError:
    """The error of a build that failed; ``cgo`` are the lines that :data:`CGO_PACKAGES` gave."""
    if found := _EMBED.search(complaint):
        problem = f"{found['place']} embeds {found['pattern']}, and no such file is in the commit"
        hint = (
            "a release is built from what git has: commit the files (git add -f where .gitignore names them, such as "
            "the output of a frontend's build), or embed a folder that is committed"
        )
        return GopubError("GP228", f"go build for {target} failed: {problem}\n{complaint}", hint=hint)
    if paths := _needing(complaint, cgo):
        more = f" and {len(paths) - _MOST} more" if len(paths) > _MOST else ""
        problem = f"it needs cgo: {', '.join(paths[:_MOST])}{more}"
        hint = (
            "releases are built without cgo, so that they run on every host: use a package in pure Go (for SQLite "
            "modernc.org/sqlite), or a build tag of that package that leaves C out"
        )
        return GopubError("GP229", f"go build for {target} failed: {problem}\n{complaint}", hint=hint)
    return GopubError("GP221", f"go build for {target} failed:\n{complaint}", hint="the commit does not compile")


def _needing(complaint: str, cgo: Iterable[str]) -> tuple[str, ...]:
    """Those packages with cgo that the complaint is about: by their folder, or by the heading of their errors."""
    lines = complaint.splitlines()
    listed = [(path, folder) for path, tab, folder in (line.partition("\t") for line in cgo) if tab]
    return tuple(
        path
        for path, folder in listed
        if f"# {path}" in lines or any(line.endswith(f"exclude all Go files in {folder}") for line in lines)
    )
