"""A store in a folder: one file per key, whole or absent, on disk before ``put`` returns."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal

from gopub.errors import GopubError, RefusedError
from gopub.spec.kinds import LocalPath
from gopub.store.keys import check_key, digest_in, is_key
from gopub.store.protocol import (
    MAX_KEYS,
    Sink,
    StoreConnection,
    check_given,
    drain,
    missing,
    taken,
    too_many,
    unlike,
)

_SCRATCH = ".incoming"
_BLOCK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a writer would wait for ever


class Directory(StoreConnection):
    """An artifact store in a folder of this machine."""

    kind: Literal["directory"] = "directory"
    path: LocalPath
    """The folder."""

    def open(self) -> DirectoryStore:
        """The store in the folder."""
        return DirectoryStore(self.path)


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """Keeps objects below ``root``; whoever may write there cannot lead a reader out of it.

    ``root`` may be a link. Nothing below it may be: a key is walked folder by folder, without following.
    """

    root: Path

    async def put(self, key: str, data: bytes | Path, *, digest: str) -> None:
        """Write into a scratch file, then give it its name."""
        await asyncio.to_thread(self._put, key, data, digest)

    async def get(self, key: str, *, limit: int) -> bytes:
        """Read the file."""
        data = io.BytesIO()
        await self.copy(key, data, limit=limit)
        return data.getvalue()

    async def copy(self, key: str, into: Sink, *, limit: int) -> int:
        """Copy the file."""
        return await asyncio.to_thread(self._copy, key, into, limit)

    async def url(self, key: str, *, expires: float) -> str | None:
        """A folder has no addresses: the payload goes to the hosts through SSH."""
        del expires
        check_key(key)
        return None

    async def list(self, prefix: str) -> list[str]:
        """Walk the folder."""
        return sorted(await asyncio.to_thread(self._names, prefix))

    def _put(self, key: str, data: bytes | Path, digest: str) -> None:
        check_key(key)
        check_given(key, data, digest)
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        with _disk():
            if self._digest(key, size) == digest:
                return
            self.root.mkdir(parents=True, exist_ok=True)
            folder = self._folder(key, make=True)
            try:
                scratch = self._write(data)
                try:
                    self._name(scratch, folder, key)
                finally:
                    scratch.unlink(missing_ok=True)
                os.fsync(folder)
            finally:
                os.close(folder)
            if self._digest(key, size) != digest:
                raise unlike(key) if digest_in(key) else taken(key)

    def _write(self, data: bytes | Path) -> Path:
        folder = self.root / _SCRATCH
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise _no_file(_SCRATCH)
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

    def _name(self, scratch: Path, folder: int, key: str) -> None:
        name = key.rpartition("/")[2]
        if digest_in(key):
            os.replace(scratch, name, dst_dir_fd=folder)  # the key fixes the content: a damaged file is mended
            return
        try:
            os.link(scratch, name, dst_dir_fd=folder)  # of two writers the first one wins
        except FileExistsError:
            return

    def _copy(self, key: str, into: Sink, limit: int) -> int:
        with self._open(key) as file:
            # One byte more than may be there shows that there is more; no more of it is read.
            return drain(key, _blocks(file, limit + 1), into, limit)

    def _digest(self, key: str, size: int) -> str | None:
        """What is there; a file of another size is not read, for it may have no end to speak of: None as well."""
        try:
            with self._open(key) as file:
                if os.fstat(file.fileno()).st_size != size:
                    return None
                return hashlib.file_digest(file, "sha256").hexdigest()
        except GopubError as error:
            if error.code == missing(key).code:
                return None
            raise

    @contextmanager
    def _open(self, key: str) -> Iterator[FileIO]:
        check_key(key)
        with _disk():
            folder = self._folder(key)
            try:
                handle = _opened(key.rpartition("/")[2], _FILE, key, folder)
            finally:
                os.close(folder)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise _no_file(key)
            with os.fdopen(handle, "rb", buffering=0) as file:
                yield file

    def _folder(self, key: str, *, make: bool = False) -> int:
        """The folder of a key, opened (and made) without following a link below the root."""
        folder = _opened(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, key)
        for part in key.split("/")[:-1]:
            try:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                inner = _opened(part, _FOLDER, key, folder)
            finally:
                os.close(folder)
            folder = inner
        return folder

    def _names(self, prefix: str) -> set[str]:
        found: set[str] = set()
        with _disk():
            for folder, folders, names in os.walk(self.root, followlinks=False):
                folders[:] = [name for name in folders if not name.startswith(".")]
                inside = Path(folder).relative_to(self.root)
                files = (name for name in names if stat.S_ISREG((Path(folder) / name).lstat().st_mode))
                keys = {(inside / name).as_posix() for name in files}
                found |= {key for key in keys if key.startswith(prefix) and is_key(key)}
                if len(found) > MAX_KEYS:
                    raise too_many(prefix)
        return found


def _opened(path: Path | str, how: int, key: str, folder: int | None = None) -> int:
    """A handle of what is there; a link on the way, or something else than a file, is told as what it is."""
    try:
        return os.open(path, how, dir_fd=folder)
    except FileNotFoundError:
        raise missing(key) from None
    except OSError as error:
        # ELOOP and ENOTDIR: a link; ENXIO and ENODEV: a socket, a device. Of the root it is the disk's business.
        if folder is not None and error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV}:
            raise _no_file(key) from None
        raise


def _blocks(file: FileIO, most: int) -> Iterator[bytes]:
    while most > 0 and (block := file.read(min(_BLOCK, most))):
        most -= len(block)
        yield block


def _no_file(key: str) -> RefusedError:
    return RefusedError(
        "GP345",
        f"{key} is not a regular file in a folder of the store",
        hint="links, pipes and devices are never followed: who put it there?",
    )


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GopubError(
            "GP342", f"the store's folder cannot be used: {error}", hint="look after its rights and its disk"
        ) from error
