"""Pinned host keys: which keys a host may show, in which order they are asked for, and what to say of another one."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncssh

from gopub.canon import bounded
from gopub.errors import RefusedError, UsageError, Where
from gopub.fleet.sshconfig import Settings

DEFAULT = (Path("~/.ssh/known_hosts"), Path("~/.ssh/known_hosts2"))
EVERYBODY = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
SSH_PORT = 22
_PLAIN = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_CERTIFIED = tuple(f"{name}-cert-v01@openssh.com" for name in _PLAIN)
_HINT = "write them with ssh-keyscan over a network that you trust, and compare fingerprints"


class Pinned:
    """The keys that are pinned for one host."""

    def __init__(self, path: Path | None, name: str, port: int = SSH_PORT, settings: Settings | None = None) -> None:
        """Read ``path``; else the files that the configuration names or the usual ones, those of them that are there.

        As with ssh only the host's name counts (or its HostKeyAlias), not the address that it has just now.

        Raises:
            UsageError: GP418 when none can be read, or a line of one cannot.
        """
        self._asked_strict = (settings.get("stricthostkeychecking") if settings else None) or "yes"
        self._place = name if port == SSH_PORT else f"[{name}]:{port}"
        wanted = [_home(one) for one in ((path,) if path else _files(settings))]
        texts = {one: text for one in wanted if (text := _read(one, needed=path is not None)) is not None}
        if not texts:
            raise UsageError("GP418", f"no file with pinned host keys is there: {_listed(wanted)}", hint=_HINT)
        self._paths = list(texts)
        keys = _keys("\n".join(texts.values()))
        self._found = asyncssh.match_known_hosts(keys, name, "", None if port == SSH_PORT else port)

    @property
    def listed(self) -> bool:
        """Whether any key or authority is pinned for the host."""
        return bool(self._found[0] or self._found[1])

    def match(self, host: str, addr: str, port: int | None) -> Any:
        """What asyncssh asks for: trusted keys, authorities, revoked keys and so on."""
        del host, addr, port
        return self._found

    def algorithms(self, wish: str | None = None) -> list[str]:
        """What to ask the host for: pinned kinds first, as ssh does, so that a host that has several shows one of them.

        Then the others: a host that has none of the pinned kinds shows what it has, and can be refused for it.
        ``wish`` is HostKeyAlgorithms.
        """
        pinned = [name.decode() for key in self._found[0] for name in key.sig_algorithms]
        ours = list(dict.fromkeys([*(_CERTIFIED if self._found[1] else ()), *pinned, *_PLAIN]))
        return chosen(wish, ours) if wish else ours

    def refusal(self, name: str, shown: asyncssh.SSHKey | None) -> RefusedError:
        """The error for a host whose key was not accepted: GP411 unknown, GP412 changed.

        ``shown`` is the key (or the key of the authority that signed for it); None where it was not even looked at.
        """
        files = _listed(self._paths)
        if shown is None:
            return RefusedError(
                "GP412",
                f"{name} shows a host key that {files} revokes, or a certificate that does not hold for it",
                hint="ask whoever revoked it or signs host certificates; gopub does not go on with it",
            )
        key = f"{kind(shown)} {shown.get_fingerprint()}"
        if self.listed:
            pins = sorted({kind(one) for one in self._found[0]} | {f"{kind(one)} authority" for one in self._found[1]})
            return RefusedError(
                "GP412",
                f"{name} shows another host key than the one pinned in {files}: {key}, and pinned is {', '.join(pins)}",
                hint="if the machine was replaced, check that fingerprint at its console, then change the pin: "
                f"`ssh-keygen -R '{self._place}' -f {self._paths[0]}` takes the old one out",
            )
        never = "" if self._asked_strict.lower() in {"yes", "ask"} else "; StrictHostKeyChecking does not change that"
        return RefusedError(
            "GP411",
            f"{name} has no host key in {files} under {self._place}: it shows {key}",
            hint=f"check that fingerprint at its console, then add the key there; gopub accepts none unseen{never}",
        )


def chosen(wish: str, ours: list[str]) -> list[str]:
    """HostKeyAlgorithms as ssh reads it: a list, or ``+``, ``-``, ``^`` and a list; without what we do not speak."""
    sign = wish[0] if wish[:1] in {"+", "-", "^"} else ""
    patterns = wish[len(sign) :].split(",")
    known = list(dict.fromkeys([*ours, *_PLAIN, *_CERTIFIED, "ssh-rsa"]))
    named = [name for pattern in patterns for name in known if fnmatchcase(name, pattern)]
    if sign == "-":
        return [name for name in ours if name not in named] or ours
    order = {"+": [*ours, *named], "^": [*named, *ours], "": named}[sign]
    return list(dict.fromkeys(order)) or ours


def kind(key: asyncssh.SSHKey) -> str:
    """What people call that kind of key: ED25519, RSA, ECDSA-NISTP256."""
    return key.algorithm.decode().partition("@")[0].removeprefix("ssh-").replace("-sha2", "").upper()


def _files(settings: Settings | None) -> tuple[Path, ...]:
    users = settings.user_pins if settings else None
    everybody = settings.global_pins if settings else None
    return (
        *(DEFAULT if users is None else map(Path, users)),
        *(EVERYBODY if everybody is None else (Path(one) for one in everybody if one.lower() != "none")),
    )


def _home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:  # ~user, and there is no such user
        raise _unreadable(path, str(error)) from error


def _read(path: Path, *, needed: bool) -> str | None:
    try:
        text = path.read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError) as error:
        if needed:
            raise _unreadable(path, error.strerror or "it is not there") from error
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path, getattr(error, "strerror", "") or str(error)) from error
    if bad := _bad_line(text):  # a revoked key may be what stands there: nothing is guessed
        raise _unreadable(path, bad[1], Where(str(path), bad[0]))
    return text


# Once for a text, not once for a host: all hosts of a fleet are looked up in the same files at the same time, and who
# parses thousands of lines for each of them meanwhile hears no server, until logins run out of time.
@lru_cache(maxsize=16)
def _bad_line(text: str) -> tuple[int, str] | None:
    for number, line in enumerate(text.split("\n"), 1):
        try:
            asyncssh.import_known_hosts(line)
        except ValueError as error:
            return number, str(error)
    return None


@lru_cache(maxsize=16)
def _keys(text: str) -> asyncssh.SSHKnownHosts:
    return asyncssh.import_known_hosts(text)


def _unreadable(path: Path, why: str, where: Where | None = None) -> UsageError:
    problem = f"the pinned host keys {str(path)!r} cannot be read: {bounded(why)}"
    return UsageError("GP418", problem, hint=_HINT, where=where)


def _listed(paths: list[Path]) -> str:
    return ", ".join(map(str, paths)) or "no file at all"
