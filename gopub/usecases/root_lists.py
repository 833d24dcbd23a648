"""Where a list of roles lies that roots sign: whole in its place, or pending beside it until enough have signed."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gopub.errors import LockedError, PartialError, RefusedError
from gopub.evidence.frame import moment
from gopub.evidence.keys import KeySigner, private_key_in
from gopub.evidence.roles import Role, Roles, SignedRoles, load_roles, refuse_before

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gopub.evidence.keys import PublicKey

PENDING = ".pending"
"""What the name of a list ends with that too few have signed."""


@dataclass(frozen=True, slots=True)
class Made:
    """The list, where it lies, whose keys are new, and who has yet to sign, in words; nobody where it is whole."""

    file: Path
    signed: SignedRoles
    fresh: tuple[str, ...]
    lacks: tuple[str, ...] = ()

    @property
    def unsigned(self) -> PartialError:
        """The error for whoever needs the list whole."""
        return PartialError(
            "GP486",
            f"the list of roles {self.signed.roles.serial} is not whole yet: it needs {' and '.join(self.lacks)}",
            hint=f"take {self.file} to whoever has such a key: gopub keys sign FILE --root FOLDER",
        )


@contextmanager
def alone(*folders: Path) -> Iterator[None]:
    """One change at a time of the keys and the list that lie in these folders; whoever is killed holds nothing.

    Raises:
        LockedError: GP498 somebody else changes them.
    """
    with ExitStack() as held:
        for folder in dict.fromkeys(one.resolve() for one in folders):
            handle = os.open(folder, os.O_RDONLY)
            held.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError("GP498", f"somebody else changes the keys in {str(folder)!r}",
                                  hint="wait until that has ended; then call this again") from error  # fmt: skip
        yield


def sign_file(file: Path, roots: Sequence[Path], *, passphrase: str | None = None) -> Made:
    """Add signatures to a list; one that was pending takes its place when enough have signed.

    Where the list before does not lie beside it stays what it is called, to be brought back.

    Raises:
        UsageError: GP334 the list cannot be read.
        RefusedError: GP332 it is malformed; GP333 it is no later one than the one that lies beside it; GP311 a key that
            is neither a root of the list nor of the one that is known.
        GopubError: GP300, GP301 a key cannot be used.
    """
    with alone(file.parent) if file.parent.is_dir() else nullcontext():
        signed = load_roles(file, pending=True)
        place = file.with_name(file.name.removesuffix(PENDING))
        known = load_roles(place).roles if place != file and place.exists() else None
        if known:
            refuse_before(signed.roles, known)
        elif signed.roles.serial > 1:
            place = file  # at a desk without the list before: whether that one's roots signed is seen where it is
        allowed = {*signed.roles.of(Role.ROOT), *(known.of(Role.ROOT) if known else ())}
        for folder in roots:
            root = KeySigner.load(private_key_in(folder).private, passphrase=passphrase)
            if root.public not in allowed and not (place == file and _may_have_been_root(file, signed.roles, root)):
                raise stranger(root)
            signed = signed.with_signature(root)
        return laid(place, signed, known, (), pending=place != file)


def _may_have_been_root(file: Path, roles: Roles, root: KeySigner) -> bool:
    """Whether a list by itself leaves open that this key was a root before; the first one has none before it."""
    before = file.with_name(f"{file.name.removesuffix(PENDING)}.{roles.serial - 1}")
    if before.exists():
        return root.public in load_roles(before).roles.of(Role.ROOT)
    return roles.serial > 1


def lacking(signed: SignedRoles, known: Roles | None) -> tuple[str, ...]:
    """Who has yet to sign a list that takes the place of the one that is known, in words. Pure."""
    said = []
    for roles, name in ((known, "of the list before"), (signed.roles, "of this list")):
        if roles is None or not signed.missing(roles) or (roles is known and known == signed.roles):
            continue
        signers = set(signed.signed_by(roles.of(Role.ROOT)))
        left = ", ".join(one.fingerprint[:16] for one in roles.of(Role.ROOT) if one not in signers)
        said.append(f"{signed.missing(roles)} more of the roots {name} ({left})")
    return tuple(said)


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs a list that changes: the folders of roots' pairs and what opens them; until when it holds (seconds)."""

    roots: Sequence[Path] = ()
    passphrase: str | None = None
    until: float = 0.0


def relist(place: Path, holders: Sequence[tuple[Role, PublicKey]], by: Signing) -> Made:
    """The list that is there with other holders and the next serial; the very same where it has these already.

    One that is pending with these holders gets the signatures that it lacks, and takes its place with the last.

    Raises:
        RefusedError: GP311 somebody is to sign who is no root; GP332 the list would be none.
        UsageError: GP334 the list cannot be read.
        GopubError: GP300, GP301 a key cannot be used.
    """
    known = load_roles(place)
    if known.roles.holders == tuple(holders):
        return Made(place, known, ())
    waiting = place.with_name(place.name + PENDING)
    signed = load_roles(waiting, pending=True) if waiting.exists() else None
    if signed is None or signed.roles.holders != tuple(holders) or signed.roles.serial <= known.roles.serial:
        serial = next_serial(place, known.roles)
        signed = SignedRoles(Roles(serial, moment(by.until), tuple(holders), known.roles.threshold), ())
    allowed = {*known.roles.of(Role.ROOT), *signed.roles.of(Role.ROOT)}
    for root in at_hand(place, by):
        if root.public not in allowed:
            raise stranger(root)
        signed = signed.with_signature(root)
    return laid(place, signed, known.roles, ())


def at_hand(place: Path, by: Signing) -> list[KeySigner]:
    """The roots who sign: those that are named, else those whose pairs lie beside the list."""
    pairs = [private_key_in(folder) for folder in by.roots or sorted(place.parent.glob("root*"))]
    return [one.signer(by.passphrase) for one in pairs if by.roots or one.private.exists()]


def stranger(root: KeySigner) -> RefusedError:
    """The error for a key that is to sign and is no root's."""
    return RefusedError(
        "GP311",
        f"key {root.public.fingerprint[:16]} is no root of this list, nor of the one that is known",
        hint="compare with: gopub keys show FILE",
    )


def laid(
    place: Path, signed: SignedRoles, known: Roles | None, fresh: tuple[str, ...], *, pending: bool = True
) -> Made:
    """Put a list where it belongs: in the place of the one that is known, or beside it where it lacks signatures."""
    lacks = lacking(signed, known)
    waiting = place.with_name(place.name + PENDING)
    if lacks and pending:
        _write(waiting, signed)
        return Made(waiting, signed, fresh, lacks)
    if known and known.serial < signed.roles.serial:
        _keep(place, known.serial)
    _write(place, signed)
    waiting.unlink(missing_ok=True)
    return Made(place, signed, fresh, lacks)


def _keep(place: Path, serial: int) -> None:
    """Lists that were stay beside: a host that missed one whose roots changed needs it before the next."""
    kept = place.with_name(f"{place.name}.{serial}")
    if not kept.exists():
        kept.hardlink_to(place)


def next_serial(place: Path, known: Roles | None) -> int:
    """The next one; a list that is pending has one, too, and may have been signed by somebody."""
    waiting = place.with_name(place.name + PENDING)
    last = load_roles(waiting, pending=True).roles.serial if waiting.exists() else 0
    return max(last, known.serial if known else 0) + 1


def _write(file: Path, signed: SignedRoles) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(signed.text, "ascii")
    part.replace(file)
