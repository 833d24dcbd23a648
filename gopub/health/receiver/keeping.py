"""Files of received lines: one for each service, of bounded size, turned over, for their owner alone.

`SERVICE.jsonl` is written, `SERVICE.jsonl.1` is the one before; what was in that one is gone. There is never a moment
without a file of the first name, and whoever reads by inode and offset reads on in the old one. What a request holds
is written as a whole or not at all: a full disk leaves neither half a line, nor a line that its sender will send again.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gopub.errors import GopubError

MOST_SERVICES = 32
"""Files at most; who sends chooses the names, so there is an end to them."""
SPARE = 64 * 1024 * 1024
"""Bytes of the file system that are left to others."""
_END = ".jsonl"
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

NOT_TAKEN = "its service is not one that this receiver takes"
NO_MORE = f"this receiver has files of {MOST_SERVICES} other services"


class NoRoomError(Exception):
    """Nothing was written, and may be later: the disk is full, or the folder cannot be written."""


class Keeper:
    """The only one that writes a folder."""

    def __init__(self, folder: Path, *, most: int, services: frozenset[str] = frozenset(), spare: int = SPARE) -> None:
        """Take the folder for as long as this object lives; ``services``: nobody else's records are taken.

        Raises:
            GopubError: GP976 it is no folder of this user alone, or another receiver writes there.
        """
        self._folder, self._most, self._only, self._spare = folder, most, services, spare
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise GopubError(
                "GP976",
                f"{folder} is a folder that others may write",
                hint="name one that belongs to the receiver's user, with mode 0700 or 0755",
            )
        self._lock = os.open(folder / ".lock", _APPEND, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise GopubError(
                "GP976", f"another receiver writes to {folder}", hint="end it, or give this one a folder of its own"
            ) from None
        self._known = {file.name.removesuffix(_END) for file in folder.glob(f"*{_END}")}

    def close(self) -> None:
        """Let another one write."""
        os.close(self._lock)

    def refuses(self, service: str) -> str:
        """Why nothing of a service is kept, empty where it is: it then has a place."""
        if self._only and service not in self._only:
            return NOT_TAKEN
        if service not in self._known and len(self._known) >= MOST_SERVICES:
            return NO_MORE
        self._known.add(service)
        return ""

    def keep(self, lines: Mapping[str, bytes | bytearray]) -> None:
        """Write whole lines of services, all of them or none.

        Raises:
            NoRoomError: none.
        """
        opened: list[tuple[int, int]] = []
        try:
            self._insist_room(sum(map(len, lines.values())))
            for service, data in lines.items():
                opened.append(self._open(self._folder / f"{service}{_END}", len(data)))
                _write(opened[-1][0], data)
        except OSError as error:
            for file, size in opened:
                with suppress(OSError):
                    os.ftruncate(file, size)
            raise NoRoomError(error.strerror or str(error)) from error
        finally:
            for file, _ in opened:
                os.close(file)

    def trouble(self) -> str:
        """Why not even an empty line would be kept now; empty where it would."""
        try:
            self._insist_room(0)
        except OSError as error:
            return f"nothing can be kept now: {error.strerror or error}"
        except NoRoomError as error:
            return f"nothing can be kept now: {error}"
        return ""

    def _insist_room(self, wanted: int) -> None:
        system = os.statvfs(self._folder)
        free = system.f_bavail * system.f_frsize
        if free < wanted + self._spare:
            raise NoRoomError(f"{free >> 20} MiB are free on the disk, and {self._spare >> 20} are left to others")

    def _open(self, path: Path, wanted: int) -> tuple[int, int]:
        """The file of this name with room for so many bytes, and its size; after a half line a new one begins."""
        file, size = _opened(path)
        if size and size + wanted > self._most:
            os.close(file)
            _turn_over(path)
            file, size = _opened(path)
        try:
            if size and os.pread(file, 1, size - 1) != b"\n":
                _write(file, b"\n")
                size += 1
        except OSError:
            os.close(file)
            raise
        return file, size


def _opened(path: Path) -> tuple[int, int]:
    file = os.open(path, _APPEND, 0o600)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(file)
        raise OSError(0, f"{path.name} is no file of the receiver")
    return file, found.st_size


def _turn_over(path: Path) -> None:
    """Give the file its second name before a new one takes the first."""
    old, linked, fresh = (path.with_name(path.name + end) for end in (".1", ".1.new", ".new"))
    for left in (linked, fresh):
        left.unlink(missing_ok=True)
    os.close(os.open(fresh, _APPEND | os.O_EXCL, 0o600))
    os.link(path, linked)
    linked.replace(old)
    linked.unlink(missing_ok=True)  # two names of one file, of a turn that was cut short: the system leaves both
    fresh.replace(path)


def _write(file: int, data: bytes | bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
