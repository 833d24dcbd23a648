"""Prefect Blocks: connections of connections.yaml, registered on a server, with their secrets in it.

A Block holds the fields of its kind (it lies with its backend) and nothing more. ``BLOCKS`` lists every class.
"""

from __future__ import annotations

from blocks.access import Inventory, SigningKey, SshAccess
from blocks.connection import ConnectionBlock
from blocks.derived import block_of
from blocks.observing import HostJournal, PrometheusServer
from blocks.stores import DirectoryStore, S3Store
from blocks.traffic import NginxEdges
from gopub.spec.kinds import kind_of
from gopub.wiring.backends import BACKENDS

_WRITTEN = {
    kind_of(block.connection): block
    for block in (
        DirectoryStore,
        S3Store,
        Inventory,
        NginxEdges,
        PrometheusServer,
        HostJournal,
        SshAccess,
        SigningKey,
    )
}
BLOCKS: tuple[type[ConnectionBlock], ...] = tuple(
    _WRITTEN.get(kind) or block_of(connection) for kind, connection in BACKENDS.ours().items()
)
"""The Block of every kind of our own, in their order."""


def block_for(kind: str) -> type[ConnectionBlock] | None:
    """The Block of a kind, a plug-in's included, which is imported for it; None where there is no such kind.

    Raises:
        GopubError: GP968 it is a plug-in's, and cannot be used.
    """
    connection = BACKENDS.find(kind)
    return _WRITTEN.get(kind) or (block_of(connection) if connection else None)
