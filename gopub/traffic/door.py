"""The door to routers: what the connection of any of them is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gopub.errors import UsageError
from gopub.process import Executor
from gopub.spec.kinds import RouterKind, SecretRef
from gopub.traffic.protocol import EdgeFiles, Router
from gopub.traffic.signed import TableKey

Connect = Callable[[str], Awaitable[Executor]]
"""Gives the channel to the edge of that name."""


@dataclass(frozen=True, slots=True)
class TableSigning:
    """Where the key is that signs route tables: its private half (PEM) and what opens it.

    ``also`` are public keys (PEM) that edges believe besides, while one key takes the place of another.
    """

    private: Path
    passphrase: SecretRef | None = None
    also: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class KeysLaid:
    """What becomes of the keys on an edge when its files are laid.

    ``keys`` are fingerprint and PEM of those that are laid, ``off`` the fingerprints of those that are taken off; all
    others stay.
    """

    keys: tuple[tuple[str, bytes], ...] = ()
    off: tuple[str, ...] = ()


class RouterConnection(RouterKind):
    """A connection behind which edges are."""

    @abstractmethod
    def open(self, edges: Sequence[str], connect: Connect) -> Router:
        """The router over the edges of these names; ``connect`` gives a channel to each. Nobody is contacted yet."""

    def control(self) -> str:
        """Where an edge's own control socket lies, which an enrolled edge is told once; empty where it has none."""
        return ""

    def signing(self) -> TableSigning | None:
        """What signs the tables of these edges; None where they go unsigned."""
        return None

    def open_signed(self, edges: Sequence[str], connect: Connect, key: Callable[[], TableKey]) -> Router:  # noqa: ARG002 - for kinds that sign
        """As :meth:`open`, where :meth:`signing` says something; ``key`` opens the key, and may raise a GopubError."""
        return self.open(edges, connect)

    async def look_at_files(
        self,
        edges: Sequence[str],  # noqa: ARG002 - for kinds that have files
        connect: Connect,  # noqa: ARG002
        *,
        install: bool,  # noqa: ARG002
        laid: KeysLaid | None = None,  # noqa: ARG002
    ) -> tuple[EdgeFiles, ...]:
        """Ask every edge whether it takes the files that it has, or gopub's new ones and ``laid`` keys (``install``).

        Raises:
            UsageError: GP511 edges of this kind have no files of gopub's.
        """
        raise UsageError("GP511", f"edges of kind {self.kind} have no files of gopub's", hint="see its own manual")
