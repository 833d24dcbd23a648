"""The key of orders opens where the rollout will run: asked before anything is built."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gopub.errors import GopubError
from gopub.spec.kinds import FleetKind
from gopub.spec.references import Reference
from gopub.wiring.naming import Elsewhere, complete
from gopub.wiring.order_keys import open_order_key
from gopub.wiring.project import fleet_of, open_project

AWAY = "GP928"
"""Nobody could be asked whether there is such a connection."""


async def refuse_order_key(folder: str, env: str, elsewhere: Elsewhere | None = None) -> None:
    """Refuse a key of orders that cannot be used here; where the ssh connection names none there is nothing to open.

    A server that is away is no reason where no file has such a connection: most have none, and the rollout asks again.

    Raises:
        GopubError: GP300, GP301, GP142, GP332, GP334 it cannot be used; GP927 the connection is no file's, and cannot
            be read.
        RefusedError: GP483 it is no controller.
        UsageError: GP942 there is no such env.
    """
    project = open_project(folder)
    project.environment(env)
    try:
        known = await complete(project.connections, lambda _: (Reference("ssh", (FleetKind,)),), elsewhere)
    except GopubError as error:
        if error.code != AWAY:
            raise
        return
    if signing := fleet_of(replace(project, connections=known)).signing():
        await asyncio.to_thread(open_order_key, signing)
