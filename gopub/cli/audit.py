"""``gopub audit``: whether the journal's past is still the one that was."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from gopub.cli.saying import say, say_document
from gopub.errors import Exit

app = typer.Typer(no_args_is_help=True, help="The journal against what the hosts remember of it.")


@app.callback()
def _group() -> None:
    """Keep `verify` a word of its own: a group of one command would be that command."""


@app.command()
def verify(
    env: Annotated[str, typer.Option("--env", "-e", help="The environment; default: all of the project.")] = "",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="gopub.yaml, or its folder.")] = None,
    since: Annotated[
        str, typer.Option("--since", help="Leave out what hosts remember from before, as 2026-11-30T12:00:00Z.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Walk the journal's chain, and hold it against what enrolled hosts remember; ends with 3 where it differs."""
    from gopub.cli.engine import server_blocks
    from gopub.cli.start import choose_env, project_of, read_spec
    from gopub.usecases.audit import Stands, audit, moment

    path, loaded = read_spec(file / "gopub.yaml" if file and file.is_dir() else file)
    envs = (choose_env(loaded, env),) if env else ()
    found = asyncio.run(audit(project_of(path), envs, since=moment(since), elsewhere=server_blocks()))
    if as_json:
        say_document(json.dumps({"schema_version": 1, **found.to_json()}, indent=2))
    else:
        say("\n".join(found.lines()))
    if found.failed:
        raise found.failed
    if found.of(Stands.SILENT):
        raise typer.Exit(int(Exit.PARTIAL))
