"""``gopub verify``: check a release and its evidence, offline, by a key or an identity that the caller names."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.cli import completing
from gopub.cli.saying import say, say_document
from gopub.errors import GopubError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gopub.release import VerifyReport
    from gopub.spec.connections import Connections
    from gopub.store import ArtifactStore

_NOBODY = "say who may have signed it: --key FILE, or --identity, --issuer and --trust"


def verify(
    release: Annotated[
        str,
        typer.Argument(
            help="A version, or a release id (at least 8 digits of it).", autocompletion=completing.versions
        ),
    ],
    app: Annotated[
        str, typer.Option("--app", help="The app; by default that of gopub.yaml here.", autocompletion=completing.apps)
    ] = "",
    store: Annotated[
        str, typer.Option("--store", help="A connection or a folder; by default that of gopub.yaml here.")
    ] = "",
    key: Annotated[str, typer.Option("--key", help="The public key (PEM); by default the local one.")] = "",
    identity: Annotated[str, typer.Option("--identity", help="Whose certificate signed; may have stars.")] = "",
    issuer: Annotated[str, typer.Option("--issuer", help="Who vouches for the identity: an address.")] = "",
    trust: Annotated[
        str, typer.Option("--trust", help="Whose certificates, logs and times count: a connection or a file.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    env: Annotated[
        str,
        typer.Option(
            "--env", "-e", help="Hold it against this environment's policy.", autocompletion=completing.environments
        ),
    ] = "",
    into: Annotated[
        Path | None, typer.Option("--save", help="With --env: a folder for what was stated, as lines and as bundles.")
    ] = None,
) -> None:
    """Check every digest, signature, statement and archive of a release. Nothing but the store is contacted."""
    by = {"key": key, "identity": identity, "issuer": issuer, "trust": trust}
    if into and not env:
        raise typer.BadParameter("--save without --env: what was stated was stated in an environment")
    if env:
        given = {"--app": app, "--store": store, **{f"--{name}": value for name, value in by.items()}}
        _hold_against(env, release, given, into, as_json=as_json)
        return
    report = asyncio.run(_verify(release, app, store, by))
    if as_json:
        say_document(json.dumps({"schema_version": 1, **report.to_json()}, indent=2))
    else:
        _print(report)
    if not report.accepted:
        failed = ", ".join(check.name for check in report.checks if not check.passed)
        raise RefusedError(
            "GP350",
            f"{report.app} {report.version} is not what it says: {failed}",
            hint="do not roll it out; see the reasons above" if report.signer else _NOBODY,
        )


def _hold_against(env: str, release: str, given: Mapping[str, str], into: Path | None, *, as_json: bool) -> None:
    """What the environment of the gopub.yaml here asks; whose key and which store are its word as well."""
    from gopub.cli.admit import show
    from gopub.spec.finding import find_spec
    from gopub.usecases.read_statements import save_statements
    from gopub.usecases.try_policy import hold_against
    from gopub.wiring.project import open_project

    beside = " and ".join(name for name, value in given.items() if value)
    if beside:
        raise typer.BadParameter(f"{beside} with --env: the project says whose key counts, and where releases are")
    project = open_project(find_spec(Path()))
    tried = asyncio.run(hold_against(project, env, release))
    for path in save_statements(tried.stated or (), into) if into else ():
        say(f"wrote {path}", err=True)
    show(tried, as_json=as_json)


async def _verify(name: str, app: str, store: str, signed: Mapping[str, str]) -> VerifyReport:
    from gopub.release import read_stored, verify_stored
    from gopub.usecases.who_signed import asked_for

    known_app, opened, connections = _surroundings(store)
    by = asked_for(signed, connections)
    return await verify_stored(opened, await read_stored(opened, app or known_app or None, name), by, name)


def _surroundings(store: str) -> tuple[str, ArtifactStore, Connections]:
    """The app of the gopub.yaml here, if there is one, the store and the connections."""
    from gopub.spec.finding import find_spec
    from gopub.spec.loader import load_spec
    from gopub.store.protocol import StoreConnection
    from gopub.wiring.project import load_connections, store_in

    app, project, named = "", Path(), "directory"
    try:
        found = find_spec(Path())
    except GopubError:
        pass  # a release can be verified anywhere
    else:
        spec = load_spec(found).spec
        app, project, named = spec.app, found.parent, spec.publish.store
    connections = load_connections(project)
    if store and not connections.has(store) and Path(store).is_dir():
        return app, store_in(Path(store).resolve()), connections
    return app, connections.get(store or named, StoreConnection).open(), connections


def _print(report: VerifyReport) -> None:
    say(f"{report.app} {report.version}  {report.release_id}")
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        say(f"  {check.word}  {check.name:<{width}}  {check.reason}")
