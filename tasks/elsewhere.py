"""Where names are looked for that connections.yaml does not have: the Blocks of the server, imported when one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gopub.spec.kinds import Connection
from gopub.spec.references import Reference

if TYPE_CHECKING:
    from blocks.resolve import ServerBlocks


class Elsewhere:
    """`blocks.resolve.ServerBlocks`, which every kind of backend and its libraries come with.

    A scheduled run that finds nothing to do needs none of them, and where files have all names no rollout does.
    """

    def words(self) -> str:
        """The place as an error names it."""
        return _blocks().words()

    async def find(self, reference: Reference) -> Connection | None:
        """As `ServerBlocks.find`."""
        return await _blocks().find(reference)


def _blocks() -> ServerBlocks:
    from blocks.resolve import ServerBlocks  # noqa: PLC0415 - see above

    return ServerBlocks()
