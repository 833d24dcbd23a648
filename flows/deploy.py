"""release, then rollout: what a webhook or the Prefect UI usually starts."""

from __future__ import annotations

from prefect import flow

from flows.release import release
from flows.rollout import rollout
from gopub.canon import Json
from tasks import release as boxes
from tasks import rollout as gates


@flow(name="deploy", flow_run_name="deploy-{ref}-{env}")
async def deploy(
    repository: str,
    env: str,
    ref: str = "HEAD",
    version: str = "",
    spec_file: str = "gopub.yaml",
    project: str = "",
    reason: str = "",
    actor: str = "",
    automatic: bool = False,
    downgrade: bool = False,
) -> dict[str, Json]:
    """Release the commit that ``ref`` names and bring it into ``env``."""
    made = await release(repository, ref, version, spec_file)
    folder = project or await boxes.project_folder(repository, ref, spec_file)
    await gates.no_downgrade(made["app"], env, made["version"], downgrade=downgrade)
    return await rollout(made["app"], env, made["version"], folder, reason, actor, automatic)
