"""Edges."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, SecretStr

from blocks.connection import DOCUMENTATION, ConnectionBlock
from gopub.spec.kinds import Connection
from gopub.traffic.backends import nginx


class NginxEdges(ConnectionBlock):
    """Edges: Nginx with the Lua program of gopub.

    Example:
        ```python
        from blocks import NginxEdges

        edges = NginxEdges.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub Nginx edges"
    _block_type_slug = "gopub-nginx"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = nginx.Nginx

    inventory: str = Field(description="A connection of kind inventory, or a path.")
    hosts: str = Field(description="Which hosts are edges, as a selector.")
    socket: str | None = Field(None, description="The control socket on an edge.")
    source: dict[str, Any] | None = Field(
        None, description="Where the edges take their tables from: etcd, consul, file or http, as in connections.yaml."
    )
    metrics: str | None = Field(None, description="The connection of kind prometheus that scrapes these edges.")
    logs: str | None = Field(None, description="The connection of kind journald, logfile or otlp for the hosts behind.")
    sign: str | None = Field(None, description="The file with the private key that signs route tables, on each worker.")
    passphrase: SecretStr | None = Field(None, description="What opens that key, where it has a passphrase.")
    keys: list[str] = Field([], description="Files with public keys that edges believe besides, on each worker.")
