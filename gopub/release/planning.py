"""What is decided about a release before anything is built: read from the commit's gopub.yaml and go.mod."""

from __future__ import annotations

import os
from pathlib import Path

from gopub import build, source
from gopub.build.ldflags import known_names, render_ldflags
from gopub.build.target import Target
from gopub.errors import GopubError, SpecError, Where
from gopub.evidence.provenance import timestamp
from gopub.release.config import ReleaseConfig
from gopub.release.environments import environments_of
from gopub.release.stages import ReleasePlan
from gopub.source.goversions import GoLines
from gopub.source.tree import SourceTree, version_of
from gopub.spec.finding import read_text
from gopub.spec.loader import Loaded, load_spec, parse_spec, together
from gopub.spec.models import BuildSpec, ReleaseSpec
from gopub.spec.references import no_main, placed
from gopub.spec.templates import unreadable


async def plan(config: ReleaseConfig, tree: SourceTree, *, started: float) -> ReleasePlan:
    """Read gopub.yaml of that commit and decide version, targets, flags and toolchain.

    Raises:
        GopubError: what is wrong with the spec or the commit; GP204, GP205, GP206, GP220, GP222, GP225,
            GP230, GP407, GP408.
    """
    file = _spec_file(config, tree)
    loaded = parse_spec(read_text(file), config.spec_file)
    if missing := no_main(loaded, file.parent):
        raise missing
    spec, project = loaded.spec, file.parent
    if "clean-tree" in spec.source.require:
        source.require_clean(tree)
    environments = environments_of(spec, project, tree.path)
    if wrong := [*unreadable(loaded, project)]:
        raise together(wrong)
    module = project if spec.build.file else _module(tree, project, spec)
    tree = await source.settle_version_tag(tree, _owners(tree, project, module, spec))
    version = version_of(tree, config.version)
    permitted = _permitted(config, spec.app)
    asked = GoLines() if spec.build.file else GoLines.read((module / "go.mod").read_text("utf-8", errors="replace"))
    return ReleasePlan(
        config=config,
        tree=tree,
        project=project,
        spec=spec,
        version=version,
        ldflags=_ldflags(loaded, tree, version),
        toolchain=await build.find_toolchain(spec.build.go, cache=config.cache, asked=asked),
        targets=tuple(dict.fromkeys(Target.parse(text) for text in spec.build.targets)),
        environments=environments,
        started=started,
        sandbox=await build.find_sandbox(waived=spec.build.unsandboxed and permitted.unsandboxed),
        network=spec.build.test.network and permitted.test.network,
    )


def _permitted(config: ReleaseConfig, app: str) -> BuildSpec:
    """What the project itself says of this app's build: the folder that a person stands in, or a protected ref.

    A commit may ask to run without a sandbox or with network; whoever pushes it must not be the one who grants that.
    """
    file = config.word or Path(config.repository, config.spec_file)
    try:
        spec = load_spec(file).spec if file.is_file() else None
    except GopubError:
        return BuildSpec()
    return spec.build if spec and spec.app == app else BuildSpec()


def _ldflags(loaded: Loaded, tree: SourceTree, version: str) -> str:
    names = known_names(loaded.spec.app, version, tree.commit, timestamp(tree.commit_time))
    try:
        return render_ldflags(loaded.spec.build.ldflags, names)
    except SpecError as error:
        raise placed(error, loaded, "build.ldflags") from error


def _module(tree: SourceTree, project: Path, spec: ReleaseSpec) -> Path:
    top = tree.path.resolve()
    return source.module_root(top, os.path.relpath((project / spec.build.main).resolve(), top))


def _owners(tree: SourceTree, project: Path, module: Path, spec: ReleaseSpec) -> frozenset[str]:
    """The prefixes of tags that are this app's own: the folders of its gopub.yaml and of its go.mod, and its name."""
    top = tree.path.resolve()
    return frozenset(
        {spec.app} | {folder.resolve().relative_to(top).as_posix() for folder in (project, module)} - {"."}
    )


def _spec_file(config: ReleaseConfig, tree: SourceTree) -> Path:
    file = (tree.path / tree.folder / config.spec_file).resolve()
    if not file.is_relative_to(tree.path.resolve()) or not file.is_file():
        raise SpecError(
            "GP206",
            f"commit {tree.commit[:12]} has no {config.spec_file!r}",
            hint="commit it, or name another file",
            where=Where(config.spec_file),
        )
    return file
