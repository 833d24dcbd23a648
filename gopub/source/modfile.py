"""Reading go.mod (as Go's own JSON) and go.sum. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the build list; ``sum`` is go.sum's ``h1:…``, empty for a folder in the same checkout."""

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
    """What go.mod says: the module's path, the least Go version, and which modules are replaced by folders."""

    module: str
    go: str
    local: tuple[Replacement, ...]


def read_mod_file(text: str) -> ModFile:
    """Read the output of ``go mod edit -json``."""
    data = json.loads(text)
    replaced = ((entry["Old"]["Path"], entry["New"]["Path"]) for entry in data.get("Replace") or ())
    return ModFile(
        module=data["Module"]["Path"],
        go=data.get("Go", ""),
        local=tuple(Replacement(old, new) for old, new in replaced if is_folder(new)),
    )


def is_folder(target: str) -> bool:
    """Whether the right side of a ``replace`` is a folder: Go's own rule."""
    return target in {".", ".."} or target.startswith(("./", "../")) or PurePosixPath(target).is_absolute()


def read_sums(text: str) -> Mapping[tuple[str, str], str]:
    """Read go.sum: (path, version) to ``h1:…``; the sums of go.mod files alone are left out."""
    rows = (line.split() for line in text.splitlines())
    return {(row[0], row[1]): row[2] for row in rows if len(row) == 3 and not row[1].endswith("/go.mod")}


def read_list(text: str, sums: Mapping[tuple[str, str], str]) -> tuple[Module, ...]:
    """Read the output of ``go list -m -json all``, the main module left out, sums filled in."""
    return tuple(_module(entry, sums) for entry in _documents(text) if not entry.get("Main"))


def _module(entry: Mapping[str, Any], sums: Mapping[tuple[str, str], str]) -> Module:
    real = entry.get("Replace") or entry
    version = str(real.get("Version", ""))
    return Module(str(real["Path"]), version, sums.get((str(real["Path"]), version), ""))


def _documents(text: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    while (at := _skip_space(text, at)) < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
