"""Reading go.mod (as Go's own JSON) and go.sum. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Module:
    """A module at a version; ``sum`` is go.sum's ``h1:…``, empty for a folder in the same checkout."""

    path: str
    version: str
    sum: str = ""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A ``replace`` line that points to a folder."""

    path: str
    folder: str

    def target(self, module_root: Path) -> Path:
        """The folder it points to."""
        return (module_root / self.folder).resolve()


@dataclass(frozen=True, slots=True)
class ModFile:
    """What go.mod says: the module's path, the least Go version, which modules are replaced by folders.

    ``requires`` says whether it needs any other module at all.
    """

    module: str
    go: str
    local: tuple[Replacement, ...]
    requires: bool


def read_mod_file(text: str) -> ModFile:
    """Read the output of ``go mod edit -json``."""
    data = json.loads(text)
    replaced = ((entry["Old"]["Path"], entry["New"]["Path"]) for entry in data.get("Replace") or ())
    return ModFile(
        module=data["Module"]["Path"],
        go=data.get("Go", ""),
        local=tuple(Replacement(old, new) for old, new in replaced if is_folder(new)),
        requires=bool(data.get("Require")),
    )


def is_folder(target: str) -> bool:
    """Whether the right side of a ``replace`` is a folder: Go's own rule."""
    return target in {".", ".."} or target.startswith(("./", "../")) or PurePosixPath(target).is_absolute()


def read_sums(text: str) -> tuple[Module, ...]:
    """Read go.sum: the modules whose bytes it pins; the sums of go.mod files alone are left out."""
    rows = (line.split() for line in text.splitlines())
    return tuple(Module(*row) for row in rows if len(row) == 3 and not row[1].endswith("/go.mod"))
