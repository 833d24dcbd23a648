"""What a host is told to make it an enrolled one, and what it answers (``gopub/fleet/program/enroll*.sh``). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from gopub.canon import Json, bounded
from gopub.errors import GopubError

EnrolVerb: TypeAlias = Literal["look", "enroll", "unenroll"]
SHELL = "/usr/local/lib/gopub/shell"
"""What user gopub is given for a shell on an enrolled host."""
USER = "gopub"
ARGV = "gopub-enrol"
_WORD = re.compile(r"[A-Za-z0-9._-]{1,253}")
_SOCKET = re.compile(r"(/[A-Za-z0-9._-]+){1,16}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Stands:
    """How a host stands: ``stands`` is ``enrolled``, ``half`` or ``none``; the rest is empty where nothing lies there.

    ``of_machine`` is the machine id in its host file, ``roles`` the list as it lies there, ``roots`` the fingerprints
    of the root keys beside it, ``root_keys`` how many keys let somebody in as root besides, ``socket`` an
    edge's control socket.
    """

    host: str
    machine_id: str
    stands: str
    now: int = 0
    names: tuple[str, ...] = ()
    envs: tuple[str, ...] = ()
    of_machine: str = ""
    enrolled: str = ""
    gopub: str = ""
    program: str = ""
    roles: bytes = b""
    roots: tuple[str, ...] = ()
    login: str = ""
    root_keys: int = 0
    socket: str = ""
    program_gopub: str = ""
    """Of which gopub the program there says that it is; empty where it says nothing, as older ones do."""
    seen: str = ""
    """What all of this was read from, in one word: an enrolment that goes by it counts while that is so."""

    @property
    def version(self) -> str:
        """Of which gopub its program is: by its own word, which an upgrade brings along, or that of the enrolment."""
        return self.program_gopub or self.gopub

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        return {
            "stands": self.stands, "machine_id": self.machine_id, "names": list(self.names), "envs": list(self.envs),
            "enrolled": self.enrolled, "gopub": self.version, "program": self.program, "root_keys": self.root_keys,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Enrolling:
    """What a host is enrolled with: its names in inventories, environments, program, list of roles, and who may log in.

    ``enrolled`` and ``now`` are moments of the machine that enrols; ``login`` are lines of authorized_keys.
    """

    machine_id: str
    names: tuple[str, ...]
    envs: tuple[str, ...]
    gopub: str
    enrolled: str
    now: int
    program: str
    roles: bytes
    login: str
    socket: str = ""
    """An edge's control socket."""
    seen: str = ""
    """How the host stood when this was made of it (see :class:`Stands`)."""

    def request(self) -> bytes:
        """As it is sent.

        Raises:
            GopubError: GP481 a name that cannot stand in a file of words.
        """
        for word in (*self.names, *self.envs):
            if not _WORD.fullmatch(word):
                raise GopubError("GP481", f"{bounded(repr(word), 80)} cannot name an enrolled host or env",
                                 hint="names have letters, digits, dots, dashes and underscores")  # fmt: skip
        if self.socket and not _SOCKET.fullmatch(self.socket):
            raise GopubError("GP481", f"{bounded(repr(self.socket), 80)} cannot be an edge's control socket",
                             hint="name a path of letters, digits, dots and dashes in `socket`")  # fmt: skip
        files = (self.program.encode(), self.roles, self.login.encode())
        order, roles, login = map(len, files)
        lines = {
            "verb": "enroll", "machine_id": self.machine_id, "names": " ".join(self.names), "envs": " ".join(self.envs),
            "gopub": self.gopub, "now": self.now, "enrolled": self.enrolled,
            "order": order, "roles": roles, "login": login, **({"socket": self.socket} if self.socket else {}),
            **({"seen": self.seen} if self.seen else {}),
        }  # fmt: skip
        return "".join(f"{key}={value}\n" for key, value in lines.items()).encode() + b"\n" + b"".join(files)


def asking(verb: EnrolVerb, machine_id: str = "") -> bytes:
    """A request that carries no files."""
    return f"verb={verb}\nmachine_id={machine_id}\n\n".encode()


def login_line(public: str, *, certified: bool = False) -> str:
    """The line of authorized_keys by which a key (or, ``certified``, whom it certifies) may do one thing."""
    who = f'cert-authority,principals="{USER}",' if certified else ""
    return f'{who}restrict,command="{SHELL}" {" ".join(public.split()[:2])} gopub\n'


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host said: how it stands now, or why it was not done."""

    stands: Stands | None
    changed: bool = False
    code: str = ""
    message: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, out: bytes, *, host: str) -> Answer:
        """Read it.

        Raises:
            GopubError: GP416 it is no whole answer.
        """
        lines = out.decode(errors="replace").splitlines()
        if "gopub-enrol=1" not in lines or lines[-1] != "end=1":
            said = bounded(" | ".join(lines[-3:]), 300) or "nothing"
            raise GopubError("GP416", f"{host}: it gave no whole answer to enrolment; it said: {said}",
                             hint="is it a Linux host with sh, coreutils and systemd?")  # fmt: skip
        begin = lines.index("gopub-enrol=1")
        said_values = {key: value for key, _, value in (line.partition("=") for line in lines[begin + 1 : -1])}
        message, code = said_values.get("message", ""), said_values.get("code", "")
        if left := said_values.get("left", "").strip():
            message += f"; these could not be removed again: {left}"
        try:
            stands = _stands(host, said_values) if said_values.get("ok") == "true" else None
        except (KeyError, ValueError) as error:
            raise GopubError(
                "GP416", f"{host}: its answer to enrolment is damaged: {bounded(str(error), 80)}"
            ) from error
        return cls(stands, said_values.get("changed") == "true", code, message, said_values)

    def error(self, host: str) -> GopubError:
        """Why it was not done."""
        return GopubError(self.code or "GP481", f"{host}: {self.message or 'it did not say why'}",
                          hint=f"see docs/errors/{self.code or 'GP481'}.md")  # fmt: skip


def _stands(host: str, said: Mapping[str, str]) -> Stands:
    roots = (name.removesuffix(".pem") for name in said["roots"].split())
    return Stands(
        host=host,
        machine_id=said["machine_id"],
        stands=said["stands"],
        now=int(said["now"]),
        names=tuple(said["host.names"].split()),
        envs=tuple(said["host.envs"].split()),
        of_machine=said["host.machine_id"],
        enrolled=said["host.enrolled"],
        gopub=said["host.gopub"],
        program=said["program"],
        roles=_decoded(said["roles"]),
        roots=tuple(name for name in roots if _FINGERPRINT.fullmatch(name)),
        login=_decoded(said["login"]).decode(errors="surrogateescape"),
        root_keys=int(said["root_keys"] or 0),
        socket=said.get("host.socket", ""),
        program_gopub=said.get("program.gopub", ""),
        seen=said.get("seen", ""),
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not Base64") from error
