"""``gopub notify``: who is told of rollouts, tried out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from gopub.canon import Json
from gopub.cli import completing
from gopub.cli.saying import say, say_document
from gopub.errors import Exit

app = typer.Typer(no_args_is_help=True, help="Try out who is told of an environment's rollouts.")


@app.callback()
def _root() -> None:
    """Have sub-commands even while there is one."""


@app.command("test")
def try_out(
    env: Annotated[str, typer.Argument(metavar="ENV", help="The environment.", autocompletion=completing.environments)],
    project: Annotated[Path, typer.Option("--project", help="The folder with gopub.yaml.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send one message to each connection of `notify`, and say what came back."""
    from gopub.usecases.try_notify import try_notify
    from gopub.views.messages import trial
    from gopub.wiring.project import open_project

    opened = open_project(project)
    came = asyncio.run(try_notify(opened, env, lambda lang: trial(opened.spec.app, env, lang)))
    if as_json:
        rows: list[Json] = [{"to": told.name, "taken": answer.taken, "says": answer.says} for told, answer in came]
        say_document(json.dumps({"schema_version": 1, "sent": rows}, ensure_ascii=False, indent=2))
    else:
        for told, answer in came:
            say(f"{told.name}: {'sent' if answer.taken else 'NOT sent'} ({answer.says})")
    if not all(answer.taken for _, answer in came):
        raise typer.Exit(int(Exit.FAILED))
