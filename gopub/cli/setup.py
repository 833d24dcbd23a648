"""`gopub setup`: make a Prefect server ready for gopub."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated

import typer

from gopub.cli.saying import say, say_document


def setup(
    server: Annotated[str, typer.Option("--server", help="The server's API; default: PREFECT_API_URL.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout at the end.")] = False,
) -> None:
    """Set up a Prefect server: work pool, limits, blocks, deployments, watchdog. Can be repeated at any time."""
    from gopub.cli.engine import load
    from gopub.paths import project_root

    point_at(server)
    root = project_root()
    changes = asyncio.run(load("deployments.setup:set_up")(root))
    if as_json:
        done = [{"kind": change.kind, "name": change.name, "did": change.did} for change in changes]
        say_document(json.dumps({"schema_version": 1, "changes": done}))
        return
    for change in changes:
        say(str(change))
    url = load("deployments.engine:require_server")()
    say(f"\nstart a worker with:\n  {load('deployments.server:worker_command')(url, root)}", err=True)


def point_at(server: str) -> None:
    """Make Prefect use this server; before it is imported, since it reads its settings then."""
    if server:
        url = server.rstrip("/")
        os.environ["PREFECT_API_URL"] = url if url.endswith("/api") else f"{url}/api"
