"""A folder as a source: a file ``UPSTREAM.table`` for each upstream, which something else carries to the edges."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gopub.spec.kinds import LocalPath
from gopub.traffic.sources.asking import away
from gopub.traffic.sources.envelope import MOST
from gopub.traffic.sources.keys import FolderOnEdge
from gopub.traffic.sources.protocol import Held, SourceKey

T = TypeVar("T")


class File(SourceKey):
    """A folder on this machine; a shared file system, rsync or a configuration management carries it to the edges."""

    folder: LocalPath
    """Where gopub writes; it has to be there."""
    on_edges: FolderOnEdge
    """Where an edge finds it."""

    def open(self) -> FileSource:
        """The folder; it is not looked at yet."""
        return FileSource(self.folder)

    def settings(self) -> tuple[tuple[str, str], ...]:
        """For the watcher."""
        return (("kind", "file"), ("folder", self.on_edges))


class FileSource:
    """Files that are whole or not there; the mark of one is the digest of what it holds."""

    def __init__(self, folder: Path) -> None:
        """Touch nothing yet."""
        self._folder = folder

    async def read(self, upstream: str) -> Held | None:
        """See ``Source.read``; in a thread, for a file system may be far away."""
        return await asyncio.to_thread(self._told, self._read, upstream)

    async def swap(self, upstream: str, value: bytes, before: Held | None) -> bool:
        """See ``Source.swap``; a lock on the folder keeps other controllers on it away meanwhile."""
        return await asyncio.to_thread(self._told, self._swap, upstream, value, before)

    async def close(self) -> None:
        """Nothing is open."""

    def _told(self, do: Callable[..., T], *args: object) -> T:
        try:
            return do(*args)
        except OSError as error:
            raise away("file", f"{error.filename or self._folder}: {(error.strerror or str(error)).lower()}") from None

    def _path(self, upstream: str) -> Path:
        return self._folder / f"{upstream}.table"

    def _read(self, upstream: str) -> Held | None:
        if not self._folder.is_dir():
            raise NotADirectoryError(20, "is no folder that can be read", str(self._folder))
        try:
            with self._path(upstream).open("rb") as file:
                value = file.read(MOST + 8192)
        except FileNotFoundError:
            return None
        return Held(value, hashlib.sha256(value).hexdigest())

    def _swap(self, upstream: str, value: bytes, before: Held | None) -> bool:
        with (self._folder / ".lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False  # as if they had been quicker
            now = self._read(upstream)
            if (now and now.mark) != (before and before.mark):
                return False
            temporary = self._folder / f".{upstream}.{os.getpid()}"
            with temporary.open("wb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path(upstream))
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return True
