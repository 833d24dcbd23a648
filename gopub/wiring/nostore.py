"""No store at all: going back must not need one, and this makes sure that it does not."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from gopub.errors import GopubError
from gopub.store.protocol import Sink


class NoStore:
    """An artifact store that refuses everything."""

    async def put(self, key: str, data: bytes | Path, *, digest: str) -> None:
        """Refuse."""
        _refuse(key, (data, digest))

    async def get(self, key: str, *, limit: int) -> bytes:
        """Refuse."""
        _refuse(key, limit)

    async def copy(self, key: str, into: Sink, *, limit: int) -> int:
        """Refuse."""
        _refuse(key, (into, limit))

    async def url(self, key: str, *, expires: float) -> str | None:
        """Refuse."""
        _refuse(key, expires)

    async def list(self, prefix: str) -> list[str]:
        """Refuse."""
        _refuse(prefix)


def _refuse(key: str, _unused: object = None) -> NoReturn:
    raise GopubError("GP727", f"a rollback asked the store for {key!r}", hint="it must not: report this")
