"""Where what a commit brings may run: a view of the machine with the toolchain, the commit, nothing else.

bubblewrap gives it: namespaces of its own for files, processes, network (``lo`` alone), users and IPC; no capability,
no way to new ones; no keyring of the kernel's (``seccomp``); a read-only root with ``/usr`` and a made-up ``/etc``; a
home and a ``/tmp`` that are thrown away.
When the program ends, or gopub does, however it ends, the kernel ends everything that was started in there.

Every commit finds the same paths, so that nothing that is built depends on where this machine keeps its caches.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gopub.build.seccomp import program as filter_of_calls
from gopub.errors import GopubError, RefusedError
from gopub.process import Companion, Result, run, which

HOME, TMP = "/home/build", "/tmp"  # noqa: S108 - in the sandbox
_LINKS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # into /usr on most systems, folders on some
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
_USERS = "root:x:0:0::/:/usr/sbin/nologin\nbuild:x:1000:1000::{home}:/bin/sh\n"
_ETC = {
    "passwd": _USERS.format(home=HOME),
    "group": "root:x:0:\nbuild:x:1000:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "hosts": "127.0.0.1 localhost build\n::1 localhost\n",
}
_PUBLIC = ("ld.so.cache", "mime.types", "protocols", "services")
"""What programs look up and every machine of a kind has alike."""
# Root's own files in /proc stay root's in a namespace of users, and bubblewrap covers only what could be written as a
# folder. A word in /proc/sys/kernel/core_pattern would run anything, outside.
_READ_ONLY = (
    *("acpi", "asound", "bus", "driver", "fs", "irq", "latency_stats", "mtrr", "pressure", "profile", "sched_debug"),
    *("scsi", "slabinfo", "sys", "sysrq-trigger", "timer_list"),
)
_STRICT = ("--disable-userns",)  # since bubblewrap 0.8.0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox of this machine; ``program`` is bubblewrap's, empty where the build runs without any."""

    program: str = ""
    version: str = ""
    options: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.program)

    @property
    def name(self) -> str:
        """``bubblewrap 0.8.0`` or ``none``: what people and the provenance are told."""
        return f"bubblewrap {self.version}".strip() if self else "none"


NONE = Sandbox()
"""What the build runs in where there is no sandbox, and the project does without."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of this machine and its path in the sandbox."""

    outside: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """What one call sees: the system, ``binds``, and a home and ``/tmp`` of its own.

    They are made below ``scratch`` for one call and removed after it: what runs in there may leave links behind, and
    nothing of ours may ever write through one.
    """

    sandbox: Sandbox
    scratch: Path
    binds: tuple[Bind, ...]
    network: bool = False

    def place(self, path: Path) -> str:
        """A path as the call sees it; without a sandbox it is what it is.

        Raises:
            GopubError: GP231 it is not to be seen there.
        """
        if not self.sandbox:
            return str(path)
        known = [bind for bind in self.binds if path.is_relative_to(bind.outside)]
        if not known:
            raise GopubError("GP231", f"{str(path)!r} cannot be seen in the sandbox", hint="see its page")
        nearest = max(known, key=lambda bind: len(bind.outside.parts))
        inner = path.relative_to(nearest.outside).as_posix()
        return nearest.inside if inner == "." else f"{nearest.inside}/{inner}"

    def command(self, argv: Sequence[str], folder: Path, own: Path, calls: int) -> tuple[str, ...]:
        """The whole command that runs ``argv`` in a folder of the sandbox; ``own`` holds its home, tmp and etc.

        ``calls`` is an open file with the filter of calls.
        """
        if not self.sandbox:
            return tuple(argv)
        shared = ("--share-net",) if self.network else ()
        binds = [word for bind in self.binds for word in _bound(bind)]
        binds += ["--bind", str(own / "home"), HOME, "--bind", str(own / "tmp"), TMP]
        return (
            *(self.sandbox.program, *_confined(self.sandbox.options, calls), *shared, *_system(own / "etc")),
            *(*binds, "--remount-ro", "/", "--chdir", self.place(folder), "--", *argv),
        )

    def environment(self, own: Path) -> dict[str, str]:
        """What everything in here is told: nothing of the user's."""
        home, tmp = (HOME, TMP) if self.sandbox else (str(own / "home"), str(own / "tmp"))
        return {"HOME": home, "TMPDIR": tmp, "USER": "build", "LOGNAME": "build", "LANG": "C.UTF-8", "LC_ALL": "C"}

    async def run(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str],
        timeout: float = 900.0,  # noqa: ASYNC109 - process.run ends the whole process group
        most: int | None = None,
    ) -> Result:
        """Run a program in here to its end; of what it prints the last ``most`` bytes are kept."""
        own = self._furnished()
        try:
            where, said = None if self.sandbox else folder, self.environment(own) | dict(env)
            with _filter() as calls:
                words = self.command(argv, folder, own, calls)
                return await run(words, cwd=where, env=said, timeout=timeout, check=False, most=most, files=(calls,))
        finally:
            await _remove(own)

    @asynccontextmanager
    async def companion(self, argv: Sequence[str], folder: Path, *, env: Mapping[str, str]) -> AsyncIterator[Companion]:
        """A program that answers on its standard streams in here, until this ends."""
        own = self._furnished()
        try:
            with _filter() as calls:
                words, said = self.command(argv, folder, own, calls), self.environment(own) | dict(env)
                child = Companion(words, said, (calls,))
            try:
                yield child
            finally:
                child.end()
        finally:
            await _remove(own)

    def _furnished(self) -> Path:
        for bind in self.binds:
            if bind.writable:
                bind.outside.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix="own-", dir=self.scratch))
        _furnish(own, network=self.network)
        return own


async def find_sandbox(*, waived: bool = False) -> Sandbox:
    """The sandbox of this machine, tried out; none at all where there is none and that is ``waived``.

    Raises:
        RefusedError: GP230 there is none.
    """
    program = which("bwrap")
    said = "bubblewrap (bwrap) is not installed"
    if program is not None:
        version = (await run([str(program), "--version"], check=False)).text.rpartition(" ")[2]
        for options in (_STRICT, ()):
            with _filter() as calls:
                probe = (str(program), *_confined(options, calls), *_system(None), "--remount-ro", "/", "--", "true")
                tried = await run(probe, check=False, timeout=60.0, files=(calls,))
            if not tried.code:
                return Sandbox(str(program), version, options)
            said = f"bubblewrap does not work here: {tried.complaint}"
    if waived:
        return NONE
    raise RefusedError(
        "GP230",
        f"there is no sandbox for what the commit brings: {said}",
        hint="install the package bubblewrap, or allow it user namespaces; build: {unsandboxed: true} does without",
    )


@contextmanager
def _filter() -> Iterator[int]:
    """The filter of calls as an open file that a child may inherit."""
    with tempfile.TemporaryFile() as file:
        file.write(filter_of_calls())
        file.seek(0)
        yield file.fileno()


def _confined(options: Sequence[str], calls: int) -> tuple[str, ...]:
    """Namespaces of its own for everything, no capability, no keyring, and an end with whoever started it."""
    whom = ("--uid", "1000", "--gid", "1000", "--hostname", "build")
    return (
        "--unshare-all",
        "--unshare-user",
        *options,
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--seccomp",
        str(calls),
        *whom,
    )


def _system(etc: Path | None) -> tuple[str, ...]:
    """What every program needs to start: ``/usr``, links into it, devices, the sandbox's own processes, ``/etc``."""
    words = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    for name in _LINKS:
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for name in _READ_ONLY:
        words += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    words += ["--ro-bind-try", "/nix/store", "/nix/store", "--dir", "/run", "--dir", "/var"]
    if etc is not None:
        words += ["--ro-bind", str(etc), "/etc", "--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    return tuple(words)


def _bound(bind: Bind) -> tuple[str, str, str]:
    return ("--bind" if bind.writable else "--ro-bind", str(bind.outside), bind.inside)


def _furnish(own: Path, *, network: bool) -> None:
    """A home, a tmp, and an ``/etc`` with what programs look for and nothing of this machine."""
    for name in ("home/.config/go/telemetry", "tmp", "etc/alternatives", "etc/ssl/certs"):
        (own / name).mkdir(parents=True)
    # Go starts a process of its own for telemetry wherever it finds a new home.
    (own / "home/.config/go/telemetry/mode").write_text("off\n")
    etc = own / "etc"
    for name, text in _ETC.items():
        (etc / name).write_text(text)
    for name in (*_PUBLIC, *(("resolv.conf", "hosts") if network else ())):
        _copy(Path("/etc", name), etc / name)
    found = next((path for path in map(Path, _CERTIFICATES) if path.is_file()), None)
    if found is not None:
        _copy(found, etc / "ssl/certs/ca-certificates.crt")


async def _remove(folder: Path) -> None:
    """Remove a folder whose owner was not us at heart: read-only folders, links that lead elsewhere."""
    await run(["chmod", "-R", "u+rwX", "--", str(folder)], check=False)  # it follows no link that it finds
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copyfile(source, target)
