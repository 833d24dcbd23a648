"""What a Go binary says of itself (``go version -m``), and whether it is what was ordered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gopub.build.target import Target
from gopub.errors import GopubError
from gopub.source.modfile import Module


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """The toolchain, the main package, the modules linked in, and the build settings."""

    go: str
    path: str
    module: Module | None
    dependencies: tuple[Module, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


def parse_build_info(text: str) -> BuildInfo:
    """Read the output of ``go version -m BINARY``; a replaced module is named by what replaces it.

    Raises:
        GopubError: GP224 it is no such output.
    """
    try:
        return _parsed(text)
    except (ValueError, IndexError):
        raise GopubError("GP224", "`go version -m` says nothing of the binary that can be read",
                         hint="run it on the binary by hand") from None  # fmt: skip


def _parsed(text: str) -> BuildInfo:
    head, *lines = text.splitlines()
    settings: dict[str, str] = {}
    modules: list[Module] = []
    path, main = "", None
    for kind, *rest in (line.strip().split("\t") for line in lines if line.strip()):
        match kind:
            case "path":
                path = rest[0]
            case "mod":
                main = _module(rest)
            case "dep":
                modules.append(_module(rest))
            case "=>":
                modules[-1] = _module(rest)
            case "build":
                name, _, value = rest[0].partition("=")
                settings[name] = value
            case _:
                pass  # a later Go may say more
    return BuildInfo(head.rpartition(": ")[2].removeprefix("go"), path, main, tuple(modules), settings)


def check_build_info(info: BuildInfo, *, target: Target, commit: str) -> None:
    """Refuse a binary that does not say that it was built from this commit, for this target, without cgo.

    Raises:
        GopubError: GP224 with what differs.
    """
    wanted = {
        "GOOS": target.os,
        "GOARCH": target.arch,
        "CGO_ENABLED": "0",
        "-trimpath": "true",
        "vcs.revision": commit,
        "vcs.modified": "false",
    }
    wrong = [
        f"{name} is {info.settings.get(name, 'absent')}, not {value}"
        for name, value in wanted.items()
        if info.settings.get(name) != value
    ]
    if info.path == "command-line-arguments":
        wrong.append("it was built from a file, not from a package")
    if wrong:
        raise GopubError(
            "GP224",
            f"the binary for {target.text} is not what was ordered: {'; '.join(wrong)}",
            hint="does the build or a test write into the checkout? then it is no longer the commit",
        )


def _module(columns: list[str]) -> Module:
    path, version, *rest = [*columns, ""]
    return Module(path, version, rest[0] if rest else "")
