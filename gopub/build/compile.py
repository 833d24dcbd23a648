"""One ``go build`` per target, and the proof that it built what was ordered."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gopub.build.artifact import FileRef, LocalFile
from gopub.build.buildinfo import BuildInfo, check_build_info, parse_build_info
from gopub.build.complaints import CGO_PACKAGES, is_for_cgo, said
from gopub.build.rooms import Site
from gopub.build.sandbox import Room
from gopub.build.target import Target
from gopub.errors import GopubError, SpecError
from gopub.source.golang import Toolchain, run_go
from gopub.source.lfs import refuse_pointer

_EMBEDDED = '{{if not .Standard}}{{$folder := .Dir}}{{range .EmbedFiles}}{{$folder}}/{{.}}{{"\\n"}}{{end}}{{end}}'


@dataclass(frozen=True, slots=True)
class BuildInput:
    """All that decides the bytes: the module's folder in a clean clone, package, flags, module mode, commit.

    ``main`` is the package as Go names it in that folder.
    """

    root: Path
    main: str
    ldflags: str
    mode: str
    commit: str


@dataclass(frozen=True, slots=True)
class Built:
    """A program, where it lies, what it is, and what it says of itself."""

    target: Target
    file: LocalFile
    info: BuildInfo

    @property
    def binary(self) -> Path:
        """Where the program lies."""
        return self.file.path

    @property
    def ref(self) -> FileRef:
        """Name, digest and size of the program."""
        return self.file.ref

    @property
    def digest(self) -> str:
        """SHA-256 of the program."""
        return self.file.ref.digest


def folder_in(root: Path, folder: Path) -> str:
    """A folder as Go names a package from the folder ``root``: ``.`` or ``./services/orders``."""
    inside = os.path.relpath(folder.resolve(), root.resolve())
    return inside if inside == "." else f"./{Path(inside).as_posix()}"


def build_command(order: BuildInput, output: str) -> tuple[str, ...]:
    """The arguments of ``go``; the package by its path, since a file name would lose the module and the commit.

    Raises:
        SpecError: GP223 when ``main`` is no package of this module.
    """
    main = order.main if order.main == "." or order.main.startswith("./") else f"./{order.main}"
    if main.endswith(".go") or ".." in Path(main).parts or "..." in main or order.main.startswith(("/", "-")):
        raise SpecError(
            "GP223", f"build.main {order.main!r} is not one package of this module", hint='write "./cmd/orders"'
        )
    flags = ("-trimpath", "-buildvcs=true", f"-mod={order.mode}", "-ldflags", order.ldflags)
    return ("build", *flags, "-o", output, main)


async def compile_target(site: Site, order: BuildInput, target: Target, output: Path) -> Built:
    """Build for one target into the file ``output``, in a room without network that sees the commit read-only.

    Raises:
        RefusedError: GP208 it embeds a pointer of Git LFS.
        GopubError: GP221 it does not compile; GP228 it embeds what is not in the commit; GP229 it needs cgo;
            GP224 the binary is not what was ordered.
    """
    made = output.parent / f"made-{target.os}-{target.arch}" / output.name
    made.parent.mkdir(parents=True, exist_ok=True)
    room = site.compile_room(made.parent)
    wanted = {
        "GOOS": target.os,
        "GOARCH": target.arch,
        "GOCACHE": room.place(site.toolchain.build_cache),
    }
    words = build_command(order, room.place(made))
    await _refuse_pointers(site, room, order, words[-1], wanted)
    result = await site.go(room, order.root, *words, extra=wanted)
    if result.code:
        cgo = await _with_cgo(site, room, order, words[-1], wanted) if is_for_cgo(result.complaint) else ()
        raise said(target.text, result.complaint, cgo)
    made.replace(output)
    info = await read_build_info(site.toolchain, output)
    check_build_info(info, target=target, commit=order.commit)
    return Built(target, LocalFile.of(output), info)


async def _with_cgo(site: Site, room: Room, order: BuildInput, main: str, wanted: Mapping[str, str]) -> Sequence[str]:
    """The packages that have files for cgo; nothing is compiled for it."""
    words = (*CGO_PACKAGES[:2], f"-mod={order.mode}", *CGO_PACKAGES[2:], main)
    return (await site.go(room, order.root, *words, extra={**wanted, "CGO_ENABLED": "1"})).text.splitlines()


async def _refuse_pointers(site: Site, room: Room, order: BuildInput, main: str, wanted: Mapping[str, str]) -> None:
    """Only what the program embeds matters: a pointer elsewhere in the repository changes no byte of it."""
    words = ("list", "-deps", f"-mod={order.mode}", "-f", _EMBEDDED, main)
    listed = await site.go(room, order.root, *words, extra=wanted)
    top = Path(room.place(order.root))
    for path in map(Path, listed.text.splitlines() if not listed.code else ()):  # go build says better what is wrong
        if path.is_relative_to(top):
            inner = path.relative_to(top)
            refuse_pointer(order.root / inner, shown=inner.as_posix(), use=f"{main} (go:embed)")


async def read_build_info(toolchain: Toolchain, binary: Path) -> BuildInfo:
    """Ask the toolchain what a binary says of itself.

    Raises:
        GopubError: GP224 when it says nothing.
    """
    result = await run_go(toolchain, binary.parent, "version", "-m", str(binary))
    if result.code or not result.out.strip():
        raise GopubError(
            "GP224",
            f"{binary.name} carries no build information: {result.complaint}",
            hint="is build.main a main package?",
        )
    return parse_build_info(result.text)
