"""Targets of a build and the names of what is built for them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from gopub.errors import UsageError

_TARGET = re.compile(r"([a-z0-9]+)/([a-z0-9]+)")


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """An operating system and an architecture, as ``go tool dist list`` names them."""

    os: str
    arch: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``linux/amd64``.

        Raises:
            UsageError: GP222 when it is no pair.
        """
        match = _TARGET.fullmatch(text)
        if not match:
            raise UsageError(
                "GP222", f"{text!r} is not a build target", hint='write os/architecture, such as "linux/amd64"'
            )
        return cls(match[1], match[2])

    @property
    def text(self) -> str:
        """``linux/amd64``."""
        return f"{self.os}/{self.arch}"

    @property
    def suffix(self) -> str:
        """What a program's file name ends with there."""
        return ".exe" if self.os == "windows" else ""


def stem(app: str, version: str, target: Target) -> str:
    """``orders-1.4.0-linux-amd64``."""
    return f"{app}-{version}-{target.os}-{target.arch}"


def binary_name(app: str, version: str, target: Target) -> str:
    """The published name of the program: ``orders-1.4.0-windows-amd64.exe``."""
    return stem(app, version, target) + target.suffix


def archive_name(app: str, version: str, target: Target) -> str:
    """The published name of the archive: .tar.gz, for Windows .zip."""
    return stem(app, version, target) + (".zip" if target.os == "windows" else ".tar.gz")
