"""``gopub logs``: what the judge knows of a service's error lines."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gopub.canon import Json
from gopub.cli import completing
from gopub.cli.saying import say, say_document

app = typer.Typer(no_args_is_help=True, help="Show the classes of error lines that are known; mark harmless ones.")


@app.command()
def classes(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="The app.", autocompletion=completing.apps)],
    env: Annotated[str, typer.Argument(metavar="ENV", help="The environment.", autocompletion=completing.environments)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the classes of error lines of the newest rollouts: how often on each track, and since when."""
    from gopub.views.logclasses import class_lines, read_classes
    from gopub.wiring import settings

    found = read_classes(settings.journal(), app_name, env)
    if as_json:
        rows: list[Json] = [one.to_json() for one in found]
        say_document(json.dumps({"schema_version": 1, "classes": rows}, ensure_ascii=False, indent=2))
    elif found:
        say("\n".join(class_lines(found)))
    else:
        say("no error lines are known: no rollout read any, or none read the logs", err=True)


@app.command()
def harmless(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="The app.", autocompletion=completing.apps)],
    env: Annotated[str, typer.Argument(metavar="ENV", help="The environment.", autocompletion=completing.environments)],
    name: Annotated[str, typer.Argument(metavar="CLASS", help="A template or a kind of error, as `classes` has it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the journal.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Let it count again.")] = False,
) -> None:
    """Let a class of error lines count no longer, from the next reading on; a panic does, unless its kind is marked."""
    from gopub.cli.meaning import insist_known
    from gopub.usecases.mark_logs import mark_class
    from gopub.views.logclasses import is_known
    from gopub.wiring import settings

    insist_known(app_name, env)
    journal = settings.journal()
    if not undo and not is_known(journal, app_name, env, name):
        say(
            f"no rollout into {env} has had {name!r} of late; `gopub logs classes` has each as it is to be written",
            err=True,
        )
    mark_class(journal, app_name, env, name, reason, harmless=not undo)
    say(f"{name!r} counts {'again' if undo else 'no longer'} in {env}, from the next reading on", err=True)
