"""``gopub setup``: everything that a Prefect server needs to run gopub; a second time it changes nothing.

1. read prefect.yaml strictly, before anything is touched;
2. the work pool and its queue for what must not wait behind builds;
3. the limit on builds at a time (a courtesy to the workers; what must be exclusive has its seat in the journal);
4. the Blocks;
5. the deployments, and those of an older gopub removed;
6. the automation that marks runs whose process is gone.
"""

from __future__ import annotations

from pathlib import Path

from prefect.client.orchestration import get_client

from deployments.engine import answering, require_server
from deployments.lint import load_deployments
from deployments.setup.changes import Change
from deployments.setup.deploying import deploy_all
from deployments.setup.pool import ensure_blocks, ensure_limits, ensure_pool
from deployments.setup.watchdog import ensure_watchdog


async def set_up(root: Path) -> list[Change]:
    """Set up the server that ``PREFECT_API_URL`` names from the project in ``root``; gives what it found and did.

    Raises:
        UsageError: GP911 no server is named.
        SpecError: GP912 prefect.yaml is wrong.
        GopubError: GP913 Prefect refuses a deployment, GP918 the server does not answer.
    """
    require_server()
    wanted = load_deployments(root)
    pools = {(one.work_pool.name, one.work_pool.work_queue_name) for one in wanted.deployments}
    with answering():
        async with get_client() as client:
            changes = await ensure_pool(client, pools)
            changes += await ensure_limits(client)
            changes += await ensure_blocks(client)
            changes += await deploy_all(client, root, wanted)
            changes += await ensure_watchdog(client)
    return changes
