"""Files that a build produced, named by their SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gopub.canon import Json, sha256, sha256_file


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file by what it is: the name it should bear, the hex SHA-256 of its bytes, its size in bytes."""

    name: str
    digest: str
    size: int

    @classmethod
    def of(cls, name: str, data: bytes) -> Self:
        """The reference to these bytes."""
        return cls(name, sha256(data), len(data))

    def to_json(self) -> dict[str, Json]:
        """As it stands in release.json."""
        return {"name": self.name, "digest": self.digest, "size": self.size}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(str(data["name"]), str(data["digest"]), int(data["size"]))


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine together with what it is."""

    ref: FileRef
    path: Path

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> Self:
        """Take a file's digest and size; its name unless told otherwise."""
        return cls(FileRef(name or path.name, sha256_file(path), path.stat().st_size), path)

    @classmethod
    def write(cls, path: Path, data: bytes) -> Self:
        """Write the bytes and refer to them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return cls(FileRef.of(path.name, data), path)
