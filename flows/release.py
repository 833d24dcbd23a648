"""From a commit to a published, proven release.

    project → source → plan → may it enter → modules → may it sign → compile (each target) → vet and unit tests
      → archive, SBOM (each target)
      → signatures, provenance, release.json → publish

Modules are fetched with network and nothing is executed; the commit is compiled and tested in a sandbox, tests last.
A failure publishes nothing: publishing is the last box, and the version that makes the release visible the last thing
in it. A version that this commit was published as before is not built again.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from gopub import __version__
from tasks import names
from tasks import release as boxes
from tasks.parts import ReleaseBoxes
from tasks.telling import plainly
from tasks.tracing import traced


@flow(name="release", version=__version__, retries=0, flow_run_name=names.release)
@plainly
@traced
async def release(  # noqa: D417 - what it is made of is no parameter of its runs
    repository: boxes.Address,
    ref: str = "HEAD",
    version: str = "",
    spec_file: str = "gopub.yaml",
    app: str = "",
    project: str = "",
    project_ref: str = "",
    refs: Sequence[str] = (),
    env: str = "",
    downgrade: bool = False,
    *,
    boxes: ReleaseBoxes = boxes,
) -> dict[str, str]:
    """Build, prove and publish a commit; gives app, version, release_id and commit.

    Args:
        repository: The git repository: an address without a password, or a folder on the worker.
        ref: Branch, tag or commit.
        version: The version to publish it as. Empty: the tag at the commit, else one after the last tag.
        spec_file: gopub.yaml within the repository.
        app: The only app that this may release. Empty: whichever gopub.yaml names.
        project: The folder on the worker whose store, key and connections count. Empty: as projects.yaml there says.
        project_ref: Instead of a folder: the protected branch of the repository that they are read from.
        refs: Patterns of the branches and tags that the commit must be in. None: on a worker any branch or tag.
        env: The environment it is for: what would be refused there is refused before it is built. Empty: none.
        downgrade: Allow a version older than the one that is stable there.
    """
    folder = await boxes.project_folder(repository, spec_file, project, project_ref, app)
    with boxes.workshop(repository, ref, version, spec_file, folder, refs) as shop:
        source = await boxes.checkout(shop)
        plan = await boxes.plan(shop, source)
        boxes.refuse_other_app(plan.app, app)
        made = await boxes.already_published(shop, plan)
        await boxes.may_enter(plan, env, made, downgrade=downgrade)
        if made:
            return made
        modules = await boxes.check_modules(plan)
        await boxes.may_sign(shop, plan)
        built = await boxes.compile_all(plan, modules)
        await boxes.unit_tests(plan, modules)
        packed = await boxes.pack_all(plan, built)
        prepared = await boxes.sign(shop, plan, modules, packed)
        return await boxes.publish(shop, plan, prepared)
