"""A key pair for each role, and the list of who holds which, signed by the root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gopub.clock import Clock
from gopub.errors import UsageError
from gopub.evidence.frame import moment
from gopub.evidence.keys import generate, private_key_in
from gopub.evidence.roles import Role, Roles, SignedRoles, load_roles, sign_roles
from gopub.paths import private_folder

LONGEST = 3650 * 86400.0
"""Seconds for which a list may hold: one that nobody has to sign anew is looked after by nobody."""
FILE = "roles"
"""The list's name, in the folder of the keys."""


@dataclass(frozen=True, slots=True)
class Made:
    """The list, where it lies, and the roles whose keys are new."""

    file: Path
    signed: SignedRoles
    fresh: tuple[Role, ...]


def make_keys(
    folder: Path, lasting: float, clock: Clock, *, passphrase: str | None = None, before: Path | None = None
) -> Made:
    """Make the pairs that are missing, and the list anew with the next serial; ``lasting`` are seconds.

    Where the root's pair is a new one, the root that signed until now is named by its folder, ``before``: it signs the
    list that names the next one, for whoever knows the old list.

    Raises:
        UsageError: GP334 it would hold for no time or too long, or the root of the list that is there is missing.
        RefusedError: GP332 the list that is there is malformed.
        GopubError: GP300, GP301 a key cannot be used.
    """
    if not 0 < lasting <= LONGEST:
        problem = "a list of roles holds for some time, and for ten years at the most"
        raise UsageError("GP334", problem, hint="such as --for 365d")
    known = load_roles(folder / FILE).roles if (folder / FILE).exists() else None
    private_folder(folder)
    fresh = tuple(role for role in Role if not private_key_in(folder / role).private.exists())
    if before is None and known and Role.ROOT in fresh:
        raise _rootless(folder, known)
    signers = {role: generate(folder / role, passphrase).signer(passphrase) for role in Role}
    root = private_key_in(before).signer(passphrase) if before else signers[Role.ROOT]
    if known and root.public not in known.of(Role.ROOT):
        raise _rootless(folder, known)
    holders = tuple((role, signers[role].public) for role in Role)
    roles = Roles(known.serial + 1 if known else 1, moment(clock.now() + lasting), holders)
    signed = sign_roles(root, roles)
    _write(folder / FILE, signed)
    return Made(folder / FILE, signed, fresh)


def _rootless(folder: Path, known: Roles) -> UsageError:
    return UsageError(
        "GP334",
        f"the list of roles in {str(folder)!r} names another root than the one that is to sign",
        hint=f"name the folder of key {known.of(Role.ROOT)[0].fingerprint[:16]}: --root-before FOLDER",
    )


def _write(file: Path, signed: SignedRoles) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(signed.text, "ascii")
    part.replace(file)
