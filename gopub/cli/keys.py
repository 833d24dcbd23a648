"""``gopub keys``: a key pair for each role, and who holds which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.cli.saying import say, say_document

if TYPE_CHECKING:
    from gopub.evidence.roles import Roles

app = typer.Typer(no_args_is_help=True, help="Key pairs by role, and the signed list of who holds which.")
_UNCHECKED = "not checked: name the root with --root"


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the pairs and the list lie.")],
    lasting: Annotated[str, typer.Option("--for", help="How long the list holds.")] = "365d",
    passphrase: Annotated[str, typer.Option("--passphrase", help="The variable with the passphrase of all keys.")] = "",
    before: Annotated[
        Path | None, typer.Option("--root-before", help="The folder of the root that a new one takes the place of.")
    ] = None,
) -> None:
    """Make the pairs that are missing, and the list of who holds which, signed by the root."""
    from gopub.clock import SystemClock
    from gopub.spec.kinds import SecretRef
    from gopub.units import seconds
    from gopub.usecases.make_keys import make_keys

    opens = SecretRef(env=passphrase).reveal() if passphrase else None
    made = make_keys(folder, seconds(lasting), SystemClock(), passphrase=opens, before=before)
    for role in made.fresh:
        say(f"made {role}: {folder / role}")
    say(f"{made.file}: serial {made.signed.roles.serial}, until {made.signed.roles.expires}")


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list of roles.")],
    root: Annotated[
        Path | None, typer.Option("--root", help="The root's public key (PEM): it must have signed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show who holds which role, and check who signed the list; one that has expired ends with 3."""
    from gopub.clock import SystemClock
    from gopub.evidence.roles import load_roles
    from gopub.rollout.policy import accepted_key

    signed = load_roles(file)
    roles = signed.by(accepted_key(str(root))) if root else signed.roles
    expired = roles.expired(SystemClock().now())
    if as_json:
        told = {"schema_version": 1, **_told(roles), "expired": expired, "checked": root is not None}
        say_document(json.dumps(told, indent=2))
    else:
        said = " (expired)" if expired else ""
        say(f"serial {roles.serial}, until {roles.expires}{said}{'' if root else f'; {_UNCHECKED}'}")
        for role, key in roles.holders:
            say(f"{role:<10} {key.fingerprint}")
    if expired:
        raise roles.over


def _told(roles: Roles) -> dict[str, object]:
    holders = [{"role": role.value, "key": key.fingerprint} for role, key in roles.holders]
    return {"serial": roles.serial, "expires": roles.expires, "holders": holders}
