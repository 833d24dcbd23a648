"""A control group for each host, so that the systemd of one never sees, stops or clears away units of another.

systemd-nspawn leaves a host in the group that it was started in and shows it that group as the root. Started from one
shell, all hosts would share one tree, and a unit that ends on one host would take away the group of the unit of the
same name that begins on another (``219/CGROUP``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

_JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'


def trees(mountinfo: str) -> tuple[Path, ...]:
    """Where the trees are mounted that systemd puts its units in: version 2, and version 1's ``name=systemd``.

    Args:
        mountinfo: the text of ``/proc/self/mountinfo``.
    """
    found = []
    for line in mountinfo.splitlines():
        place, _, kind = line.partition(" - ")
        filesystem, _, options = kind.split(" ", 2)
        if filesystem == "cgroup2" or (filesystem == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(place.split()[4]))
    return tuple(found)


def make(name: str) -> tuple[Path, ...]:
    """The groups ``name``, one in each tree; none where the machine lets nobody make one."""
    made = []
    for tree in _mounted():
        with contextlib.suppress(OSError):  # a container may not; the hosts boot all the same
            (tree / name).mkdir(exist_ok=True)
            made.append(tree / name)
    return tuple(made)


def within(groups: Sequence[Path], argv: Sequence[str]) -> tuple[str, ...]:
    """The command that joins the groups and then becomes ``argv``."""
    return ("/bin/sh", "-c", _JOIN, "sh", *map(str, groups), "--", *argv)


async def clear(pattern: str) -> None:
    """Take away every group of that name (``*`` is any text), with all below it; their processes end just now."""
    for _ in range(40):
        left = [group for tree in _mounted() for group in tree.glob(pattern) if not _remove(group)]
        if not left:
            return
        await asyncio.sleep(0.05)


def _remove(group: Path) -> bool:
    below = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: len(path.parts))
    try:
        for path in (*reversed(below), group):
            path.rmdir()
    except FileNotFoundError:
        return not group.exists()  # somebody else clears, too
    except OSError:
        return False
    return True


def _mounted() -> tuple[Path, ...]:
    return trees(Path("/proc/self/mountinfo").read_text())
