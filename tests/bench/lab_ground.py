"""What the benchmarks of rollouts stand on: a lab, a Prefect server and a warm driver of their own; all of it goes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from unittest.mock import patch

from deployments import server as prefect
from gopub.lab.lab import Lab, sweep, take_down
from tests.e2e.story_ground import Env, Ground


@asynccontextmanager
async def own_ground(env: Env, *, hosts: int = 4, edges: int = 1) -> AsyncIterator[Ground]:
    """A ground with one environment, on a lab that does not outlive this process; it may set variables as it likes."""
    name = f"bench{os.getpid()}"
    await sweep()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gopub-bench-", ignore_cleanup_errors=True))
        stack.push_async_callback(take_down, name)  # before `up`, which may fail half-way
        stack.enter_context(patch.dict(os.environ))  # as it was, before the lab is looked for to take it down
        lab = await Lab.up(name, hosts=hosts, edges=edges, owned=True)
        server = await prefect.start_server(Path(folder) / "prefect")
        stack.push_async_callback(prefect.stop, server.running)
        ground = Ground(lab, Path(folder), server, (env,))
        stack.callback(ground.close)
        yield ground
