"""Who the people are here, and who sits at this terminal."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from gopub.errors import UsageError
from gopub.spec.kinds import SecretRef
from gopub.spec.people import LEAST_SECRET, People, Who, find_people, load_people
from gopub.wiring.backends import BACKENDS

_LOGIN = Path("/proc/self/loginuid")
_UNSET = 2**32 - 1
"""What the kernel says where no login began this process: in a container, or a service of the machine."""


def house() -> People | None:
    """people.yaml as it stands now; None where this house has none.

    Raises:
        SpecError: what is wrong with it.
    """
    path = find_people()
    return load_people(path, BACKENDS) if path else None


def strong(secret: SecretRef) -> str:
    """A secret that nobody guesses.

    Raises:
        UsageError: GP142 there is none, GP990 it is short.
    """
    text = secret.reveal()
    if len(text) < LEAST_SECRET:
        raise UsageError("GP990", f"{secret} holds fewer than {LEAST_SECRET} characters", hint="openssl rand -hex 32")
    return text


def os_login() -> Who:
    """Who types here, by the kernel: the login that began the session, which ``su`` and ``sudo`` leave as it was.

    Where the kernel knows no login, it is the user of this process. After ``sudo`` to a shared user that is nobody in
    particular: then ``SUDO_USER`` says who, and whoever is that user can set it, so nothing vouches for it.
    """
    return told(_login_user(), os.getuid(), os.environ.get("SUDO_USER", ""))


def told(login: int | None, user: int, sudo: str) -> Who:
    """The same, of the login's number if there is one, the number of this process's user, and what sudo said."""
    if login is not None:
        return Who("os", _name(login), "the login of this machine's session")
    if sudo and sudo != _name(user):
        return Who("os", sudo)
    return Who("os", _name(user), "the user of this machine")


def _login_user() -> int | None:
    try:
        number = int(_LOGIN.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return None if number == _UNSET else number


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
