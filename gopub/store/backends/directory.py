"""A store in a folder: one file per key, whole or absent, on disk before ``put`` returns."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gopub.canon import sha256_file
from gopub.errors import GopubError
from gopub.store.keys import check_key, digest_in
from gopub.store.protocol import check_given, checked, missing, taken, unlike

_SCRATCH = ".incoming"


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """Keeps objects below ``root``."""

    root: Path

    async def put(self, key: str, data: bytes | Path, *, digest: str) -> None:
        """Write into a scratch file, then give it its name."""
        await asyncio.to_thread(self._put, key, data, digest)

    async def get(self, key: str) -> bytes:
        """Read the file."""
        return checked(key, await asyncio.to_thread(self._get, key))

    async def url(self, key: str, *, expires: float) -> str | None:
        """A folder has no addresses: the payload goes to the hosts through SSH."""
        del expires
        check_key(key)
        return None

    async def list(self, prefix: str) -> list[str]:
        """Walk the folder."""
        return sorted(await asyncio.to_thread(self._names, prefix))

    def _put(self, key: str, data: bytes | Path, digest: str) -> None:
        path = self.root / check_key(key)
        check_given(key, data, digest)
        with _disk():
            if path.exists() and sha256_file(path) == digest:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = self._write(data)
            try:
                self._name(scratch, path, key)
            finally:
                scratch.unlink(missing_ok=True)
            _sync(path.parent)
            if sha256_file(path) != digest:
                raise unlike(key) if digest_in(key) else taken(key)

    def _write(self, data: bytes | Path) -> Path:
        folder = self.root / _SCRATCH
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / secrets.token_hex(16)
        with scratch.open("xb") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                with data.open("rb") as source:
                    shutil.copyfileobj(source, file)
            file.flush()
            os.fsync(file.fileno())
        return scratch

    def _name(self, scratch: Path, path: Path, key: str) -> None:
        if digest_in(key):
            scratch.replace(path)  # the key fixes the content: a damaged file is mended
            return
        try:
            os.link(scratch, path)  # of two writers the first one wins
        except FileExistsError:
            return

    def _get(self, key: str) -> bytes:
        path = self.root / check_key(key)
        with _disk():
            if not path.is_file():
                raise missing(key)
            return path.read_bytes()

    def _names(self, prefix: str) -> set[str]:
        keys = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())
        return {key for key in keys if key.startswith(prefix) and not key.startswith(_SCRATCH)}


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GopubError(
            "GP342", f"the store's folder cannot be used: {error}", hint="look after its rights and its disk"
        ) from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
