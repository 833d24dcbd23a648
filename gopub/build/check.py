"""``go vet`` and ``go test``: a failure publishes nothing.

What the commit brings is executed in one place only, the room of the tests. Before it, ``go vet`` and the compilation
of the tests execute nothing of it, so their cache can be kept: ``go test -exec`` hands each test program to a script of
ours, which keeps it; the programs then run as ``go test`` would run them, in a room that no compiler's cache is in.
"""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gopub.build.rooms import SCRIPT, Site
from gopub.build.sandbox import Room
from gopub.errors import GopubError
from gopub.process import Result

_TAIL, _WIDE = 40, 400
_LIMIT = 900.0
_MOST = 256 * 1024
"""Bytes of what tests print that are looked at, the last ones."""


@dataclass(frozen=True, slots=True)
class TestReport:
    """How many packages were tested, and how many have no tests."""

    __test__ = False  # its name makes pytest look twice

    tested: int
    untested: int


async def unit_tests(site: Site, copy: Path, root: Path, *, mode: str, network: bool = False) -> TestReport:
    """Run go vet and go test over the whole module in ``root``, which lies in ``copy``, a copy of the commit.

    Tests may write there. They have no network but ``lo``, unless ``network`` gives them the machine's. Both paths are
    without links.

    Raises:
        GopubError: GP226 vet complains; GP227 a test does not compile or fails; each with the end of the output.
    """
    kept = _Kept.made(site.work)
    untested = await _prepare(site, copy, root, kept, mode)
    room = site.test_room(copy, kept.top, network=network)
    words = ("run", room.place(kept.programs), str(os.cpu_count() or 1), room.place(root))
    env = site.environment(room, {})
    try:
        ran = await room.run([*_script(room), *words], root, env=env, timeout=_LIMIT, most=_MOST)
    except GopubError as error:
        raise _endless(error) from error
    if ran.code:
        raise _failed(ran)
    return summarize(ran.text, untested)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where test programs are kept, and beside them, so that a hard link is enough, where Go links them."""

    top: Path

    @classmethod
    def made(cls, work: Path) -> Self:
        kept = cls(work.resolve() / "kept")
        shutil.rmtree(kept.top, ignore_errors=True)
        for folder in (kept.programs, kept.links):
            folder.mkdir(parents=True)
        return kept

    @property
    def programs(self) -> Path:
        return self.top / "programs"

    @property
    def links(self) -> Path:
        return self.top / "links"


async def _prepare(site: Site, copy: Path, root: Path, kept: _Kept, mode: str) -> int:
    """Vet everything, and keep each test program; gives how many packages have none."""
    room = site.prepare_room(copy, kept.top)
    extra = {"GOCACHE": room.place(site.toolchain.check_cache), "GOTMPDIR": room.place(kept.links)}
    vet = await site.go(room, root, "vet", f"-mod={mode}", "./...", extra=extra)
    if vet.code:
        raise GopubError("GP226", f"go vet complains:\n{_tail(vet)}", hint="run go vet ./... by hand")
    keep = shlex.join([*_script(room), "keep", room.place(kept.programs)])  # Go reads quotes as a shell does
    words = ("test", f"-mod={mode}", "-vet=off", "-count=1", "-exec", keep, "./...")
    built = await site.go(room, root, *words, extra=extra)
    if built.code:
        raise _failed(built)
    return sum("[no test files]" in line for line in built.text.splitlines())


def _script(room: Room) -> tuple[str, str]:
    return ("/bin/sh", room.place(SCRIPT))


def summarize(output: str, untested: int) -> TestReport:
    """Count the packages in the output of the tests."""
    return TestReport(tested=sum(line.startswith("ok .") for line in output.splitlines()), untested=untested)


def _endless(error: GopubError) -> GopubError:
    if error.code != "GP903":
        return error
    return GopubError(
        "GP227", f"go test did not end within {_LIMIT:g}s; it was ended", hint="run go test ./... by hand"
    )


def _failed(result: Result) -> GopubError:
    hint = "run go test ./... by hand; here tests have no network but lo, and none of your files or keys"
    return GopubError("GP227", f"go test failed:\n{_tail(result)}", hint=hint)


def _tail(result: Result) -> str:
    said = (result.out + result.err).decode(errors="replace").strip().splitlines()
    return "\n".join(line if len(line) <= _WIDE else f"{line[:_WIDE]} …" for line in said[-_TAIL:])
