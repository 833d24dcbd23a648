"""Which key holds which role: a list that the root key signs, in lines that a shell can check.

Four keys, so that the theft of one forges one thing:

==========  =============================  ====================================================
role        signs                          its theft lets somebody
==========  =============================  ====================================================
release     what was built                 have a program of theirs looked at by admission
admission   that a release may enter       have what was built, by the release key, enter anywhere
controller  orders and route tables        move what was admitted, to where it was admitted
root        this list                      name keys of their own for all of it
==========  =============================  ====================================================

The lines are what is signed (DSSE, its payload type below), so a shell with openssl checks them as they lie there:

    serial=3
    expires=2027-11-30T12:00:00Z
    threshold=2 (how many of its roots must sign; without this line one is enough)
    release=MFkwEwYH… (SubjectPublicKeyInfo, DER in Base64)
    admission=…
    controller=…
    root=…
    root=…
    (an empty line)
    MEUCIQ… (a DER signature in Base64)
    MEQCIC… (another root's)

A role may stand several times in a row: while keys change, the old one is believed beside the new one. No key holds
two roles. A list takes the place of another one if it has a higher serial, and both the roots of the other and its own
signed it, as many of each as their list asks for. Each key counts once, however often it signed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence.bundle import pre_authentication
from gopub.evidence.frame import LARGEST, Frame, framed, seconds_of
from gopub.evidence.keys import PublicKey, Signer

PAYLOAD_TYPE = "application/vnd.gopub.roles"
MOST = 8
"""Keys of one role."""
MOST_SIGNATURES = 2 * MOST
"""The roots of a list, and those of the one before."""
_FRAME = Frame("GP332", "the list of roles", "have it made and signed anew")
_SERIAL = re.compile(r"[1-9][0-9]{0,8}")
_THRESHOLD = re.compile(r"[2-8]")


class Role(StrEnum):
    """What a key may sign."""

    RELEASE = "release"
    ADMISSION = "admission"
    CONTROLLER = "controller"
    ROOT = "root"


@dataclass(frozen=True, slots=True)
class Roles:
    """Who holds which role until ``expires`` (UTC, as in ``2027-11-30T12:00:00Z``); ``threshold`` of its roots sign."""

    serial: int
    expires: str
    holders: tuple[tuple[Role, PublicKey], ...]
    threshold: int = 1

    def __post_init__(self) -> None:
        """Refuse a list under which one theft would be two.

        Raises:
            RefusedError: GP332 a serial or moment that is none, a role without a key or with too many, roles out of
                their order, a key that holds two, a threshold that its roots cannot meet.
        """
        if not _SERIAL.fullmatch(str(self.serial)):
            _FRAME.refuse("its serial is no number from 1 to 999999999")
        if seconds_of(self.expires) is None:
            _FRAME.refuse("expires is no moment such as 2027-11-30T12:00:00Z")
        roles = [role for role, _ in self.holders]
        if roles != sorted(roles, key=list(Role).index):
            _FRAME.refuse("its roles are not in their order: release, admission, controller, root")
        for role in Role:
            if not 1 <= roles.count(role) <= MOST:
                _FRAME.refuse(f"it has not one to {MOST} keys of the role {role}")
        if not 1 <= self.threshold <= roles.count(Role.ROOT):
            _FRAME.refuse(f"{self.threshold} of its {roles.count(Role.ROOT)} roots would have to sign")
        keys = [key for _, key in self.holders]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice:
            _FRAME.refuse(f"key {twice.fingerprint[:16]} stands twice: one stolen key must not forge two things")

    def of(self, role: Role) -> tuple[PublicKey, ...]:
        """The keys that hold a role."""
        return tuple(key for held, key in self.holders if held is role)

    @property
    def until(self) -> float:
        """Its end in seconds since 1970."""
        return seconds_of(self.expires) or 0.0

    def expired(self, now: float) -> bool:
        """Whether it expired by ``now``, in seconds since 1970."""
        return now >= self.until

    @property
    def over(self) -> RefusedError:
        """The error for a list that has expired."""
        return RefusedError(
            "GP353",
            f"the list of roles {self.serial} has expired: it held until {self.expires}",
            hint="have it signed anew where the root's key is: gopub keys make FOLDER",
        )

    @property
    def lines(self) -> str:
        """As it is signed."""
        keys = "".join(f"{role}={base64.b64encode(key.spki).decode()}\n" for role, key in self.holders)
        threshold = f"threshold={self.threshold}\n" if self.threshold > 1 else ""
        return f"serial={self.serial}\nexpires={self.expires}\n{threshold}{keys}"

    @property
    def signed(self) -> bytes:
        """What a signature is taken over."""
        return pre_authentication(PAYLOAD_TYPE, self.lines.encode())


@dataclass(frozen=True, slots=True)
class SignedRoles:
    """A list and DER signatures that nobody may have checked yet."""

    roles: Roles
    signatures: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """As it travels."""
        return framed(self.roles.lines, *self.signatures)

    def signed_by(self, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
        """Which of these keys signed it, each once."""
        digest = hashlib.sha256(self.roles.signed).digest()
        return tuple(
            key for key in dict.fromkeys(keys) if any(key.accepts(one, digest=digest) for one in self.signatures)
        )

    def missing(self, by: Roles) -> int:
        """How many signatures of the roots of a list it still needs, by that list's threshold."""
        return max(0, by.threshold - len(self.signed_by(by.of(Role.ROOT))))

    def by(self, *roots: PublicKey) -> Roles:
        """The list, if one of these keys signed it, and as many of them and of its own roots as it asks for.

        Raises:
            RefusedError: GP311 none did, or too few.
        """
        signed = set(self.signed_by(roots))
        if not signed:
            known = ", ".join(root.fingerprint[:16] for root in roots) or "nobody"
            raise self._unsigned(f"is not signed by a root that is believed ({known})")
        signed |= set(self.signed_by(self.roles.of(Role.ROOT)))
        if len(signed) < self.roles.threshold:
            raise self._unsigned(f"has {len(signed)} of the {self.roles.threshold} signatures that it asks for")
        return self.roles

    def after(self, known: Roles) -> Roles:
        """The list, in the place of the one that is known: the same again, or a later one that its roots signed.

        Raises:
            RefusedError: GP311 too few roots of the known list signed it, or too few of its own; GP333 it is an
                earlier one, or another of the same serial.
        """
        self.refuse_unsigned(known)
        refuse_before(self.roles, known)
        self.refuse_unsigned(self.roles)
        return self.roles

    def refuse_unsigned(self, by: Roles) -> None:
        """Refuse it where too few roots of a list signed it.

        Raises:
            RefusedError: GP311.
        """
        if self.missing(by):
            signed = len(self.signed_by(by.of(Role.ROOT)))
            raise self._unsigned(f"is signed by {signed} of the {by.threshold} roots that list {by.serial} asks for")

    def with_signature(self, root: Signer) -> Self:
        """The list, signed by one more; the same where that key signed already."""
        if self.signed_by([root.public]):
            return self
        return replace(self, signatures=(*self.signatures, root.sign(self.roles.signed)))

    def _unsigned(self, problem: str) -> RefusedError:
        hint = "it was changed, another root signs here, or somebody has yet to sign: gopub keys show FILE"
        return RefusedError("GP311", f"the list of roles {self.roles.serial} {problem}", hint=hint)


def refuse_before(later: Roles, known: Roles) -> None:
    """Refuse a list that is no later one than the one that is known, and not the same.

    Raises:
        RefusedError: GP333.
    """
    if later.serial < known.serial or (later.serial == known.serial and later != known):
        raise RefusedError(
            "GP333",
            f"the list of roles {later.serial} cannot take the place of {known.serial}",
            hint="somebody brought an old one back, or signed two of one serial",
        )


def sign_roles(roles: Roles, *roots: Signer) -> SignedRoles:
    """Sign a list; whoever signs is one of its roots or of those of the list before."""
    signed = SignedRoles(roles, ())
    for root in roots:
        signed = signed.with_signature(root)
    return signed


def read_roles(text: bytes, *, pending: bool = False) -> SignedRoles:
    """Read a list; whether it is true is for :meth:`SignedRoles.by` to find out.

    One that is ``pending`` may have no signature yet.

    Raises:
        RefusedError: GP332 it is not exactly the lines of a list and its signatures.
    """
    content = f"a serial, an expiry, a key of each role, an empty line and 1 to {MOST_SIGNATURES} signatures"
    lines, signatures = _FRAME.open_all(
        text, least=len(Role) + 2, content=content, fewest=0 if pending else 1, most=MOST_SIGNATURES
    )
    serial, expires = _FRAME.value(lines[0], "serial"), _FRAME.value(lines[1], "expires")
    if not _SERIAL.fullmatch(serial):
        _FRAME.refuse("its serial is no number from 1 to 999999999")
    threshold, holders = 1, lines[2:]
    if holders[0].startswith("threshold="):
        written = _FRAME.value(holders.pop(0), "threshold")
        if not _THRESHOLD.fullmatch(written):
            _FRAME.refuse(f"its threshold is no number from 2 to {MOST}; without the line it is 1")
        threshold = int(written)
    return SignedRoles(Roles(int(serial), expires, tuple(_holders(holders)), threshold), signatures)


def load_roles(file: Path, *, pending: bool = False) -> SignedRoles:
    """The list in a file, checked by nobody yet; one that is ``pending`` may have no signature.

    Raises:
        UsageError: GP334 it cannot be read.
        RefusedError: GP332 it is malformed.
    """
    try:
        with file.open("rb") as opened:
            return read_roles(opened.read(LARGEST + 1), pending=pending)
    except OSError as error:
        raise UsageError(
            "GP334", f"the list of roles {str(file)!r} cannot be read: {(error.strerror or '').lower()}",
            hint="make one with: gopub keys make FOLDER",
        ) from error  # fmt: skip


def _holders(lines: list[str]) -> Iterator[tuple[Role, PublicKey]]:
    for line in lines:
        name, _, value = line.partition("=")
        if name not in set(Role):
            _FRAME.refuse("it has a line of a role that there is not")
        yield Role(name), _key(name, value)


def _key(name: str, value: str) -> PublicKey:
    key = PublicKey(_FRAME.raw(value, f"the key of {name}"))
    try:
        read = PublicKey.parse(key.pem, name=f"the key of {name}")
    except GopubError as error:
        _FRAME.refuse(error.problem)
    if read != key or base64.b64encode(read.spki).decode() != value:
        _FRAME.refuse(f"the key of {name} is not written as it is written")
    return key


def lists_beside(place: Path) -> tuple[SignedRoles, ...]:
    """The list that counts, and before it those that were, by their serials; whoever changes one keeps it there.

    Raises:
        UsageError: GP334 one cannot be read.
        RefusedError: GP332 one is malformed.
    """
    found = [load_roles(one) for one in place.parent.glob(f"{place.name}.[0-9]*")]
    return (*sorted(found, key=lambda one: one.roles.serial), load_roles(place))
