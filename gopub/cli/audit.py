"""``gopub audit``: whether the journal's past is still the one that was, and who changed whom hosts trust."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from gopub.cli.saying import say, say_document, say_table
from gopub.errors import Exit

app = typer.Typer(no_args_is_help=True, help="The journal against what the hosts remember of it.")


@app.command()
def trust(
    env: Annotated[str, typer.Option("--env", "-e", help="The environment; default: all of the project.")] = "",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="gopub.yaml, or its folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show who enrolled hosts, changed their keys or their program, and when, by the journal."""
    from gopub.cli.start import choose_env, read_spec
    from gopub.evidence.frame import moment
    from gopub.views.trust import read_trust
    from gopub.wiring import settings

    _, loaded = read_spec(file / "gopub.yaml" if file and file.is_dir() else file)
    envs = (choose_env(loaded, env),) if env else tuple(loaded.spec.environments)
    found = read_trust(settings.journal(), loaded.spec.app, envs)
    if as_json:
        say_document(json.dumps({"schema_version": 1, "changes": [one.to_json() for one in found]}, indent=2))
    elif found:
        say_table(("WHEN", "ENV", "WHO", "WHAT"), [(moment(one.at), one.env, one.actor, one.says) for one in found])
    else:
        say("nobody changed whom hosts trust, by this journal", err=True)


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
