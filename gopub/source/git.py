"""Git as gopub calls it: no prompts, no hooks, no rewriting of bytes, and no password on a command line.

What comes from outside (refs, remotes, addresses, paths) stands behind ``--`` or ``--end-of-options``, or goes to
standard input: a tag may be called ``--upload-pack=touch``. A test reads every call for that. What git lists is split
at line ends alone: names may hold what Unicode calls a space.
"""

from __future__ import annotations

import base64
import os
import re
import urllib.parse
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gopub.errors import GopubError, UsageError
from gopub.process import Result, base_environment, run
from gopub.spec.address import hidden, public, refuse_password
from gopub.telemetry import REDACTOR

_SCP_FORM = re.compile(r"(?!-)[A-Za-z0-9._-]+@(?!-)[A-Za-z0-9._-]+:[^-].*")
_SCHEMES = frozenset({"https", "http", "ssh", "git", "file"})

# A user's own settings may convert line ends, run hooks or filters: the bytes must come from the commit alone.
_NEUTRAL = {
    "core.autocrlf": "false",
    "core.attributesFile": "/dev/null",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "advice.detachedHead": "false",
}


_VARIABLE = "GOPUB_GIT_TOKEN"
"""The variable that a credential helper of the user's may read: the only one of a secret that git is given."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to clone from: an address without a password, and settings that carry the password."""

    address: str
    local: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def schemes(self) -> frozenset[str]:
        """How its submodules may be reached: a repository elsewhere has no business in folders of this machine."""
        here = self.local is not None or self.address.startswith(("/", "file:"))
        return _SCHEMES if here else _SCHEMES - {"file"}


def origin_of(repository: str | Path) -> Origin:
    """Read a repository's address: an existing folder, a URL or the ``user@host:path`` form.

    Raises:
        UsageError: GP200 when it is none of them, GP958 it holds a password.
    """
    text = str(repository)
    if isinstance(repository, str):
        refuse_password(text)
    return _origin(text, folder=isinstance(repository, Path))


def remote_of(url: str) -> Origin:
    """What the settings of a repository on this machine call a remote; a password there is its user's business.

    It never stands on a command line, and the address never shows it.

    Raises:
        UsageError: GP200 when it is no address.
    """
    return _origin(url, folder=False)


def _origin(text: str, *, folder: bool) -> Origin:
    if text and not text.startswith("-") and (Path(text).is_dir() or folder):
        return Origin(str(Path(text).resolve()), local=Path(text).resolve())
    parts = urllib.parse.urlsplit(text)
    # The user and the host become an argument of ssh's.
    dashed = parts.netloc.startswith("-") or parts.netloc.rpartition("@")[2].startswith("-")
    if parts.scheme in _SCHEMES and (parts.netloc or parts.scheme == "file") and not dashed:
        return _remote(parts)
    if _SCP_FORM.fullmatch(text):
        return Origin(text)
    raise UsageError(
        "GP200",
        f"{public(text)!r} is neither a folder nor the address of a git repository",
        hint="give a path, https://…, ssh://… or user@host:path",
    )


def _remote(parts: urllib.parse.SplitResult) -> Origin:
    if parts.password is None or parts.scheme not in {"http", "https"}:
        return Origin(parts.geturl())
    user, password = urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password)
    REDACTOR.learn(password)
    host = parts.netloc.rpartition("@")[2]
    address = urllib.parse.urlunsplit(parts._replace(netloc=host))
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    REDACTOR.learn(basic)
    return Origin(address, settings={f"http.{parts.scheme}://{host}/.extraHeader": f"Authorization: Basic {basic}"})


def without_password(address: str) -> str:
    """A remote's address as it may be shown and recorded."""
    return public(address)


def environment(settings: Mapping[str, str] | None = None, schemes: Collection[str] = _SCHEMES) -> dict[str, str]:
    """The whole environment of a git call; settings go here, not on the command line, since some are secret.

    ``schemes`` are the ways to another repository that git may take, also for submodules.
    """
    pairs = _NEUTRAL | dict(settings or {})
    numbered = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for index, (key, value) in enumerate(pairs.items()):
        numbered |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    fixed = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(sorted(schemes)),
        "GIT_ATTR_NOSYSTEM": "1",
        "LC_ALL": "C",
    }
    REDACTOR.learn(os.environ.get(_VARIABLE, ""))
    return base_environment(keep=("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", _VARIABLE), extra=fixed | numbered)


async def git(
    folder: Path,
    *words: str,
    settings: Mapping[str, str] | None = None,
    schemes: Collection[str] = _SCHEMES,
    stdin: bytes = b"",
) -> str:
    """Run git in a folder and give what it printed.

    Raises:
        GopubError: GP201 when git refuses.
    """
    result = await answered(folder, *words, settings=settings, schemes=schemes, stdin=stdin)
    if result.code:
        raise GopubError(
            "GP201",
            f"git {words[0]} failed: {hidden(result.complaint)}",
            hint="try the same git command by hand: the address, the access rights and the network",
        )
    return result.text


async def asks(folder: Path, *words: str, settings: Mapping[str, str] | None = None) -> str | None:
    """Like :func:`git`, for a question whose answer may be no: None."""
    result = await answered(folder, *words, settings=settings)
    return None if result.code else result.text


async def answered(
    folder: Path,
    *words: str,
    settings: Mapping[str, str] | None = None,
    schemes: Collection[str] = _SCHEMES,
    stdin: bytes = b"",
) -> Result:
    """Like :func:`git`, for a caller that reads the exit code and the complaint itself."""
    told = environment(settings, schemes)
    return await run(["git", "-C", str(folder), *words], env=told, stdin=stdin, check=False)


def lines(text: str | None) -> list[str]:
    """What git lists, one to a line; nothing for no answer."""
    return [line for line in (text or "").split("\n") if line]
