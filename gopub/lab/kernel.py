"""What the kernel has of a lab: processes, mounts and links, found by looking and ended one by one.

The lab never trusts what it wrote down about pids: a process is the lab's when its command line names a folder of
the lab's own, and a signal goes through a pidfd, so that it cannot hit another process that got the same pid.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gopub.process import run

_POLL = 0.05
_INOTIFY = 8192


@dataclass(frozen=True, slots=True)
class Process:
    """A process and the moment it began (clock ticks since boot): a pid alone may name another one later."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        return _started(self.pid) == self.started


def look(pid: int) -> Process | None:
    """The process with this pid as it is now."""
    started = _started(pid)
    return None if started is None else Process(pid, started)


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])


def find(program: str, argument: str, *, prefix: bool = False) -> tuple[Process, ...]:
    """All processes of ``program`` (its base name) with ``argument`` among their arguments.

    Args:
        program: such as ``systemd-nspawn``.
        argument: one whole argument, or with ``prefix`` how one begins.
        prefix: compare beginnings.
    """
    lines = ((pid, _strings(pid, "cmdline")) for pid in _pids())
    return _looked(pid for pid, argv in lines if Path(argv[0]).name == program and _among(argv[1:], argument, prefix))


def find_marked(mark: str, *, prefix: bool = False) -> tuple[Process, ...]:
    """All processes that were started with ``mark`` (``NAME=value``) in their environment."""
    return _looked(pid for pid in _pids() if _among(_strings(pid, "environ"), mark, prefix))


def marks(name: str) -> Mapping[Process, str]:
    """Every process that was started with ``name`` in its environment, and the value."""
    found = ((look(pid), s.partition("=")[2]) for pid in _pids() for s in _strings(pid, "environ") if _names(s, name))
    return {process: value for process, value in found if process}


def _names(setting: str, name: str) -> bool:
    return setting.partition("=")[0] == name


def _pids() -> tuple[int, ...]:
    return tuple(int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _strings(pid: int, file: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return [""]


def _among(strings: Iterable[str], wanted: str, prefix: bool) -> bool:
    return any(s.startswith(wanted) if prefix else s == wanted for s in strings)


def _looked(pids: Iterable[int]) -> tuple[Process, ...]:
    return tuple(process for process in map(look, pids) if process)


async def end(process: Process, *, ask: signal.Signals = signal.SIGTERM, within: float = 15.0) -> None:
    """Send ``ask``; after ``within`` seconds SIGKILL; returns when the process is gone."""
    for sign, limit in ((ask, within), (signal.SIGKILL, 10.0)):
        _send(process, sign)
        until = time.monotonic() + limit
        while process.alive() and time.monotonic() < until:  # noqa: ASYNC110 - another process tells no event
            await asyncio.sleep(_POLL)
        if not process.alive():
            return


def _send(process: Process, sign: signal.Signals) -> None:
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.alive():  # the handle now names this process and no other, whatever happens to its pid
            signal.pidfd_send_signal(handle, sign)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


async def start(argv: Sequence[str], *, log: Path, pidfile: Path) -> None:
    """Start a program as a daemon: a session of its own, no terminal, no parent of ours, output appended to ``log``."""
    pidfile.unlink(missing_ok=True)  # noqa: ASYNC240 - at once; a stale one may name a stranger's process
    program, *arguments = argv
    daemon = ("start-stop-daemon", "--start", "--background", "--make-pidfile")
    await run((*daemon, "--pidfile", str(pidfile), "--output", str(log), "--startas", program, "--", *arguments))


def mounts_below(folder: Path) -> tuple[str, ...]:
    """Mount points at or below a folder, the deepest first."""
    fields = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    points = [field[4].encode().decode("unicode_escape") for field in fields]
    below = [p for p in points if p == str(folder) or p.startswith(f"{folder}/")]
    return tuple(sorted(below, key=len, reverse=True))


async def unmount_below(folder: Path) -> None:
    """Take away every mount at or below a folder; a busy one goes as soon as its last user does."""
    for point in mounts_below(folder):
        busy = (await run(("umount", point), check=False)).code
        if busy:
            await run(("umount", "--lazy", point), check=False)


def allow_hosts() -> None:
    """Raise the limit of inotify instances per user: the roots of all hosts are one user, and 128 serve ten hosts."""
    knob = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(knob.read_text()) < _INOTIFY:
        with contextlib.suppress(OSError):  # a container may not; few hosts boot all the same
            knob.write_text(str(_INOTIFY))


async def ipv4_networks() -> tuple[str, ...]:
    """The addresses with prefix length that this machine's links have, such as ``198.18.7.1/24``."""
    links = json.loads((await run(("ip", "-json", "-4", "addr", "show"))).text or "[]")
    return tuple(f"{a['local']}/{a['prefixlen']}" for link in links for a in link.get("addr_info", ()))


async def link_exists(name: str) -> bool:
    """Whether the machine has a network link of that name."""
    return not (await run(("ip", "link", "show", "dev", name), check=False)).code


async def set_link(name: str, *, up: bool) -> None:
    """Plug a link in or pull it out."""
    await run(("ip", "link", "set", "dev", name, "up" if up else "down"))


async def add_bridge(name: str, address: str) -> None:
    """Make a bridge with this address (``198.18.7.1/24``), or mend the one that is there."""
    if not await link_exists(name):
        await run(("ip", "link", "add", "name", name, "type", "bridge"))
    if address not in await ipv4_networks():
        await run(("ip", "addr", "add", address, "dev", name))
    await set_link(name, up=True)


async def remove_link(name: str) -> None:
    """Delete a link; one that is not there is no error."""
    if await link_exists(name):
        await run(("ip", "link", "delete", "dev", name))
