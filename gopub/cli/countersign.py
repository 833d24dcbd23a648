"""``gopub countersign``: a further signature under a published release."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.cli import completing
from gopub.cli.saying import say

if TYPE_CHECKING:
    from gopub.release.config import SigningKey
    from gopub.wiring.project import Project


def countersign(
    release: Annotated[
        str, typer.Argument(metavar="RELEASE", help="A version, or a release id.", autocompletion=completing.versions)
    ],
    env: Annotated[
        str,
        typer.Option("--env", "-e", help="The environment whose admit.signed says `all`.",
                     autocompletion=completing.environments),
    ],
    key: Annotated[str, typer.Option("--key", help="Sign with this private key: a connection, or a file (PEM).")] = "",
    keyless: Annotated[str, typer.Option("--keyless", help="Sign by this Sigstore: a connection.")] = "",
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", exists=True, dir_okay=False, help="Add this signature over release.json."),
    ] = None,
) -> None:  # fmt: skip
    """Verify a release, then sign its release.json as well, where a policy wants several to have signed."""
    from gopub.spec.finding import find_spec
    from gopub.usecases.countersign import add_signature
    from gopub.wiring.project import open_project

    if bool(key) + bool(keyless) + (bundle is not None) != 1:
        raise typer.BadParameter("name one of --key, --keyless and --bundle")
    project = open_project(find_spec(Path()))
    made = _read(bundle) if bundle is not None else _signing(key, keyless, project)
    done = asyncio.run(add_signature(project, env, release, made))
    say(f"{done.report.app} {done.report.version}  {done.report.release_id}")
    say(f"signed by {done.report.signer[:200]}, and by {done.by.signer[:200]}")


def _read(path: Path) -> bytes:
    from gopub.release.countersigning import LARGEST

    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _signing(key: str, keyless: str, project: Project) -> SigningKey:
    from gopub.release.config import local_keys, signing_key
    from gopub.spec.models import SignSpec

    asked = SignSpec(keyless=keyless) if keyless else SignSpec(key=key)
    return signing_key(asked, project.connections, keys=local_keys())
