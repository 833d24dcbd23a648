"""Locks between processes that work on the same lab or on the cache; the kernel frees them when a holder dies."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from gopub.paths import private_file

_RETRY = 0.2


@asynccontextmanager
async def locked(path: Path, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock file ``path``; says so once if somebody else holds it, and waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with private_file(path).open("w") as file:
        if not _taken(file):
            tell(f"waiting for another gopub that holds {path}")
            while not _taken(file):  # noqa: ASYNC110 - another process tells no event
                await asyncio.sleep(_RETRY)
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
