"""An enrolled host that is a folder: its program runs under a shell of one's choice, with that folder's paths."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.asymmetric import ec

from gopub.evidence.keys import KeySigner
from gopub.evidence.roles import Role, Roles, SignedRoles, sign_roles
from gopub.fleet import program

SHELLS = (("dash",), ("busybox", "sh"))
MACHINE = "5" * 32
ENROLLED = "2026-11-30T12:00:00Z"


def key() -> KeySigner:
    return KeySigner(ec.generate_private_key(ec.SECP256R1()))


ALICE, BOB, CAROL, STRANGER = (key() for _ in range(4))
OLD, NEW, RELEASE, ADMISSION = (key() for _ in range(4))


def roles(
    serial: int,
    controllers: tuple[KeySigner, ...] = (OLD,),
    roots: tuple[KeySigner, ...] = (ALICE, BOB, CAROL),
    threshold: int = 2,
) -> Roles:
    """A list of these keys."""
    held = {Role.RELEASE: (RELEASE,), Role.ADMISSION: (ADMISSION,), Role.CONTROLLER: controllers, Role.ROOT: roots}
    holders = tuple((role, one.public) for role in Role for one in held[role])
    return Roles(serial, "2027-11-30T12:00:00Z", holders, threshold)


FIRST = sign_roles(roles(3), ALICE, BOB)


@dataclass(frozen=True)
class RootedHost:
    """Such a host; ``shims`` is a folder whose programs stand before those of the system."""

    place: Path
    shell: tuple[str, ...] = ("dash",)
    shims: Path | None = None

    @classmethod
    def enrolled(cls, place: Path, shell: tuple[str, ...] = ("dash",), signed: SignedRoles = FIRST) -> RootedHost:
        """One that was enrolled with this list."""
        host = cls(place, shell)
        for name in ("etc/keys", "var", "run", "lib"):
            (place / name).mkdir(parents=True)
        (place / "machine-id").write_text(f"{MACHINE}\n")
        host.etc.joinpath("host").write_text(
            f"names=app1\nenvs=prod\nmachine_id={MACHINE}\nenrolled={ENROLLED}\ngopub=0.1.0\n"
        )
        host.etc.joinpath("roles").write_text(signed.text)
        for role, held in signed.roles.holders:
            (host.etc / "keys" / role).mkdir(exist_ok=True)
            (host.etc / "keys" / role / f"{held.fingerprint}.pem").write_bytes(held.pem)
        host.program.write_text(host.text())
        return host

    @property
    def etc(self) -> Path:
        return self.place / "etc"

    @property
    def program(self) -> Path:
        return self.place / "lib" / "order"

    def text(self, mark: str = "") -> str:
        """The program with this host's paths; ``mark`` makes it another one."""
        text = program.enrolled()
        for path, name in (
            ("/etc/gopub", "etc"),
            ("/var/lib/gopub", "var"),
            ("/run/gopub", "run"),
            ("/usr/local/lib/gopub", "lib"),
            ("/etc/machine-id", "machine-id"),
            ("/etc/sudoers.d/gopub", "rule"),
            ("at_run=/run", "run"),
        ):
            assert path in text, f"the program has no {path} any more"
            before = path[: path.index("/")]
            text = text.replace(path, f"{before}{self.place / name}")
        return text.replace("set -u\n", f"set -u\n: {mark}\n", 1) if mark else text

    def ask(self, sent: bytes) -> dict[str, str]:
        """What it answers, whole; empty where nothing came."""
        lines = self.say(sent).decode().splitlines()
        if not lines or lines[-1] != "end=1":
            return {}
        assert lines[0] == "gopub-record=1"
        return dict(line.split("=", 1) for line in lines)

    def say(self, sent: bytes) -> bytes:
        """What it prints."""
        text = self.program.read_text()
        if self.shims:
            text = text.replace("PATH=/usr/sbin", f"PATH={self.shims}:/usr/sbin")
        with NamedTemporaryFile("w") as read:  # a word may have 128 KiB, and the program has more
            read.write(text)
            read.flush()
            argv = [*self.shell, "-c", f". {shlex.quote(read.name)}", str(self.program)]
            run = subprocess.run(argv, input=sent, capture_output=True, check=False, timeout=300)
        if b"\nend=1\n" in run.stdout:
            assert run.returncode == (0 if b"\nok=true\n" in run.stdout else 1), "as the record says"
        return run.stdout

    def word(self, verb: str, said: bytes, size: int | None = None) -> dict[str, str]:
        """What it answers to the roots' word."""
        return self.ask(b"gopub-root=1 %s %d\n" % (verb.encode(), len(said) if size is None else size) + said)

    def stands(self) -> dict[str, str]:
        """Everything that an enrolment is, file by file, but for what is only for the moment."""
        found = {}
        for folder in ("etc", "lib", "var"):
            for file in sorted((self.place / folder).rglob("*")):
                if file.is_file() and file.name != "root.lock":
                    found[str(file.relative_to(self.place))] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found

    def believes(self) -> dict[Role, set[str]]:
        """The keys that lie there by role."""
        return {role: {file.stem for file in (self.etc / "keys" / role).glob("*.pem")} for role in Role}

    def with_shims(self, shims: Path) -> RootedHost:
        """The same host, whose programs of the system are looked for there first."""
        return replace(self, shims=shims)


def named(signed: SignedRoles) -> dict[Role, set[str]]:
    """The keys of a list by role."""
    return {role: {held.fingerprint for held in signed.roles.of(role)} for role in Role}
