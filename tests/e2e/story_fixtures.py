"""The ground of the rollout stories, made once for all modules that tell one (``pytest_plugins``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from deployments import server as prefect
from gopub.lab.lab import Lab
from tests.e2e.story_envs import ENVS
from tests.e2e.story_ground import Ground
from tests.support.ports import free_port

T = TypeVar("T")


def aside(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a thread of its own, whatever event loop the tests use."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


@pytest.fixture(scope="session")
def ground(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One Prefect server, one store, one warm driver; each story brings its environment."""
    folder = tmp_path_factory.mktemp("stories")
    server = aside(lambda: prefect.start_server(folder / "prefect", free_port()))
    made = Ground(lab, folder, server, ENVS)
    try:
        yield made
    finally:
        made.close()
        aside(lambda: prefect.stop(server.running))
