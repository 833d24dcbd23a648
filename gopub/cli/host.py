"""``gopub host``: hosts that carry out only what is signed, and what was on a host before gopub."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from gopub.cli import enrolling, rooting
from gopub.cli.saying import say, say_document
from gopub.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Hosts: enrolled ones, and those on which a service was before gopub.")
app.command("enroll")(enrolling.enroll)
app.command("unenroll")(enrolling.unenroll)
app.command("list")(enrolling.show)
app.command("rotate")(rooting.rotate)
app.command("revoke")(rooting.revoke)
app.command("upgrade")(rooting.upgrade)
app.command("roles")(rooting.roles)


@app.command()
def adopt(
    hosts: Annotated[list[str] | None, typer.Argument(help="Hosts by name; default: all of the env.")] = None,
    env: Annotated[str, typer.Option("--env", "-e", help="The environment.")] = "",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="gopub.yaml, or its folder.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it is only told.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell, and call that a success.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the word back, where no release runs yet.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the journal.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Let gopub take the place of a service that was there before. It runs on until a rollout switches its host."""
    from gopub.cli.engine import server_blocks
    from gopub.cli.start import choose_env, project_of, read_spec
    from gopub.usecases.adopt_host import adopt as give_word

    path, loaded = read_spec(file / "gopub.yaml" if file and file.is_dir() else file)
    env = choose_env(loaded, env)
    found = asyncio.run(give_word(project_of(path), env, hosts or (), undo=undo, do=yes and not dry_run,
                                  reason=reason, elsewhere=server_blocks()))  # fmt: skip
    if as_json:
        say_document(json.dumps({"schema_version": 1, **found.to_json()}, indent=2))
    else:
        say("\n".join(found.lines()))
    if found.failed:
        raise found.failed
    for name, record in (found.done or {}).items():
        say(f"{name}: {record.message}", err=True)
    if found.meant and not yes and not dry_run:
        what = "taken back" if undo else "adopted"
        raise UsageError("GP458", f"nothing was {what} on {', '.join(found.meant)}: the word is missing",
                         hint="say --yes, or --dry-run to look only")  # fmt: skip
