"""A real edge on loopback and the backends behind it; a file that needs others makes its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.edge_nginx import Backend, LocalEdge, running_backends, running_edge


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[LocalEdge]:
    async with running_edge(tmp_path) as started:
        yield started


@pytest.fixture
async def backends() -> AsyncIterator[list[Backend]]:
    """One for stable, one for the canary."""
    async with running_backends("a1", "b1") as started:
        yield started
