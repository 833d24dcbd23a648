"""``gopub admit``: policies, tried on releases."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.cli import completing
from gopub.cli.saying import say, say_document

if TYPE_CHECKING:
    from gopub.usecases.try_policy import Tried

app = typer.Typer(no_args_is_help=True, help="Try a policy on a release.")


@app.callback()
def _root() -> None:
    """Have sub-commands even while there is one."""


@app.command("test")
def try_out(
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="A YAML file with `admit`, or a gopub.yaml.")],
    release: Annotated[
        str, typer.Argument(metavar="RELEASE", help="A version, or a release id.", autocompletion=completing.versions)
    ],
    env: Annotated[str, typer.Option("--env", "-e", help="The environment; needed with a gopub.yaml.")] = "",
    project: Annotated[Path, typer.Option("--project", help="The folder with gopub.yaml.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Hold a release against a policy, touching nothing: each check with its reason. Keys lie beside the policy."""
    from gopub.spec.finding import FILE
    from gopub.spec.loader import load_admit
    from gopub.usecases.try_policy import try_policy
    from gopub.wiring.project import open_project

    opened = open_project(project)
    if policy.name == FILE:
        theirs = open_project(policy)
        admit, folder = theirs.environment(env).admit, theirs.folder
    else:
        admit, folder = load_admit(policy), policy.resolve().parent
    tried = try_policy(admit, replace(opened, folder=folder), opened.spec.app, env, release)
    show(asyncio.run(tried), as_json=as_json)


def show(tried: Tried, *, as_json: bool) -> None:
    """Print it.

    Raises:
        RefusedError: GP315 the release may not enter.
    """
    if as_json:
        say_document(json.dumps({"schema_version": 1, **tried.to_json()}, indent=2))
    else:
        for line in tried.lines():
            say(line)
    if tried.refusal is not None:
        raise tried.refusal
