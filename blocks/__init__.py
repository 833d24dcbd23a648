"""Prefect Blocks: connections of connections.yaml, registered on a server, with their secrets in it.

A Block holds the fields of its kind (it lies with its backend) and nothing more. ``BLOCKS`` lists every class.
"""

from __future__ import annotations

from blocks.access import Inventory, SigningKey, SshAccess
from blocks.connection import ConnectionBlock
from blocks.observing import HostJournal, PrometheusServer
from blocks.stores import DirectoryStore, S3Store
from blocks.traffic import NginxEdges

BLOCKS: tuple[type[ConnectionBlock], ...] = (
    DirectoryStore,
    S3Store,
    Inventory,
    NginxEdges,
    PrometheusServer,
    HostJournal,
    SshAccess,
    SigningKey,
)
"""Every Block, in the order of the kinds."""
