"""The stages of a release as Prefect tasks; what each does is in gopub.release."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

from prefect.concurrency.asyncio import concurrency
from prefect.runtime import flow_run
from pydantic import Field

from gopub import release as core
from gopub.build.compile import Built
from gopub.build.target import Target
from gopub.evidence import claimed_name, claimed_signer
from gopub.release import PreparedRelease, ReleasePlan
from gopub.release.progress import progress
from gopub.release.stages import Described
from gopub.source.modules import ModuleReport
from gopub.source.tree import SourceTree
from gopub.spec.address import PATTERN
from gopub.spec.projects import Projects, find_projects, load_projects
from gopub.spec.refglob import EVERY
from gopub.telemetry import log
from gopub.usecases import refuse
from gopub.usecases.building import Building
from gopub.usecases.refuse_app import refuse_other_app
from gopub.usecases.refuse_order_key import refuse_order_key
from gopub.views.released import Signer
from gopub.wiring import folder, settings
from gopub.wiring.backends import BACKENDS
from gopub.wiring.shop import Shop, now, open_shop
from tasks import choosing, marks, pages
from tasks.announcing import announce_release
from tasks.box import box
from tasks.elsewhere import Elsewhere
from tasks.marks import on_a_worker

__all__ = [
    "already_published", "check_modules", "checkout", "compile_all", "may_begin", "may_enter", "may_sign", "pack_all",
    "plan", "project_folder", "publish", "refuse_other_app", "sign", "unit_tests", "workshop",
]  # fmt: skip

Made = dict[str, str]

_JOURNAL = 3.0
"""Seconds that a build waits for the journal, which only counts it."""
BUILDS = "gopub-build"
"""The global concurrency limit that `gopub setup` makes."""
_log = log("release")
_building = Building(lambda: settings.journal(patience=_JOURNAL), now)
_told = progress()
"""A process makes one release at a time; the command prints what it says, and a run's page shows it."""


Address: TypeAlias = Annotated[str, Field(pattern=PATTERN)]
"""Where a repository is: one with a password is refused by Prefect's server itself, which would keep it else."""


@contextmanager
def workshop(
    repository: str, ref: str, version: str, spec_file: str, project: str, refs: Sequence[str] = ()
) -> Iterator[Shop]:
    """A folder for this release alone, removed at the end; on a worker a commit must be in a branch or a tag."""
    run = flow_run.get_id()
    invocation = f"urn:prefect:flow-run:{run}" if run else ""
    allowed = refs or (EVERY if on_a_worker() else ())
    with open_shop(repository, ref, version, spec_file, Path(project), invocation=invocation, refs=allowed,
                   elsewhere=Elsewhere()) as shop:  # fmt: skip
        try:
            yield shop
        except BaseException as error:
            _building.end("failed", error=error)
            raise


@box(name="checkout", limit=900, patient=True)
async def checkout(shop: Shop) -> SourceTree:
    """A clean clone of the commit."""
    async with _told.stage(f"checking out {shop.config.ref}"):
        return await core.checkout(shop.config)


@box(name="project", limit=900, patient=True)
async def project_folder(
    repository: str, spec_file: str, project: str = "", project_ref: str = "", app: str = "", env: str = ""
) -> str:
    """The folder whose gopub.yaml, connections and inventories count, whatever the commit says."""
    place = folder.Place(repository, spec_file, project, project_ref, app, env)
    async with _told.stage("looking for the project", brief=True):
        return await folder.project_folder(place, registered=_registered if on_a_worker() else None)


def _registered() -> Projects:
    return load_projects(find_projects(), BACKENDS)


@box(name="may it begin", limit=60, patient=True)
async def may_begin(project: str, app: str, env: str, *, automatic: bool) -> str:
    """Refuse an unknown environment and one where a rollout is active; gives the project's app."""
    async with _told.stage("asking whether it may begin", brief=True):
        ours = await marks.gone_on_with(app, env)
    found = refuse.refuse_project(project, app, env, automatic=automatic, ours=ours)
    await refuse_order_key(project, env, Elsewhere())
    return found


@box(name="may it enter", limit=60, patient=True)
async def may_enter(plan: ReleasePlan, env: str, made: Made | None, *, downgrade: bool) -> None:
    """Refuse, before anything is built, an older version and a release that is quarantined where it is meant for."""
    async with _told.stage("asking whether it may enter", brief=True):
        ours = await marks.gone_on_with(plan.app, env) if env else ""
    known = made["release_id"] if made else ""
    refuse.refuse_release(plan.app, env, plan.version, known, downgrade=downgrade, ours=ours)


@box(name="plan release", limit=600)
async def plan(shop: Shop, source: SourceTree) -> ReleasePlan:
    """Read gopub.yaml of that commit and decide version, targets, flags and toolchain."""
    async with _told.stage("preparing: gopub.yaml, the Go toolchain"):
        planned = await core.plan(shop.config, source, started=now())
    _log.info("%s", planned.says)
    for remark in planned.remarks:
        _log.warning("%s", remark)
    return planned


@box(name="look it up", limit=300, patient=True)
async def already_published(shop: Shop, plan: ReleasePlan) -> Made | None:
    """What this commit was published as under this version; a second run builds nothing."""
    await asyncio.to_thread(_building.begin, plan, str(flow_run.get_root_flow_run_id() or ""))
    async with _told.stage("looking in the store", brief=True):
        found = await core.already_published(await shop.store(plan), plan.app, plan.version, plan.tree.commit)
    if found:
        _log.info("%s %s was published before, as this commit: nothing is built", plan.app, plan.version)
        await asyncio.to_thread(_building.end, "again", found.release_id)
    return _made(plan, found.release_id) if found else None


@box(name="check modules", limit=1800, patient=True)
async def check_modules(plan: ReleasePlan) -> ModuleReport:
    """Hold the commit's modules to the rules."""
    async with _told.stage("checking the modules"):
        return await core.check_modules(plan)


@box(name="may it sign", limit=300)
async def may_sign(shop: Shop, plan: ReleasePlan) -> None:
    """Refuse, before anything is built, what could not be signed."""
    async with _told.stage("looking whether it can be signed", brief=True):
        await core.may_sign(plan, await shop.key(plan))


@box(name="unit tests", limit=3600)
async def unit_tests(plan: ReleasePlan, modules: ModuleReport) -> None:
    """Go vet and go test; a failure ends the release, and nothing is published."""
    if not plan.spec.build.test.run or plan.spec.build.file:
        _log.info(
            "no tests of gopub's: %s", "the program is build.file" if plan.spec.build.file else "build.test is false"
        )
        return
    async with _told.stage("go vet, go test"):
        await core.unit_tests(plan, modules)


@box(name="compile", run_name="compile-{target.os}-{target.arch}", limit=3600)
async def compile_target(plan: ReleasePlan, modules: ModuleReport, target: Target) -> Built:
    """Build for one target."""
    async with _told.stage(f"compiling {target.text}"):
        return await core.compile_target(plan, modules, target)


@box(name="pack", run_name="pack-{built.target.os}-{built.target.arch}", limit=1800)
async def pack(plan: ReleasePlan, built: Built) -> Described:
    """Archive and SBOM."""
    name = built.target.text
    async with _told.stage(f"packing {name}"):
        packed = await core.archive(plan, built)
    async with _told.stage(f"writing the SBOMs of {name}"):
        return await core.sbom(plan, packed)


@box(name="sign", limit=1800)
async def sign(shop: Shop, plan: ReleasePlan, modules: ModuleReport, packed: Sequence[Described]) -> PreparedRelease:
    """The signatures over all targets, how all of it was built, and release.json: with one key, or one certificate."""
    async with _told.stage("signing archives, programs, SBOMs, the provenance and release.json"):
        return await core.sign(plan, modules, packed, await shop.key(plan), now=now)


@box(name="publish", limit=1800, patient=True)
async def publish(shop: Shop, plan: ReleasePlan, prepared: PreparedRelease) -> Made:
    """Put it into the store: the files, then release.json with its signature, then the version."""
    async with _told.stage("uploading to the store"):
        published = await core.publish(await shop.store(plan), prepared)
    await asyncio.to_thread(_building.end, "published", published.release_id)
    signer = Signer(claimed_signer(published.bundle), claimed_name(published.bundle))
    await pages.release_page(published.release, signer)
    announce_release(published.release)
    if on_a_worker():
        await choosing.published(await shop.store(plan), published.release.app, list(published.release.targets))
    return _made(plan, published.release_id)


async def compile_all(plan: ReleasePlan, modules: ModuleReport) -> list[Built]:
    """Every target, side by side. The limit on builds, where the server has one, is a courtesy to the workers."""
    async with concurrency(BUILDS):
        return list(await asyncio.gather(*(compile_target(plan, modules, target) for target in plan.targets)))


async def pack_all(plan: ReleasePlan, built: Sequence[Built]) -> list[Described]:
    """Every target, side by side."""
    return list(await asyncio.gather(*(pack(plan, one) for one in built)))


def _made(plan: ReleasePlan, release_id: str) -> Made:
    return {"app": plan.app, "version": plan.version, "release_id": release_id, "commit": plan.tree.commit}
