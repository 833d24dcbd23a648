"""The stages of a release, in order. Each takes a frozen value and gives the next one.

    checkout → plan → check_modules → compile_target (per target) → unit_tests → archive → sbom → sign
    → provenance → write_manifest → publish

Nothing leaves this machine before ``publish``; every stage can be run again. Modules are fetched with network and
nothing is executed; what is compiled and what runs as a test meets the rooms of :mod:`gopub.build.rooms`.
The order is that of flows/release.py.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence

from gopub import __version__, build, source
from gopub.build.artifact import LocalFile
from gopub.build.compile import BuildInput, Built, folder_in
from gopub.build.rooms import Site
from gopub.build.target import Target, archive_name, binary_name, stem
from gopub.evidence.bundle import SUFFIX, sign_blob, sign_statement
from gopub.evidence.provenance import BuildFacts
from gopub.evidence.provenance import provenance as provenance_statement
from gopub.evidence.sbom import FORMATS, make_sboms
from gopub.evidence.statement import Subject, statement
from gopub.release.config import ReleaseConfig, SigningKey, open_signer
from gopub.release.model import Release, TargetFiles
from gopub.release.stages import Described, Packed, PreparedRelease, ReleasePlan, SignedTarget
from gopub.source.modfile import Module
from gopub.source.modules import ModuleReport
from gopub.source.tree import SourceTree, full_ref


async def checkout(config: ReleaseConfig) -> SourceTree:
    """Clone the commit into the work folder; what a run before left there goes away."""
    into = config.work / "source"
    await asyncio.to_thread(shutil.rmtree, into, ignore_errors=True)
    return await source.checkout(config.repository, config.ref, into, refs=config.refs)


async def check_modules(plan: ReleasePlan) -> ModuleReport:
    """Hold the commit's modules to the rules of :mod:`gopub.source.modules`."""
    rule = plan.spec.source.modules
    return await source.check_modules(plan.tree, rule, toolchain=plan.toolchain, folder=plan.main)


async def unit_tests(plan: ReleasePlan, modules: ModuleReport) -> build.TestReport | None:
    """Run go vet and go test, last, in a copy of the commit: what tests write never reaches a build.

    None where the spec says ``build.test: false``.
    """
    if not plan.spec.build.test.run:
        return None
    copy = plan.config.work / "tested"
    await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)
    await asyncio.to_thread(shutil.copytree, plan.tree.path, copy, symlinks=True)
    root = copy / modules.root.relative_to(plan.tree.path.resolve())
    network = plan.network
    return await build.unit_tests(_site(plan), copy.resolve(), root.resolve(), mode=modules.mode, network=network)


async def compile_target(plan: ReleasePlan, modules: ModuleReport, target: Target) -> Built:
    """Build for one target; targets may be built at the same time."""
    package = folder_in(modules.root, plan.tree.path / plan.main)
    order = BuildInput(modules.root.resolve(), package, plan.ldflags, modules.mode, plan.tree.commit)
    output = plan.output / binary_name(plan.app, plan.version, target)
    return await build.compile_target(_site(plan), order, target, output)


async def archive(plan: ReleasePlan, built: Built) -> Packed:
    """Pack the program."""
    packed = await asyncio.to_thread(
        build.write_archive,
        built.binary,
        app=plan.app,
        target=built.target,
        commit_time=plan.tree.commit_time,
        output=plan.output / archive_name(plan.app, plan.version, built.target),
    )
    return Packed(built, packed)


async def sbom(plan: ReleasePlan, packed: Packed) -> Described:
    """Write the SBOMs of the program in every format that the spec asks for."""
    built = packed.built
    documents = await make_sboms(
        built.binary,
        plan.spec.evidence.sbom,
        app=plan.app,
        version=plan.version,
        moment=plan.tree.commit_time,
        info=built.info,
    )
    base = plan.output / stem(plan.app, plan.version, built.target)
    files = {
        name: LocalFile.write(base.with_name(base.name + FORMATS[name].suffix), data)
        for name, data in documents.items()
    }
    return Described(packed, files)


async def sign(described: Described, key: SigningKey) -> SignedTarget:
    """Sign archive and binary, and state each SBOM about both of them."""
    signer, packed = open_signer(key), described.packed
    subjects = [Subject.of(packed.archive.ref), Subject.of(packed.built.ref)]
    evidence = {
        "archive": _beside(packed.archive, sign_blob(signer, packed.archive.path.read_bytes())),
        "binary": _beside(packed.built.file, sign_blob(signer, packed.built.binary.read_bytes())),
    }
    for name, file in described.sboms.items():
        said = statement(subjects, FORMATS[name].predicate, json.loads(file.path.read_bytes()))
        evidence[f"sbom-{name}"] = _beside(file, sign_statement(signer, said))
    return SignedTarget(described, evidence)


async def provenance(
    plan: ReleasePlan, modules: ModuleReport, signed: Sequence[SignedTarget], key: SigningKey, *, finished: float
) -> LocalFile:
    """State how all artifacts were built; ``finished`` is seconds since the epoch."""
    facts = BuildFacts(
        repository=plan.tree.repository,
        ref=full_ref(plan.tree),
        commit=plan.tree.commit,
        spec_file=plan.spec_file,
        main=plan.main,
        targets=tuple(one.target.text for one in signed),
        ldflags=plan.ldflags,
        mode=modules.mode,
        go_version=plan.toolchain.version,
        go_digest=plan.toolchain.digest,
        modules=_linked(modules, signed),
        gopub_version=__version__,
        invocation=plan.config.invocation,
        sandbox=plan.sandbox.name,
        tests=plan.tests,
        started=plan.started,
        finished=finished,
    )
    subjects = [Subject.of(file.ref) for one in signed for file in one.artifacts]
    said = sign_statement(open_signer(key), provenance_statement(subjects, facts))
    return LocalFile.write(plan.output / f"{plan.app}-{plan.version}.provenance{SUFFIX}", said)


async def write_manifest(
    plan: ReleasePlan, signed: Sequence[SignedTarget], provenance: LocalFile, key: SigningKey, *, created: float
) -> PreparedRelease:
    """Write release.json and sign it; ``created`` is seconds since the epoch."""
    whole = plan.spec.model_dump(mode="json", by_alias=True)
    release = Release(
        app=plan.app,
        version=plan.version,
        commit=plan.tree.commit,
        repository=plan.tree.repository,
        created=created,
        targets={one.target.text: _target_files(one, provenance) for one in signed},
        environments=plan.environments,
        spec={name: value for name, value in whole.items() if name != "environments"},
    )
    data = release.manifest_bytes()
    Release.parse(data)  # what we cannot read back is not published
    manifest = LocalFile.write(plan.output / "release.json", data)
    bundle = _beside(manifest, sign_blob(open_signer(key), data))
    files = [file for one in signed for file in (*one.artifacts, *one.evidence.values())]
    return PreparedRelease(release, manifest, bundle, (*files, provenance))


def _site(plan: ReleasePlan) -> Site:
    return Site(plan.sandbox, plan.toolchain, plan.tree.path.resolve(), plan.config.work.resolve())


def _target_files(one: SignedTarget, provenance: LocalFile) -> TargetFiles:
    packed, sboms = one.described.packed, one.described.sboms
    evidence = {name: file.ref for name, file in one.evidence.items()}
    return TargetFiles(
        archive=packed.archive.ref,
        binary=packed.built.ref,
        sboms={name: file.ref for name, file in sboms.items()},
        evidence=evidence | {"provenance": provenance.ref},
    )


def _linked(modules: ModuleReport, signed: Sequence[SignedTarget]) -> tuple[Module, ...]:
    """The modules that are in the programs; a vendored build leaves out their sums, go.sum has them."""
    sums = {(module.path, module.version): module.sum for module in modules.modules}
    found = {module for one in signed for module in one.described.packed.built.info.dependencies}
    return tuple(
        Module(module.path, module.version, module.sum or sums.get((module.path, module.version), ""))
        for module in found
    )


def _beside(file: LocalFile, bundle: bytes) -> LocalFile:
    return LocalFile.write(file.path.with_name(file.path.name + SUFFIX), bundle)
