"""`gopub setup`: make a Prefect server ready for gopub."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gopub.cli.saying import say, say_document


def setup(
    server: Annotated[str, typer.Option("--server", help="The server's API; default: PREFECT_API_URL.")] = "",
    projects: Annotated[
        Path | None,
        typer.Option("--projects", help="Its apps get forms, and what may be missed; default: the one that is found."),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take over what another gopub made of the same.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout at the end.")] = False,
) -> None:
    """Set up a Prefect server: pool, limits, blocks, deployments, forms, automations. Can be repeated at any time."""
    from gopub.cli.engine import load
    from gopub.paths import project_root

    point_at(server)
    root = project_root()
    changes = asyncio.run(load("deployments.setup:set_up")(root, projects, take_over=take_over))
    if as_json:
        done = [
            {"kind": change.kind, "name": change.name, "did": change.did, **({"why": change.why} if change.why else {})}
            for change in changes
        ]
        say_document(json.dumps({"schema_version": 1, "changes": done}))
        return
    for change in changes:
        say(str(change))
    url = load("deployments.engine:require_server")()
    say(f"\nstart a worker with:\n  {load('deployments.server:worker_command')(url, root)}", err=True)


def point_at(server: str) -> str:
    """Make Prefect use this server; before it is imported, since it reads its settings then.

    Gives its address where the environment does not name it already: other commands would go elsewhere.
    """
    if not server:
        return ""
    url = server.rstrip("/")
    url = url if url.endswith("/api") else f"{url}/api"
    before, os.environ["PREFECT_API_URL"] = os.environ.get("PREFECT_API_URL"), url
    return url if url != before else ""
