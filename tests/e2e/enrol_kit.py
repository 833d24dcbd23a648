"""What the tests of enrolment share: the base root of the lab's hosts, entered without booting it.

Every run is a process in mount and pid namespaces of its own over the base root, which nobody changes; what it writes
lies in a folder, so that the next run finds it there. Nothing is left mounted, however a run ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gopub.fleet import program

MACHINE = "0123456789abcdef0123456789abcdef"
LOGIN = 'restrict,command="/usr/local/lib/gopub/shell" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEnrolled gopub'
ORDER = "#!/bin/sh\n[ -f /etc/gopub/host ] && echo served || { echo GP477; exit 1; }\n"
_ENTER = """
mount -t overlay -o lowerdir="$1",upperdir="$2/upper",workdir="$2/work" none "$2/root" || exit 99
mount -t proc none "$2/root/proc"; mount --bind /dev "$2/root/dev"
eval "$3"
chroot "$2/root" "$4" -c "$5" gopub-enrol
exit $?
"""
_NOISE = ("etc/.pwd.lock", "etc/passwd-", "etc/shadow-", "etc/group-", "etc/gshadow-", "etc/subuid-", "etc/subgid-")
WRAPPED = ("mv", "mkdir", "rm", "rmdir", "chown", "cp", "useradd", "userdel", "visudo")
"""Whatever changes something that counts; the shell's own writing lies between two of them."""
_WRAPPER = """#!/bin/sh
n=$(($(/usr/bin/cat /kill/count) + 1))
echo $n >/kill/count
[ "$n" != "$(/usr/bin/cat /kill/at)" ] || kill -KILL -1 $$ # all but the first process, which only waits for its end
exec /usr/bin/{name} "$@"
"""


@dataclass
class Machine:
    """One host that is not booted."""

    base: Path
    folder: Path
    roles: bytes
    shell: str = "/bin/dash"
    before: str = ""
    """Run outside, as root, once all is mounted: `$2/root` is the host's root."""
    said: dict[str, str] = field(default_factory=dict)
    login: str = f"{LOGIN}\n"
    """The lines of authorized_keys that it is told."""

    def __post_init__(self) -> None:
        self.fresh()

    def fresh(self) -> None:
        """As it was installed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        self.write("etc/machine-id", f"{MACHINE}\n")

    @property
    def upper(self) -> Path:
        return self.folder / "upper"

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.upper / name
        missing = [one for one in path.parents if one != self.upper and not one.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for one in missing:  # a folder above another one takes its rights
            there = self.base / one.relative_to(self.upper)
            one.chmod(stat.S_IMODE(there.stat().st_mode) if there.is_dir() else 0o755)
        path.write_text(text)
        path.chmod(mode)

    def run(self, text: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        fence = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
        inner = ("sh", "-c", _ENTER, "sh", str(self.base), str(self.folder), self.before, self.shell, text)
        done = subprocess.run((*fence, *inner), input=stdin, capture_output=True, check=False)
        assert done.returncode != 99, done.stderr
        return done

    def request(self, verb: str, **other: object) -> bytes:
        """What the controller sends; ``other`` are lines that differ."""
        files = (ORDER.encode(), self.roles, self.login.encode())
        lines: Mapping[str, object] = {
            "verb": verb, "machine_id": MACHINE, "names": "app1", "envs": "prod", "gopub": "1.2.3",
            "now": int(time.time()), "enrolled": "2026-11-30T12:00:00Z",
            "order": len(files[0]), "roles": len(files[1]), "login": len(files[2]),
        }  # fmt: skip
        told = "".join(f"{key}={value}\n" for key, value in {**lines, **other}.items())
        return told.encode() + b"\n" + (b"".join(files) if verb == "enroll" else b"")

    def ask(self, verb: str, **other: object) -> dict[str, str]:
        """The answer of the enrolment program."""
        done = self.run(program.enrolment(), self.request(verb, **other))
        return parsed(done)

    def killed(self, verb: str, at: int) -> bool:
        """The same, with the power cut before the ``at``-th command; whether it came to that."""
        tools = self.upper / "kill"
        tools.mkdir(exist_ok=True)
        (tools / "count").write_text("0")
        (tools / "at").write_text(str(at))
        for name in WRAPPED:
            there = "/usr/sbin" if name in {"useradd", "userdel", "visudo"} else "/usr/bin"
            self.write(f"kill/{name}", _WRAPPER.format(name=name).replace("exec /usr/bin", f"exec {there}"), 0o755)
        text = program.enrolment().replace("PATH=/usr/sbin:", "PATH=/kill:/usr/sbin:")
        done = self.run(text, self.request(verb))
        shutil.rmtree(tools)
        return b"end=1" not in done.stdout

    def serves(self, words: str = "-c /usr/local/lib/gopub/shell", asked: str = "") -> str:
        """What whoever comes as user gopub is told: nothing where that user may not run the program.

        ``words`` are what sshd calls the shell with, ``asked`` is the command that the client wanted.
        """
        env = f"SSH_ORIGINAL_COMMAND='{asked}' " if asked else ""
        done = self.run(f"{env}setpriv --reuid=gopub --regid=gopub --clear-groups /usr/local/lib/gopub/shell {words}")
        return done.stdout.decode().strip()

    def tree(self) -> dict[str, str]:
        """What differs from the base root: path → digest or kind."""
        return {name: told for name, told in self._all() if name not in _NOISE and told != self._based(name)}

    def _all(self) -> list[tuple[str, str]]:
        found = []
        for at, folders, names in os.walk(self.upper):
            for name in (*folders, *names):
                path = Path(at) / name
                found.append((str(path.relative_to(self.upper)), _told(path)))
        return [(name, told) for name, told in found if not name.startswith(("var/log", "run", "tmp", "var/cache"))]

    def _based(self, name: str) -> str:
        path = self.base / name
        return _told(path) if path.is_symlink() or path.exists() else "gone"


def parsed(done: subprocess.CompletedProcess[bytes]) -> dict[str, str]:
    """An answer's lines."""
    lines = done.stdout.decode().splitlines()
    assert lines and lines[-1] == "end=1", (done.stdout, done.stderr)
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def _told(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"-> {path.readlink()}"
    if stat.S_ISCHR(mode):  # what an overlay has in the place of what was removed
        return "gone"
    if stat.S_ISDIR(mode):
        return f"folder {stat.S_IMODE(mode):o}"
    return f"{stat.S_IMODE(mode):o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
