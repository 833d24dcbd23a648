"""With which list of roles and by which SSH key hosts are enrolled: what is named, or what is made where nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gopub import __version__
from gopub.clock import Clock
from gopub.errors import GopubError, RefusedError
from gopub.evidence.roles import Role, SignedRoles, load_roles, read_roles
from gopub.fleet.enrolling import Stands, login_line
from gopub.fleet.loginkey import NAME, make_login, public_half
from gopub.fleet.logins import logins_with
from gopub.release.config import local_keys
from gopub.source.versions import is_older
from gopub.usecases.make_keys import FILE, make_keys

LASTING = 365 * 86400.0
"""Seconds for which a list holds that is made here."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a person or a connection names; what is None is in the local keys."""

    roles: Path | None = None
    login: Path | None = None
    ca: Path | None = None

    @property
    def roles_file(self) -> Path:
        """The list of roles."""
        return self.roles or local_keys() / FILE

    @property
    def login_file(self) -> Path:
        """The private key of user gopub."""
        return self.login or local_keys() / "ssh" / NAME


@dataclass(frozen=True, slots=True)
class Keys:
    """The list that hosts get, the lines that let user gopub in, and what was made just now."""

    roles: SignedRoles
    login: str
    made: tuple[str, ...] = ()


def keys_for(named: Named, clock: Clock, *, make: bool) -> Keys | None:
    """The keys to enrol with; where there are none they are made, or (without ``make``) it is None.

    Raises:
        UsageError: GP334 a list that is named cannot be read.
        RefusedError: GP311 it is not signed by its roots, GP332 it is malformed, GP353 it has expired.
        GopubError: GP481 the SSH key cannot be read.
    """
    signed, login, made = _roles(named, clock), _login(named), list[str]()
    if (signed is None or login is None) and not make:
        return None
    if signed is None:
        make_keys(named.roles_file.parent, LASTING, clock)
        made.append(f"keys of every role: {named.roles_file.parent}")
        signed = load_roles(named.roles_file)
    if login is None:
        make_login(named.login_file.parent)
        made.append(f"the SSH key of user gopub: {named.login_file}")
        login = login_line(public_half(named.login_file))
    return Keys(signed, login, tuple(made))


def keys_where_fit(
    stood: Mapping[str, Stands], named: Named, clock: Clock, *, only_login: bool, older_program: bool, make: bool
) -> tuple[Keys | None, dict[str, GopubError]]:
    """The keys to enrol these hosts with, and those that may not be; none are made for hosts that are all refused.

    Raises:
        UsageError, RefusedError, GopubError: as :func:`keys_for`.
    """
    signed, refused = _roles(named, clock), dict[str, GopubError]()
    for name, stands in stood.items():
        try:
            refuse_other_roots(stands, signed)
            if not older_program:
                refuse_newer_program(stands, __version__)
        except GopubError as error:
            refused[name] = error
    keys = keys_for(named, clock, make=make and len(refused) < len(stood))
    for name, stands in stood.items():
        try:
            if keys and name not in refused:
                logins_with(stands, keys.login, alone=only_login)
        except GopubError as error:
            refused[name] = error
    return keys, refused


def _roles(named: Named, clock: Clock) -> SignedRoles | None:
    """The list that there is; None where it is to be made."""
    if named.roles is None and not named.roles_file.exists():
        return None
    signed = load_roles(named.roles_file)
    signed.refuse_unsigned(signed.roles)
    if signed.roles.expired(clock.now()):
        raise signed.roles.over
    return signed


def _login(named: Named) -> str | None:
    """The line that lets user gopub in; None where its key is to be made."""
    if named.ca is not None:
        return login_line(public_half(named.ca), certified=True)
    if named.login is None and not named.login_file.exists():
        return None
    return login_line(public_half(named.login_file))


def serial_of(stands: Stands) -> int:
    """The serial of the list that lies on a host; 0 where there is none, or a damaged one."""
    try:
        return read_roles(stands.roles).roles.serial
    except RefusedError:
        return 0


def refuse_other_roots(stands: Stands, signed: SignedRoles | None) -> None:
    """Refuse to enrol a host under a list that its own roots do not know; None is one that is yet to be made. Pure.

    Raises:
        RefusedError: GP482; GP333 the host holds a later list.
    """
    if not stands.roles and not stands.roots:
        return
    if signed is None:
        raise _other(stands, "the keys that it believes do not lie here, and new ones would be strangers to it")
    try:
        known = read_roles(stands.roles).roles
    except RefusedError:  # damaged: the keys beside it still say whose it is
        if not {key.fingerprint for key in signed.roles.of(Role.ROOT)} & set(stands.roots):
            raise _other(stands, "its list of roles is damaged, and the root keys beside it are others") from None
        return
    if signed.missing(known):
        roots = ", ".join(key.fingerprint[:16] for key in known.of(Role.ROOT))
        raise _other(stands, f"it believes the roots {roots}, and too few of them signed this list")
    signed.after(known)


def refuse_newer_program(stands: Stands, ours: str) -> None:
    """Refuse to lay this gopub's program over a newer one: what that has learnt to refuse would be let in again. Pure.

    Raises:
        RefusedError: GP452.
    """
    if is_older(ours, stands.version):
        raise RefusedError(
            "GP452", f"{stands.host} has the program of gopub {stands.version}, and this one is {ours}",
            hint="enrol it with that gopub or a later one, or say --older-program",
        )  # fmt: skip


def _other(stands: Stands, why: str) -> RefusedError:
    return RefusedError(
        "GP482", f"{stands.host} is enrolled under other roots: {why}",
        hint="enrol it with the list of those roots, or take it out first: gopub host unenroll HOST",
    )  # fmt: skip
