"""`gopub release`, `rollout` and `deploy`: start a flow here, tell what happens, end with its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gopub.canon import Json
from gopub.cli import completing
from gopub.cli.driving import drive
from gopub.cli.saying import say, say_document
from gopub.errors import UsageError
from gopub.telemetry import log

if TYPE_CHECKING:
    from gopub.spec.loader import Loaded

SpecOption = Annotated[
    Path | None, typer.Option("--file", "-f", help="The gopub.yaml; default: the one here or in a folder above.")
]
EnvOption = Annotated[str, typer.Option("--env", "-e", help="The environment.", autocompletion=completing.environments)]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout at the end.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the journal.")]


def release(
    ref: Annotated[str, typer.Argument(help="Branch, tag or commit.", autocompletion=completing.refs)] = "HEAD",
    repository: Annotated[
        str, typer.Option("--repository", "-r", help="A git repository: path or URL; default: that of gopub.yaml here.")
    ] = "",
    version: Annotated[
        str, typer.Option("--version", help="Default: the tag at the commit, else one after the last tag.")
    ] = "",
    file: Annotated[str, typer.Option("--file", "-f", help="gopub.yaml within the repository.")] = "gopub.yaml",
    as_json: JsonOption = False,
) -> None:
    """Build, prove and publish a commit."""
    from gopub.cli.engine import run_flow
    from gopub.wiring.folder import here

    where = _here(repository)
    parameters: dict[str, Json] = {
        "repository": where, "ref": ref, "version": version, "spec_file": file, "project": here(where, file),
    }  # fmt: skip
    log("release").info("releasing %s of %s", ref, where)  # the engine takes its time before anybody else speaks
    made = cast("dict[str, str]", run_flow("release", parameters))
    if as_json:
        say_document(json.dumps({"schema_version": 1, **made}))
        return
    say(f"{made['app']} {made['version']}  {made['release_id']}")


def rollout(
    version: Annotated[str, typer.Argument(help="The version to bring in.", autocompletion=completing.versions)],
    env: EnvOption = "",
    file: SpecOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    clear_quarantine: Annotated[str, typer.Option(help="Allow a quarantined release again, and why.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Admit and plan as a rollout does, print both, change nothing.")
    ] = False,
) -> None:
    """Bring a published release into an env, judged on the way."""
    path, loaded = read_spec(file)
    app, env = loaded.spec.app, choose_env(loaded, env)
    project = project_of(path)
    if dry_run:
        _print_plan(app, env, version, project, as_json)
        return
    _refuse(app, env, version, project, clear_quarantine)
    log("release").info("rolling %s out into %s", version, env)
    drive(
        "rollout",
        app,
        env,
        {"app": app, "env": env, "version": version, "project": project, "reason": reason},
        as_json=as_json,
    )


def deploy(
    ref: Annotated[str, typer.Argument(help="Branch, tag or commit.", autocompletion=completing.refs)] = "HEAD",
    env: EnvOption = "",
    file: SpecOption = None,
    version: Annotated[
        str, typer.Option("--version", help="Default: the tag at the commit, else one after the last tag.")
    ] = "",
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    downgrade: Annotated[bool, typer.Option("--downgrade", help="Though a newer version is stable there.")] = False,
    config_only: Annotated[
        bool, typer.Option("--config-only", help="Build nothing: the stable release, with the inventory of today.")
    ] = False,
) -> None:
    """Release a commit of this repository, then roll it out."""
    import asyncio

    from gopub.cli.engine import server_blocks
    from gopub.usecases.refuse import refuse_project
    from gopub.usecases.refuse_order_key import refuse_order_key

    path, loaded = read_spec(file)
    app, env = loaded.spec.app, choose_env(loaded, env)
    project = project_of(path)
    if config_only:
        _config_only(app, env, project, reason, as_json=as_json, plain=(ref, version, downgrade) == ("HEAD", "", False))
        return
    parameters: dict[str, Json] = {
        "app": app, "repository": str(path.parent), "env": env, "ref": ref, "version": version,
        "spec_file": path.name, "project": project, "reason": reason, "downgrade": downgrade,
    }  # fmt: skip
    refuse_project(project, app, env)  # before an engine is started for what would be refused
    asyncio.run(refuse_order_key(project, env, server_blocks()))
    log("release").info("releasing %s of %s, then rolling it out into %s", ref, path.parent, env)
    drive("deploy", app, env, parameters, as_json=as_json)


def _config_only(app: str, env: str, project: str, reason: str, *, as_json: bool, plain: bool) -> None:
    """Roll the stable release out again: its files are rendered anew for each host.

    Raises:
        UsageError: GP555 nothing is stable there, GP561 something else is named as well.
    """
    from gopub.usecases.start import stable_there

    if not plain:
        raise UsageError("GP561", "--config-only builds nothing, and a commit, a version or --downgrade is named",
                         hint="leave them out; what the commit's templates say comes by a release")  # fmt: skip
    stable = stable_there(app, env)
    _refuse(app, env, stable, project, "")
    log("release").info("rolling the stable release out into %s again, with the inventory of today", env)
    parameters: dict[str, Json] = {"app": app, "env": env, "version": stable, "project": project, "reason": reason}
    drive("rollout", app, env, parameters, as_json=as_json)


def _refuse(app: str, env: str, version: str, project: str, clear_quarantine: str) -> None:
    """What would be refused is refused before an engine is started for it."""
    import asyncio

    from gopub.cli.engine import server_blocks
    from gopub.usecases.clear_quarantine import clear
    from gopub.usecases.refuse import refuse_rollout
    from gopub.usecases.start import released

    if clear_quarantine:
        clear(app, env, asyncio.run(released(project, app, env, version, server_blocks())), clear_quarantine)
    asyncio.run(refuse_rollout(project, app, env, version, server_blocks()))


def _print_plan(app: str, env: str, version: str, project: str, as_json: bool) -> None:
    import asyncio

    from gopub.cli.engine import server_blocks
    from gopub.usecases.rehearse import rehearse

    found = asyncio.run(rehearse(app, env, version, project, server_blocks()))
    if as_json:
        say_document(json.dumps({"schema_version": 1, **found.to_json()}, indent=2))
    else:
        say("\n".join(found.lines()))
    if found.refusal:
        raise found.refusal


def read_spec(file: Path | None = None) -> tuple[Path, Loaded]:
    """A project's gopub.yaml and where it lies: the file that is named, else the nearest one, here or above.

    Raises:
        SpecError: GP110 there is none; what is wrong with it.
    """
    from gopub.spec.finding import find_spec
    from gopub.spec.loader import load_spec

    path = file.resolve() if file else find_spec(Path())
    return path, load_spec(path)


def project_of(path: Path) -> str:
    """What a rollout keeps as its project: the folder of gopub.yaml, or the file where it has another name."""
    from gopub.spec.finding import FILE

    return str(path.parent if path.name == FILE else path)


def choose_env(loaded: Loaded, wanted: str) -> str:
    """The environment that is meant: as given, else the only one."""
    names = list(loaded.spec.environments)
    if wanted in names:
        return wanted
    if not wanted and len(names) == 1:
        return names[0]
    known = ", ".join(names) or "none"
    what = f"there is no environment {wanted!r}" if wanted else "no environment is named"
    raise UsageError("GP942", f"{what}; gopub.yaml has {known}", hint="pass --env NAME")


def _here(repository: str) -> str:
    from gopub.spec.address import refuse_password

    if "://" in repository or ("@" in repository and ":" in repository):
        return refuse_password(repository)
    return str(Path(repository).resolve())
