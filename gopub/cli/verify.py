"""``gopub verify``: check a release and its evidence, offline, by a key that the caller names."""

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
    from gopub.release import VerifyReport
    from gopub.store import ArtifactStore


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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check every digest, signature, statement and archive of a release. Nothing but the store is contacted."""
    report = asyncio.run(_verify(release, app, store, key))
    if as_json:
        say_document(json.dumps({"schema_version": 1, **report.to_json()}, indent=2))
    else:
        _print(report)
    if not report.accepted:
        failed = ", ".join(check.name for check in report.checks if not check.passed)
        raise RefusedError(
            "GP350",
            f"{report.app} {report.version} is not what it says: {failed}",
            hint="do not roll it out; see the reasons above",
        )


async def _verify(name: str, app: str, store: str, key: str) -> VerifyReport:
    from gopub.release import read_stored, verify_stored
    from gopub.rollout.policy import accepted_key

    known_app, opened = _surroundings(store)
    by = accepted_key(key)
    return await verify_stored(opened, await read_stored(opened, app or known_app or None, name), by, name)


def _surroundings(store: str) -> tuple[str, ArtifactStore]:
    """The app of the gopub.yaml here, if there is one, and the store."""
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
        return app, store_in(Path(store).resolve())
    return app, connections.get(store or named, StoreConnection).open()


def _print(report: VerifyReport) -> None:
    say(f"{report.app} {report.version}  {report.release_id}")
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        say(f"  {'ok  ' if check.passed else 'FAIL'}  {check.name:<{width}}  {check.reason}")
