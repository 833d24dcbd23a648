"""The door to routers: what the connection of any of them is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from gopub.process import Executor
from gopub.spec.kinds import RouterKind
from gopub.traffic.protocol import Router

Connect = Callable[[str], Awaitable[Executor]]
"""Gives the channel to the edge of that name."""


class RouterConnection(RouterKind):
    """A connection behind which edges are."""

    @abstractmethod
    def open(self, edges: Sequence[str], connect: Connect) -> Router:
        """The router over the edges of these names; ``connect`` gives a channel to each. Nobody is contacted yet."""
