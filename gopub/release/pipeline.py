"""The stages of a release, in order. Each takes a frozen value and gives the next one.

    checkout → plan → check_modules → may_sign → compile_target (per target) → unit_tests
    → archive → sbom (per target) → sign → publish

Nothing leaves this machine before ``publish``; every stage can be run again. Modules are fetched with network and
nothing is executed; what is compiled and what runs as a test meets the rooms of :mod:`gopub.build.rooms`.
The order is that of flows/release.py.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence

from gopub import __version__, build, source
from gopub.build.artifact import LocalFile
from gopub.build.compile import BuildInput, Built, folder_in
from gopub.build.rooms import Site
from gopub.build.target import Target, archive_name, binary_name, stem
from gopub.errors import RefusedError
from gopub.evidence.bundle import SUFFIX
from gopub.evidence.provenance import BuildFacts
from gopub.evidence.provenance import provenance as provenance_statement
from gopub.evidence.sbom import FORMATS, make_sboms
from gopub.evidence.signing import Signing, ToSign
from gopub.evidence.statement import Subject, statement
from gopub.release.config import ReleaseConfig, SigningKey, open_signing
from gopub.release.model import Release, TargetFiles
from gopub.release.stages import Described, Packed, PreparedRelease, ReleasePlan, SignedTarget
from gopub.source.modfile import Module
from gopub.source.modules import ModuleReport
from gopub.source.tree import SourceTree, full_ref
from gopub.tracing.context import current


async def checkout(config: ReleaseConfig) -> SourceTree:
    """Clone the commit into the work folder; what a run before left there goes away."""
    into = config.work / "source"
    await asyncio.to_thread(shutil.rmtree, into, ignore_errors=True)
    return await source.checkout(config.repository, config.ref, into, refs=config.refs)


async def check_modules(plan: ReleasePlan) -> ModuleReport:
    """Hold the commit's modules to the rules of :mod:`gopub.source.modules`; what Go does not build has none."""
    if plan.spec.build.file:
        return ModuleReport(plan.tree.path, "", vendored=False, modules=())
    rule = plan.spec.source.modules
    return await source.check_modules(plan.tree, rule, toolchain=plan.toolchain, folder=plan.main)


async def unit_tests(plan: ReleasePlan, modules: ModuleReport) -> build.TestReport | None:
    """Run go vet and go test, last, in a copy of the commit: what tests write never reaches a build.

    None where the spec says ``build.test: false``, or where Go does not build the program.
    """
    if not plan.spec.build.test.run or plan.spec.build.file:
        return None
    copy = plan.config.work / "tested"
    await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)
    await asyncio.to_thread(shutil.copytree, plan.tree.path, copy, symlinks=True)
    root = copy / modules.root.relative_to(plan.tree.path.resolve())
    network = plan.network
    return await build.unit_tests(_site(plan), copy.resolve(), root.resolve(), mode=modules.mode, network=network)


async def compile_target(plan: ReleasePlan, modules: ModuleReport, target: Target) -> Built:
    """Build for one target; targets may be built at the same time."""
    output = plan.output / binary_name(plan.app, plan.version, target)
    if made := plan.spec.build.file:
        tree, command = plan.tree, plan.spec.build.command
        what = build.MakeInput(plan.project, command, made, plan.version, tree.commit, tree.commit_time)
        return await build.make_file(_site(plan), what, target, output)
    package = folder_in(modules.root, plan.tree.path / plan.main)
    order = BuildInput(modules.root.resolve(), package, plan.ldflags, modules.mode, plan.tree.commit)
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


async def may_sign(plan: ReleasePlan, key: SigningKey) -> None:
    """See whether it could be signed, before it is built and tested for a long time.

    Raises:
        GopubError: the key cannot be used; a token is missing, has expired or is another's; there is nowhere to sign.
    """
    async with open_signing(key, plan.sandbox, plan.config.work) as signing:
        await signing.ready()


async def sign(
    plan: ReleasePlan,
    modules: ModuleReport,
    described: Sequence[Described],
    key: SigningKey,
    *,
    now: Callable[[], float],
) -> PreparedRelease:
    """Sign all of a release, with one key or one certificate; ``now`` gives seconds since the epoch.

    At once: archive and binary of every target, a statement of each SBOM about both of them, and how all of it was
    built. Then release.json, which names the bundles.

    Raises:
        GopubError: it cannot be signed, and nothing is published.
        RefusedError: GP364, GP366 the signatures would be believed nowhere.
    """
    built = _provenance(plan, modules, described, finished=now())
    targets = [_to_sign(one) for one in described]
    asked = [(file, said) for target in targets for file, said in target.values()]
    async with open_signing(key, plan.sandbox, plan.config.work) as signing:
        made = await signing.bundles([*(said for _, said in asked), built])
        if wrong := signing.disagrees(plan.tree.repository, full_ref(plan.tree), plan.tree.commit):
            hint = "in a job, let its clone know the remote's branches: see the guide on signing without a key"
            raise RefusedError("GP366", f"a release signed so would be let in nowhere: {wrong}", hint=hint)
        files = [_beside(file, bundle) for (file, _), bundle in zip(asked, made[:-1], strict=True)]
        left = iter(files)
        signed = [
            SignedTarget(one, {name: next(left) for name in target})
            for one, target in zip(described, targets, strict=True)
        ]
        stated = LocalFile.write(plan.output / f"{plan.app}-{plan.version}.provenance{SUFFIX}", made[-1])
        return await _manifest(plan, signed, stated, signing, created=now())


def _to_sign(one: Described) -> dict[str, tuple[LocalFile, ToSign]]:
    """By the names of the bundles in release.json: beside which file each lies, and what it is about."""
    packed = one.packed
    subjects = [Subject.of(packed.archive.ref), Subject.of(packed.built.ref)]
    asked = {
        "archive": (packed.archive, ToSign(packed.archive.path.read_bytes())),
        "binary": (packed.built.file, ToSign(packed.built.binary.read_bytes())),
    }
    for name, file in one.sboms.items():
        said = statement(subjects, FORMATS[name].predicate, json.loads(file.path.read_bytes()))
        asked[f"sbom-{name}"] = (file, ToSign.stating(said))
    return asked


def _provenance(plan: ReleasePlan, modules: ModuleReport, described: Sequence[Described], *, finished: float) -> ToSign:
    """How all artifacts were built."""
    place = current()
    facts = BuildFacts(
        repository=plan.tree.repository,
        ref=full_ref(plan.tree),
        commit=plan.tree.commit,
        spec_file=plan.spec_file,
        main=plan.main,
        made=(plan.spec.build.file or "", *plan.spec.build.command) if plan.spec.build.file else (),
        targets=tuple(one.target.text for one in described),
        ldflags=plan.ldflags,
        mode=modules.mode,
        go_version=plan.toolchain.version,
        go_digest=plan.toolchain.digest,
        modules=_linked(modules, described),
        gopub_version=__version__,
        invocation=plan.config.invocation,
        sandbox=plan.sandbox.name,
        tests=plan.tests,
        started=plan.started,
        finished=finished,
        trace=place.trace if place else "",
    )
    subjects = [Subject.of(file.ref) for one in described for file in one.artifacts]
    return ToSign.stating(provenance_statement(subjects, facts))


async def _manifest(
    plan: ReleasePlan, signed: Sequence[SignedTarget], provenance: LocalFile, signing: Signing, *, created: float
) -> PreparedRelease:
    """Write release.json and sign it."""
    whole = plan.spec.model_dump(mode="json", by_alias=True)
    if plan.spec.build.file is None:  # an older gopub does not know these keys
        whole["build"] = {name: value for name, value in whole["build"].items() if name not in {"file", "command"}}
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
    (made,) = await signing.bundles([ToSign(data)])
    files = [file for one in signed for file in (*one.artifacts, *one.evidence.values())]
    return PreparedRelease(release, manifest, _beside(manifest, made), (*files, provenance))


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


def _linked(modules: ModuleReport, described: Sequence[Described]) -> tuple[Module, ...]:
    """The modules that are in the programs; a vendored build leaves out their sums, go.sum has them."""
    sums = {(module.path, module.version): module.sum for module in modules.modules}
    found = {module for one in described for module in one.packed.built.info.dependencies}
    return tuple(
        Module(module.path, module.version, module.sum or sums.get((module.path, module.version), ""))
        for module in found
    )


def _beside(file: LocalFile, bundle: bytes) -> LocalFile:
    return LocalFile.write(file.path.with_name(file.path.name + SUFFIX), bundle)
