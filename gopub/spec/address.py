"""Addresses of git repositories: which ones hold no secret, and how one is shown. Pure.

An address goes where a secret must not: into Prefect's parameters, the file of deliveries, the journal, logs and the
provenance. So one with a password is refused where it comes in, and nothing shows more of it than its host and path.
"""

from __future__ import annotations

import re

from gopub.errors import UsageError

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_SCP = re.compile(r"[^/:]*:[^/@]*@|[^/]*@[^/]*@")
_TOKEN = re.compile(r"(?:gh[oprsu]_|github_pat_|gl[a-z]{2,5}-|[0-9a-fA-F]{40}).*", re.DOTALL)
_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s/@:?#]*)(?::[0-9]*)?"
_ADDRESSES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")
_WEB = frozenset({"http", "https"})
_NO_USER = frozenset({"file"})

PATTERN = (
    rf"^(?:[A-Za-z][A-Za-z0-9+.\-]*://(?:[^\s/@:?#]+@)?{_HOST}(?:/[^?#]*)?"
    r"|[./~].*"
    r"|(?:[^\s/@:]+@)?[^\s/@:]+:(?:[^/@][^@]*|/(?:[^/@][^@]*)?)?"
    r"|[^:@]*)$"
)
"""The same for a JSON Schema: Prefect's server refuses what does not fit before it keeps it."""

_PLAIN = re.compile(PATTERN, re.DOTALL)
HINT = (
    "leave it out: git asks a credential helper or ~/.netrc, and a helper may read GOPUB_GIT_TOKEN; "
    "see docs/errors/GP958.md"
)


def holds_secret(address: str) -> bool:
    """Whether an address has a password, a token in the place of the user, or a query that may be one."""
    if not _PLAIN.fullmatch(address):
        return _may_be_secret(address)
    found = _URL.fullmatch(address)
    user, at, _ = (found["rest"] if found else "").partition("/")[0].rpartition("@")
    return bool(at and _TOKEN.fullmatch(user))


def _may_be_secret(address: str) -> bool:
    found = _URL.fullmatch(address)
    if found is None:
        return "@" in address and _SCP.match(address) is not None
    rest, web = found["rest"], found["scheme"].lower() in _WEB
    return "@" in rest or (web and ("?" in rest or "#" in rest))


def refuse_password(address: str) -> str:
    """The address, where it holds no secret.

    Raises:
        UsageError: GP958 it does; the text shows none of it.
    """
    if holds_secret(address):
        raise UsageError("GP958", f"the address {public(address)!r} was given with a password or a token", hint=HINT)
    return address


def public(address: str) -> str:
    """An address as it may be shown and recorded: without user, password and query. A path stays as it is."""
    found = _URL.fullmatch(address)
    if found is None:
        return _without_user(address) if _SCP.match(address) and "@" in address else address
    if found["scheme"].lower() in _NO_USER and "@" not in found["rest"].partition("/")[0]:
        return address
    rest = found["rest"]
    if "@" in rest.partition("/")[0]:
        head, slash, path = rest.partition("/")
        rest = head.rpartition("@")[2] + slash + path
    elif not re.fullmatch(rf"{_HOST}(?:/.*)?", rest, re.DOTALL):
        rest = rest.rpartition("@")[2]  # a password with a slash in it: the host comes after the last @
    return f"{found['scheme']}://{re.split('[?#]', rest, maxsplit=1)[0]}"


def hidden(said: str) -> str:
    """What a program said, each address in it as it may be shown."""
    return _ADDRESSES.sub(lambda found: public(found[0]), said)


def _without_user(address: str) -> str:
    return address.rpartition("@")[2]
