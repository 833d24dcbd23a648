"""The values between the stages of a release: frozen, picklable, files by path."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gopub.build.artifact import LocalFile
from gopub.build.compile import Built, folder_in
from gopub.build.sandbox import NONE, Sandbox
from gopub.build.target import Target
from gopub.release.config import ReleaseConfig
from gopub.release.model import EnvironmentFiles, Release
from gopub.source.golang import Toolchain
from gopub.source.tree import SourceTree
from gopub.spec.models import ReleaseSpec


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """All that is decided before anything is built; ``started`` is seconds since the epoch.

    ``project`` is the folder of gopub.yaml in the checkout: where the paths in that file start. ``sandbox`` is where
    the commit is compiled and tested; ``network`` is whether its tests have the machine's.
    """

    config: ReleaseConfig
    tree: SourceTree
    project: Path
    spec: ReleaseSpec
    version: str
    toolchain: Toolchain
    ldflags: str
    targets: tuple[Target, ...]
    environments: Mapping[str, EnvironmentFiles]
    started: float
    sandbox: Sandbox = NONE
    network: bool = False

    @property
    def app(self) -> str:
        """The app's name."""
        return self.spec.app

    @property
    def main(self) -> str:
        """The main package's folder, relative to the checkout: ``.`` or ``./services/orders``."""
        return folder_in(self.tree.path, self.project / self.spec.build.main)

    @property
    def spec_file(self) -> str:
        """The path of gopub.yaml, relative to the checkout."""
        return posixpath.normpath(posixpath.join(self.tree.folder, self.config.spec_file))

    @property
    def tests(self) -> str:
        """What is done with the commit's tests: ``none``, ``loopback`` or ``network``, which is all that they reach."""
        if not self.spec.build.test.run or self.spec.build.file:
            return "none"
        return "network" if self.network or not self.sandbox else "loopback"

    @property
    def says(self) -> str:
        """What is to be made, in one line."""
        targets = ", ".join(target.text for target in self.targets)
        what = f"{self.app} {self.version}, commit {self.tree.commit[:12]}"
        build = self.spec.build
        by = (
            f"Go {self.toolchain.version}"
            if build.file is None
            else " ".join(build.command) or "no build: it is a file"
        )
        return f"{what}, for {targets}, with {by}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What people are told before anything is built."""
        told = []
        if not self.sandbox:
            told.append("unsandboxed: what the commit brings runs as you, beside your files and keys")
        elif self.spec.build.unsandboxed:
            told.append(f"build.unsandboxed is not needed here: {self.sandbox.name} is used")
        if self.network:
            told.append("tests have this machine's network, as build.test.network asks")
        elif self.spec.build.test.network and self.sandbox:
            told.append(
                "the commit asks for network for its tests, and the project's own gopub.yaml does not: lo alone"
            )
        return tuple(told)

    @property
    def output(self) -> Path:
        """Where the stages write."""
        return self.config.work / "out"


@dataclass(frozen=True, slots=True)
class Packed:
    """A program and its archive."""

    built: Built
    archive: LocalFile


@dataclass(frozen=True, slots=True)
class Described:
    """A program, its archive, and its SBOMs by format."""

    packed: Packed
    sboms: Mapping[str, LocalFile]

    @property
    def target(self) -> Target:
        """The target."""
        return self.packed.built.target

    @property
    def artifacts(self) -> tuple[LocalFile, ...]:
        """Archive, binary and SBOMs: what provenance is about."""
        return (self.packed.archive, self.packed.built.file, *self.sboms.values())


@dataclass(frozen=True, slots=True)
class SignedTarget:
    """Everything of one target with the bundles over it; the provenance is one for all targets."""

    described: Described
    evidence: Mapping[str, LocalFile]

    @property
    def target(self) -> Target:
        """The target."""
        return self.described.target

    @property
    def artifacts(self) -> tuple[LocalFile, ...]:
        """Archive, binary and SBOMs: what provenance is about."""
        return self.described.artifacts


@dataclass(frozen=True, slots=True)
class PreparedRelease:
    """A finished release that nobody has seen yet: the manifest, its bundle, and every file it names."""

    release: Release
    manifest: LocalFile
    bundle: LocalFile
    files: tuple[LocalFile, ...]

    @property
    def release_id(self) -> str:
        """SHA-256 of the manifest."""
        return self.manifest.ref.digest
