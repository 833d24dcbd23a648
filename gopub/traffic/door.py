"""The door to routers: what the connection of any of them is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from gopub.errors import UsageError
from gopub.process import Executor
from gopub.spec.kinds import RouterKind
from gopub.traffic.protocol import EdgeFiles, Router

Connect = Callable[[str], Awaitable[Executor]]
"""Gives the channel to the edge of that name."""


class RouterConnection(RouterKind):
    """A connection behind which edges are."""

    @abstractmethod
    def open(self, edges: Sequence[str], connect: Connect) -> Router:
        """The router over the edges of these names; ``connect`` gives a channel to each. Nobody is contacted yet."""

    async def look_at_files(
        self,
        edges: Sequence[str],  # noqa: ARG002 - for kinds that have files
        connect: Connect,  # noqa: ARG002
        *,
        install: bool,  # noqa: ARG002
    ) -> tuple[EdgeFiles, ...]:
        """Ask every edge whether it takes the files that it has, or gopub's new ones (``install``).

        Raises:
            UsageError: GP511 edges of this kind have no files of gopub's.
        """
        raise UsageError("GP511", f"edges of kind {self.kind} have no files of gopub's", hint="see its own manual")
