"""Who may log in to an enrolled host as user gopub: the lines of its authorized_keys that are gopub's own. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib

from gopub.errors import GopubError
from gopub.fleet.enrolling import Stands, login_line

MOST = 16384
"""Bytes of that file that are looked at. A host tells one more, so that a longer file is known for one."""


def own_lines(text: str) -> tuple[str, ...]:
    """The lines that gopub wrote, each once. Another one may allow anything: it is nobody's whom gopub knows."""
    return tuple(dict.fromkeys(line for line in text.split("\n") if _key(line)))


def fingerprints(text: str) -> tuple[str, ...]:
    """Of the keys of these lines, as `ssh-keygen -l` tells them; of an authority it is said that it is one."""
    return tuple(
        f"SHA256:{base64.b64encode(hashlib.sha256(_key(line)).digest()).decode().rstrip('=')}"
        f"{' (authority)' if line.startswith('cert-authority,') else ''}"
        for line in own_lines(text)
    )


def logins_with(stands: Stands, login: str, *, alone: bool = False) -> str:
    """The file with this line in it: beside those of other controllers under the same roots, or ``alone``.

    Where no roots lie on the host nobody can tell whose the lines are: none is kept.

    Raises:
        GopubError: GP481 the file is longer than what a host tells of it, or would be.
    """
    if alone or not (stands.roles or stands.roots):
        return login
    if len(stands.login.encode(errors="surrogateescape")) > MOST:
        raise _too_long(stands, "is")
    lines = dict.fromkeys((*own_lines(stands.login), *login.splitlines()))
    text = "".join(f"{line}\n" for line in lines)
    if len(text) > MOST:
        raise _too_long(stands, "would be")
    return text


def _too_long(stands: Stands, verb: str) -> GopubError:
    return GopubError(
        "GP481", f"{stands.host}: authorized_keys of user gopub {verb} longer than {MOST} bytes",
        hint="take off there whom you do not know, or say --only-this-login, which drops all others",
    )  # fmt: skip


def _key(line: str) -> bytes:
    """The key of a line, where that is exactly one of the two that gopub writes; else nothing."""
    words = line.split(" ")
    if len(words) != 4:
        return b""
    kind, told = words[1:3]
    public = f"{kind} {told}"
    if len(public.split()) != 2 or f"{line}\n" not in {login_line(public), login_line(public, certified=True)}:
        return b""
    try:
        key = base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError):
        return b""
    name = kind.encode(errors="surrogateescape")
    whole = key.startswith(len(name).to_bytes(4, "big") + name) and base64.b64encode(key).decode() == told
    return key if whole else b""
