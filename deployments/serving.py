"""Prefect's server in this process: its database made ready, its API served on a socket that somebody opened."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database import provide_database_interface
from prefect.settings import PREFECT_HOME, get_current_settings

from deployments import template


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
