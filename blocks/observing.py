"""Where the judge's numbers and log lines come from."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr

from blocks.connection import DOCUMENTATION, ConnectionBlock
from gopub.health.backends import journald, prometheus
from gopub.spec.kinds import Connection


class PrometheusServer(ConnectionBlock):
    """A Prometheus server.

    Example:
        ```python
        from blocks import PrometheusServer

        prometheus = PrometheusServer.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub Prometheus"
    _block_type_slug = "gopub-prometheus"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = prometheus.Prometheus

    url: str = Field(description="Its address.")
    replicas: list[str] = Field([], description="More servers that scrape the same edges; all are asked.")
    token: SecretStr | None = Field(None, description="A bearer token.")
    user: str | None = Field(None, description="The user of basic auth.")
    password: SecretStr | None = Field(None, description="The password of basic auth.")
    headers: dict[str, str] = Field({}, description="Headers that are no secrets, such as a tenant's name.")
    secret_headers: dict[str, SecretStr] = Field({}, description="Headers that are secrets.")
    ca: str | None = Field(None, description="The file of a private authority's certificate, on each worker.")
    timeout: str | None = Field(None, description="How long an answer may take, such as 10s.")
    runtime: dict[str, str] | None = Field(
        None, description="Labels of the service's own Go runtime metrics, each with a regular expression."
    )


class HostJournal(ConnectionBlock):
    """The journal of each host, read through SSH.

    Example:
        ```python
        from blocks import HostJournal

        journal = HostJournal.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "gopub host journal"
    _block_type_slug = "gopub-journald"
    _documentation_url = DOCUMENTATION
    connection: ClassVar[type[Connection]] = journald.Journald
