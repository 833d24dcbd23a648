"""Prefect's server in this process: its database made ready, its API served on a socket, with the logins of a proxy."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database import provide_database_interface
from prefect.settings import PREFECT_HOME, get_current_settings

from deployments import logins, template
from gopub.wiring.people import house


def prepare(folder: Path) -> None:
    """Make the SQLite database in PREFECT_HOME ready, if that is this server's; ``folder`` has migrated ones."""
    database = PREFECT_HOME.value() / "prefect.db"
    address = get_current_settings().server.database.connection_url
    if address is None or address.get_secret_value() != f"sqlite+aiosqlite:///{database}":
        return
    template.prepare(database, folder, lambda: asyncio.run(provide_database_interface().create_db()))


def serve_on(number: int) -> None:
    """Serve on the open socket of that number, until a signal ends it."""
    with socket.socket(fileno=number) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(final=True), log_level="warning"))
        server.run([listening])


def serve_with_logins(host: str, port: int, *, webserver_only: bool = False) -> bool:
    """Serve, with who is logged in sealed into answers; False, at once, where people.yaml names no proxy.

    Who a peer is decides whether its word counts. So nothing that a request says may change it: uvicorn would take it
    from ``X-Forwarded-For``. With ``webserver_only`` the background services run elsewhere.

    Raises:
        GopubError: people.yaml is wrong, or a secret that it names cannot be had.
    """
    people = house()
    if people is None or people.proxy is None:
        return False
    around = logins.Logins(create_app(final=True, webserver_only=webserver_only), logins.Trust.of(people.proxy))
    level = get_current_settings().server.logging_level.lower()
    uvicorn.run(around, host=host, port=port, proxy_headers=False, log_level=level)
    return True
