"""``gopub setup``: everything that a Prefect server needs to run gopub; a second time it changes nothing.

1. read prefect.yaml and projects.yaml strictly, before anything is touched;
2. the work pool and its queue for what must not wait behind builds;
3. the limit on builds at a time (a courtesy to the workers; what must be exclusive has its seat in the journal);
4. the Blocks;
5. the deployments, and those of an older gopub removed;
6. the forms of the apps in projects.yaml, where there is one, and those of apps taken out of it removed;
7. the automation that marks runs whose process is gone;
8. the automations that projects.yaml asks for, and those of ours removed that it asks for no more.
"""

from __future__ import annotations

from pathlib import Path

from prefect.client.orchestration import get_client

from deployments.engine import answering, require_server
from deployments.lint import load_deployments
from deployments.setup.asides import asked_by, ensure_asides
from deployments.setup.changes import Change
from deployments.setup.deploying import deploy_all
from deployments.setup.forms import ensure_forms, orders_of
from deployments.setup.pool import ensure_blocks, ensure_limits, ensure_pool
from deployments.setup.watchdog import ensure_watchdog


async def set_up(root: Path, projects: Path | None = None, *, take_over: bool = False) -> list[Change]:
    """Set up the server that ``PREFECT_API_URL`` names from the project in ``root``; gives what it found and did.

    ``projects`` is the projects.yaml whose apps get forms and whose automations are made; None: the one in the usual
    places, if there is any.

    Raises:
        UsageError: GP911 no server is named. GP920 the projects.yaml that is named is not there.
        SpecError: GP912 prefect.yaml is wrong; what is wrong with projects.yaml.
        GopubError: GP913 Prefect refuses a deployment, GP918 the server does not answer.
    """
    require_server()
    wanted = load_deployments(root)
    missable = asked_by(projects)
    asked = orders_of(projects)
    pools = {(one.work_pool.name, one.work_pool.work_queue_name) for one in wanted.deployments}
    with answering():
        async with get_client() as client:
            changes = await ensure_pool(client, pools)
            changes += await ensure_limits(client)
            changes += await ensure_blocks(client)
            changes += await deploy_all(client, root, wanted)
            if asked:
                changes += await ensure_forms(client, wanted, asked, take_over=take_over)
            changes += await ensure_watchdog(client)
            if missable:
                changes += await ensure_asides(client, *missable, take_over=take_over)
    return changes
