"""release, then rollout: what a webhook or the Prefect UI usually starts."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow

from flows.release import release
from flows.rollout import rollout
from gopub import __version__
from gopub.canon import Json
from tasks import marks, names
from tasks import release as boxes
from tasks import rollout as gates
from tasks.parts import DeployBoxes, Releasing, RollingOut
from tasks.telling import plainly
from tasks.tracing import traced


@flow(name="deploy", version=__version__, retries=0, flow_run_name=names.deploy)
@plainly
@traced
async def deploy(  # noqa: D417 - what it is made of is no parameter of its runs
    repository: boxes.Address,
    env: str,
    ref: str = "HEAD",
    version: str = "",
    spec_file: str = "gopub.yaml",
    project: str = "",
    reason: str = "",
    actor: str = "",
    automatic: bool = False,
    downgrade: bool = False,
    app: str = "",
    project_ref: str = "",
    refs: Sequence[str] = (),
    *,
    boxes: DeployBoxes = boxes,
    releasing: Releasing = release,
    rolling_out: RollingOut = rollout,
) -> dict[str, Json]:
    """Release a commit, then bring it into an environment.

    Args:
        repository: The git repository: an address without a password, or a folder on the worker.
        env: The environment, such as prod.
        ref: Branch, tag or commit.
        version: The version to publish it as. Empty: the tag at the commit, else one after the last tag.
        spec_file: gopub.yaml within the repository.
        project: The folder on the worker with gopub.yaml and connections. Empty: as projects.yaml there says.
        reason: Why; it stands in the journal.
        actor: Who asks; it stands in the journal. Empty: the user of the worker.
        automatic: Nobody asked for it. Such starts are refused after three rollbacks in a row.
        downgrade: Allow a version older than the one that is stable there.
        app: The only app that this may release and deploy. Empty: whichever the project's gopub.yaml names.
        project_ref: Instead of a folder: the protected branch of the repository that they are read from.
        refs: Patterns of the branches and tags that the commit must be in. None: on a worker any branch or tag.
    """
    folder = await boxes.project_folder(repository, spec_file, project, project_ref, app, env)
    app = await boxes.may_begin(folder, app, env, automatic=automatic)
    with marks.tagged(app, env):
        made = await releasing(
            repository, ref, version, spec_file, app, folder, refs=refs, env=env, downgrade=downgrade
        )
        return await gates.ended(
            await rolling_out(made["app"], env, made["version"], folder, reason, gates.said_by(actor), automatic)
        )
