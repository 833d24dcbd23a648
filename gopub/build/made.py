"""Programs that Go does not build: a file of the commit, or what a command of the team's makes of it in a sandbox.

The command runs in a copy of the commit whose files all have the commit's time, without network, home and keys, once
for each target. What it made is a program for that target, or a script; nothing else of the copy is kept.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gopub.build.artifact import LocalFile
from gopub.build.buildinfo import BuildInfo
from gopub.build.compile import Built
from gopub.build.machine import no_program
from gopub.build.rooms import Site
from gopub.build.target import Target
from gopub.errors import GopubError, RefusedError
from gopub.source.lfs import refuse_pointer

NO_INFO = BuildInfo("", "", None, ())
"""What such a program says of itself: nothing that can be relied on."""
_PATH = "/usr/local/bin:/usr/bin:/bin"
_TAIL = 2000


@dataclass(frozen=True, slots=True)
class MakeInput:
    """What is made: the project's folder in the checkout, the command (none: it is there), the file, what is told.

    ``told`` is version and commit; ``moment`` the commit's time, seconds since the epoch.
    """

    project: Path
    command: Sequence[str]
    file: str
    version: str
    commit: str
    moment: int


async def make_file(site: Site, order: MakeInput, target: Target, output: Path) -> Built:
    """Make the program for one target into the file ``output``.

    Raises:
        RefusedError: GP208 it is a pointer of Git LFS.
        GopubError: GP234 the command failed; GP235 what is there is no program for the target.
    """
    place = order.project
    if order.command:
        copy = site.work / f"make-{target.os}-{target.arch}"
        await asyncio.to_thread(_copy, site.checkout, copy, order.moment)
        place = copy / order.project.resolve().relative_to(site.checkout)
        await _run(site, order, copy, place, target)
    made, top = place / order.file, place.resolve()
    if not _is_plain(made, top):
        raise _no_program(order, target, "is not there, is no plain file, or is a link")
    refuse_pointer(made, shown=order.file, use="build.file")
    with made.open("rb") as file:
        head = file.read(64)
    if wrong := no_program(head, made.stat().st_size, target):
        raise _no_program(order, target, wrong)
    output.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.to_thread(shutil.copyfile, made, output)
    return Built(target, LocalFile.of(output), NO_INFO)


async def _run(site: Site, order: MakeInput, copy: Path, place: Path, target: Target) -> None:
    room = site.make_room(copy)
    env = {
        "PATH": _PATH,
        "SOURCE_DATE_EPOCH": str(order.moment),
        "GOPUB_VERSION": order.version,
        "GOPUB_COMMIT": order.commit,
        "GOPUB_OS": target.os,
        "GOPUB_ARCH": target.arch,
    }
    done = await room.run(order.command, place, env=env)
    if done.code:
        said = (done.out + done.err).decode(errors="replace").strip()[-_TAIL:]
        hint = "run it by hand in a fresh clone; here it has no network, no home, and /usr alone of this machine"
        raise GopubError("GP234", f"build.command for {target.text} ended with {done.code}:\n{said}", hint=hint)


def _copy(checkout: Path, copy: Path, moment: int) -> None:
    """The commit without its history; archivers write down the time of files."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(checkout, copy, symlinks=True, ignore=lambda at, _: {".git"} if Path(at) == checkout else set())
    for folder, _, files in os.walk(copy, topdown=False):
        for name in (*files, "."):
            os.utime(Path(folder, name), (moment, moment), follow_symlinks=False)


def _is_plain(made: Path, top: Path) -> bool:
    """A command may leave a link behind that leads to a file of this machine."""
    try:
        return stat.S_ISREG(made.lstat().st_mode) and made.resolve().is_relative_to(top)
    except OSError:
        return False


def _no_program(order: MakeInput, target: Target, wrong: str) -> GopubError:
    hint = "link C statically (-static), and let a script begin with #! and its interpreter's path"
    return RefusedError("GP235", f"build.file {order.file!r} for {target.text} {wrong}", hint=hint)
