"""`gopub diff`: what a rollout would change on which host, before anybody starts one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from gopub.cli import completing
from gopub.cli.saying import say, say_document
from gopub.errors import Exit


def diff(
    env: Annotated[
        str, typer.Argument(help="The environment; default: the only one.", autocompletion=completing.environments)
    ] = "",
    version: Annotated[
        str,
        typer.Argument(
            help="The version that would come; default: the stable one, with the inventory of today.",
            autocompletion=completing.versions,
        ),
    ] = "",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="The gopub.yaml; default: the one here or in a folder above.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 8 where something would change.")] = False,
) -> None:
    """Show what would change on which host: binary, unit, rendered files (secrets masked) and the edges' table.

    Ends with 0; with 5 where hosts did not answer; with 8 where something would change and --exit-code is given.
    """
    from gopub.cli.engine import server_blocks
    from gopub.cli.start import choose_env, project_of, read_spec
    from gopub.usecases.diff import differ

    path, loaded = read_spec(file)
    env = choose_env(loaded, env)
    found = asyncio.run(differ(loaded.spec.app, env, version, project_of(path), server_blocks()))
    if as_json:
        say_document(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        say("\n".join(found.lines()))
    if found.silent:
        raise typer.Exit(int(Exit.PARTIAL))
    if exit_code and found.changes:
        raise typer.Exit(int(Exit.DRIFT))
