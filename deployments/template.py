"""An empty database as migrations leave it, kept for the next one: they take longer than all else of a server's start.

A kept one is used if it is of this very Prefect and its content is what its name says; whatever else lies there is
removed. It lies in the user's cache, in a folder that nobody else may enter; where that cannot be had, every database
is migrated. Nothing but the schema is in it: it is taken before a server has written anything.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path


def prepare(database: Path, folder: Path, migrate: Callable[[], None]) -> None:
    """Make the database ready: from a kept one, or by ``migrate``, which brings the one that is there up to date.

    One process at a time does so for one database; one that is killed meanwhile leaves what the next goes on with.
    """
    with _alone(database.with_name(database.name + ".lock")):
        fresh = not database.exists()
        ours = _is_ours(folder)
        if fresh and ours and _copied(folder, database):
            fresh = False
        migrate()
        if fresh and ours:
            with suppress(OSError, sqlite3.Error):  # no room, say: the next one migrates again
                keep(database, folder)


def keep(database: Path, folder: Path) -> Path:
    """Keep a copy of a database in ``folder``, whole, under a name that says what is in it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as aside:
        copy = Path(aside) / "copy.db"
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
        return copy.rename(folder / _name(copy.read_bytes()))


def _copied(folder: Path, database: Path) -> bool:
    """Whether the database was made of a kept one."""
    for file in sorted(folder.glob("*.db")):
        with suppress(OSError):
            content = file.read_bytes()
            if file.name == _name(content):
                _write(database, content)
                return True
            file.unlink()  # another Prefect's, or damaged
    return False


def _name(content: bytes) -> str:
    return f"{version('prefect')}-{hashlib.sha256(content).hexdigest()}.db"


def _write(database: Path, content: bytes) -> None:
    """All of it or nothing, and for its owner alone."""
    number, name = tempfile.mkstemp(dir=database.parent, prefix=f".{database.name}.")
    with os.fdopen(number, "wb") as file:
        file.write(content)
    Path(name).rename(database)


def _is_ours(folder: Path) -> bool:
    """Whether only this user can have put anything there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # ends with the process, however that ends
        yield
