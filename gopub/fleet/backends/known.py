"""Pinned host keys: which keys a host may show, and what to say when it shows another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh

from gopub.canon import bounded
from gopub.errors import RefusedError, UsageError

DEFAULT = Path("~/.ssh/known_hosts")


class Pinned:
    """The keys of one known_hosts file; remembers for one connection whether the host is in it."""

    def __init__(self, path: Path | None) -> None:
        """Read the file.

        Raises:
            UsageError: GP418 when it cannot be read.
        """
        self.path = path or DEFAULT
        self.listed = False
        try:
            self.path = self.path.expanduser()
            self._keys = asyncssh.read_known_hosts(str(self.path))
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~user, and there is no such user
            why = error.strerror if isinstance(error, OSError) else bounded(str(error))
            raise UsageError(
                "GP418",
                f"the pinned host keys {str(self.path)!r} cannot be read: {why}",
                hint="write them with ssh-keyscan over a network that you trust, and compare fingerprints",
            ) from error

    def match(self, host: str, addr: str, port: int | None) -> Any:
        """What asyncssh asks for: trusted keys, authorities, revoked keys and so on."""
        found = asyncssh.match_known_hosts(self._keys, host, addr, port)
        self.listed = bool(found[0] or found[1])
        return found

    def refusal(self, name: str, error: Exception) -> RefusedError:
        """The error for a host whose key was not accepted: GP411 unknown, GP412 changed."""
        if self.listed:
            return RefusedError(
                "GP412",
                f"{name} shows another host key than the one pinned in {self.path}: {error}",
                hint="if the machine was replaced, check its new fingerprint at its console, then change the pin",
            )
        return RefusedError(
            "GP411",
            f"{name} has no host key in {self.path}",
            hint="check its fingerprint at its console, then add the key there",
        )
