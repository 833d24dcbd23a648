"""What is decided about a release before anything is built: read from the commit's gopub.yaml and go.mod."""

from __future__ import annotations

import os
from pathlib import Path

from gopub import build, source
from gopub.build.ldflags import render_ldflags
from gopub.build.target import Target
from gopub.errors import SpecError, Where
from gopub.evidence.provenance import timestamp
from gopub.release.config import ReleaseConfig
from gopub.release.environments import environments_of
from gopub.release.stages import ReleasePlan
from gopub.source.goversions import GoLines
from gopub.source.tree import SourceTree, version_of
from gopub.spec.loader import parse_spec, read_text
from gopub.spec.models import ReleaseSpec
from gopub.spec.references import no_main


async def plan(config: ReleaseConfig, tree: SourceTree, *, started: float) -> ReleasePlan:
    """Read gopub.yaml of that commit and decide version, targets, flags and toolchain.

    Raises:
        GopubError: what is wrong with the spec or the commit; GP204, GP205, GP206, GP220, GP222, GP225.
    """
    file = _spec_file(config, tree)
    loaded = parse_spec(read_text(file), config.spec_file)
    if missing := no_main(loaded, file.parent):
        raise missing
    spec = loaded.spec
    if "clean-tree" in spec.source.require:
        source.require_clean(tree)
    module = _module(tree, file.parent, spec)
    tree = await source.settle_version_tag(tree, _owners(tree, file.parent, module, spec))
    version = version_of(tree, config.version)
    asked = GoLines.read((module / "go.mod").read_text("utf-8", errors="replace"))
    names = {
        "app": spec.app,
        "version": version,
        "commit": tree.commit,
        "commit_time": timestamp(tree.commit_time),
    }
    return ReleasePlan(
        config=config,
        tree=tree,
        project=file.parent,
        spec=spec,
        version=version,
        toolchain=await build.find_toolchain(spec.build.go, cache=config.cache, asked=asked),
        ldflags=render_ldflags(spec.build.ldflags, names),
        targets=tuple(dict.fromkeys(Target.parse(text) for text in spec.build.targets)),
        environments=environments_of(spec, file.parent, tree.path),
        started=started,
    )


def _module(tree: SourceTree, project: Path, spec: ReleaseSpec) -> Path:
    top = tree.path.resolve()
    return source.module_root(top, os.path.relpath((project / spec.build.main).resolve(), top))


def _owners(tree: SourceTree, project: Path, module: Path, spec: ReleaseSpec) -> frozenset[str]:
    """The prefixes of tags that are this app's own: the folders of its gopub.yaml and of its go.mod, and its name."""
    top = tree.path.resolve()
    return frozenset({spec.app} | {folder.relative_to(top).as_posix() for folder in (project, module)} - {"."})


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
