"""A shared dict that gets another size is a new one: what is in flight is counted on, or a host restarts under it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.contracts.edge_nginx import BY_HEADER, ME, route_table


def ends(worker: int) -> bool:
    """Whether it accepts nothing any more."""
    line = Path(f"/proc/{worker}/cmdline")
    return not line.exists() or b"shutting down" in line.read_bytes()


@pytest.mark.parametrize("size", ["gopub_tables 16m", "gopub_counters 160m"])
async def test_what_is_in_flight_while_a_dict_gets_another_size_is_counted_on(edge, backends, size):
    await edge.put(route_table(backends[:1], backends[1:], rules=(BY_HEADER,)))
    clients = [edge.client(keep=False) for _ in range(9)]
    held = [
        asyncio.create_task(one.ask("/held", headers=who))
        for one, who in zip(clients[:4], ({}, {}, {}, ME), strict=True)
    ]
    async with asyncio.timeout(60):
        while await edge.inflight() != {"a1": 3, "b1": 1}:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    config = edge.root / "gopub" / "gopub-http.conf"
    text = config.read_text()
    config.write_text(text.replace(size, size.replace("0m", "1m").replace("6m", "7m")))
    assert config.read_text() != text
    before = set(edge.workers())
    os.kill(edge.process.pid, signal.SIGHUP)
    async with asyncio.timeout(60):
        while not all(ends(one) for one in before):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)
    held += [asyncio.create_task(one.ask("/held", headers=ME)) for one in clients[4:]]
    async with asyncio.timeout(60):
        while backends[1].busy < 6:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    assert await edge.inflight() == {"a1": 3, "b1": 6}
    for one in backends:
        one.go_on.set()
    assert {(await one).status for one in held} == {200}
