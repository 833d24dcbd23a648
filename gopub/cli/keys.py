"""``gopub keys``: a key pair for each role, and who holds which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.cli.saying import say, say_document
from gopub.errors import UsageError

if TYPE_CHECKING:
    from gopub.evidence.keys import PublicKey
    from gopub.evidence.roles import Role, Roles
    from gopub.usecases.root_lists import Made

app = typer.Typer(no_args_is_help=True, help="Key pairs by role, and the signed list of who holds which.")
_UNCHECKED = "not checked: name the root with --root"


_PASSPHRASE = typer.Option("--passphrase", help="The variable with the passphrase of all keys.")
_ROOT_PAIR = typer.Option("--root", help="The folder of a root's pair that signs; may be named several times.")


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the pairs and the list lie.")],
    lasting: Annotated[str, typer.Option("--for", help="How long the list holds.")] = "365d",
    passphrase: Annotated[str, _PASSPHRASE] = "",
    before: Annotated[
        Path | None, typer.Option("--root-before", help="The folder of the root that a new one takes the place of.")
    ] = None,
    roots: Annotated[list[Path] | None, _ROOT_PAIR] = None,
    threshold: Annotated[
        int | None, typer.Option("--threshold", help="How many roots must sign; as many as until now, or one.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="ROLE", help="Believe its keys of until now beside the new.")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option("--also", metavar="ROLE=PEM", help="A public key of somebody else for a role.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="FINGERPRINT", help="A key that goes out of the list.")
    ] = None,
) -> None:
    """Make the pairs that are missing, and the list of who holds which, signed by its roots."""
    from gopub.clock import SystemClock
    from gopub.units import seconds
    from gopub.usecases.make_keys import Wanted, make_keys

    wanted = Wanted(threshold, [_role(one) for one in keep or ()], _others(also or ()), drop or ())
    made = make_keys(folder, seconds(lasting), SystemClock(), passphrase=_opens(passphrase), before=before,
                     roots=roots or (), wanted=wanted)  # fmt: skip
    for name in made.fresh:
        say(f"made {name}: {folder / name}")
    _say_made(made)


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list of roles, such as FOLDER/roles.pending.")],
    roots: Annotated[list[Path] | None, _ROOT_PAIR] = None,
    passphrase: Annotated[str, _PASSPHRASE] = "",
) -> None:
    """Add a root's signature to a list, or only look; one that was pending takes its place when enough have signed."""
    from gopub.usecases.root_lists import sign_file
    from gopub.usecases.upgrade_hosts import is_word, sign_word

    if is_word(file):
        missing = sign_word(file, roots or (), passphrase=_opens(passphrase))
        say(f"{file}: signed; it needs {missing}" if missing else f"{file}: enough have signed")
        return
    _say_made(sign_file(file, roots or (), passphrase=_opens(passphrase)))


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
    from gopub.evidence.roles import Role, load_roles
    from gopub.rollout.policy import accepted_key

    signed = load_roles(file, pending=True)
    roles = signed.by(accepted_key(str(root))) if root else signed.roles
    expired, missing = roles.expired(SystemClock().now()), signed.missing(roles)
    signers = {one.fingerprint for one in signed.signed_by(roles.of(Role.ROOT))}
    if as_json:
        told = {"schema_version": 1, **_told(roles), "expired": expired, "checked": root is not None,
                "threshold": roles.threshold, "signed": sorted(signers), "missing": missing}  # fmt: skip
        say_document(json.dumps(told, indent=2))
    else:
        said = " (expired)" if expired else ""
        say(f"serial {roles.serial}, until {roles.expires}{said}{'' if root else f'; {_UNCHECKED}'}")
        for role, key in roles.holders:
            say(f"{role:<10} {key.fingerprint}{' signed' if key.fingerprint in signers else ''}")
        say(f"signed by {len(signers)} of its roots, {roles.threshold} must{f': {missing} missing' if missing else ''}")
    if expired:
        raise roles.over


def _say_made(made: Made) -> None:
    roles = made.signed.roles
    say(f"{made.file}: serial {roles.serial}, until {roles.expires}")
    if made.lacks:
        raise made.unsigned


def _opens(passphrase: str) -> str | None:
    from gopub.spec.kinds import SecretRef

    return SecretRef(env=passphrase).reveal() if passphrase else None


def _role(name: str) -> Role:
    from gopub.evidence.roles import Role

    if name not in set(Role):
        raise UsageError("GP334", f"{name!r} is no role", hint=f"roles are {', '.join(Role)}")
    return Role(name)


def _others(also: list[str] | tuple[()]) -> dict[Role, list[PublicKey]]:
    from gopub.rollout.policy import accepted_key

    found: dict[Role, list[PublicKey]] = {}
    for one in also:
        name, is_named, pem = one.partition("=")
        if not is_named or not pem:
            raise UsageError("GP334", f"{one!r} names no key", hint="such as --also root=alice.pub")
        found.setdefault(_role(name), []).append(accepted_key(pem))
    return found


def _told(roles: Roles) -> dict[str, object]:
    holders = [{"role": role.value, "key": key.fingerprint} for role, key in roles.holders]
    return {"serial": roles.serial, "expires": roles.expires, "holders": holders}
