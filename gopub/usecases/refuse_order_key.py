"""The key of orders opens where the rollout will run: asked before anything is built."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gopub.spec.kinds import FleetKind
from gopub.spec.references import Reference
from gopub.wiring.naming import Elsewhere, complete
from gopub.wiring.order_keys import open_order_key
from gopub.wiring.project import fleet_of, open_project


async def refuse_order_key(folder: str, env: str, elsewhere: Elsewhere | None = None) -> None:
    """Refuse a key of orders that cannot be used here; where the ssh connection names none there is nothing to open.

    Raises:
        GopubError: GP300, GP301, GP142, GP332, GP334 it cannot be used; GP927, GP928 the connection is no file's, and
            cannot be read.
        RefusedError: GP483 it is no controller.
        UsageError: GP942 there is no such env.
    """
    project = open_project(folder)
    project.environment(env)
    known = await complete(project.connections, lambda _: (Reference("ssh", (FleetKind,)),), elsewhere)
    if signing := fleet_of(replace(project, connections=known)).signing():
        await asyncio.to_thread(open_order_key, signing)
