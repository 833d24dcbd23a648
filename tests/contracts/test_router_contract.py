"""What the driver may expect of any router; run against each backend, on real edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.traffic import EdgeAck, Request, Router, RouteTable, explain
from gopub.traffic.backends.nginx import NginxRouter
from tests.contracts.edge_nginx import Backend, Client, route_table, running_edge
from tests.support.changing import without_peer


class WrongClock(SystemClock):
    """The driver's clock, off by some seconds."""

    off = 0.0

    def now(self):
        return super().now() + self.off


class World(Protocol):
    """A router over two edges, and a way to one of them."""

    router: Router
    clock: WrongClock

    def client(self, edge: str) -> Client: ...

    async def break_off(self, edge: str) -> None: ...

    async def mend(self, edge: str) -> None: ...


class NginxWorld:
    """Two local nginx; the channel to an edge is a program run here."""

    def __init__(self, edges):
        self.edges = edges
        self.down: set[str] = set()
        self.clock = WrongClock()
        self.router = NginxRouter(tuple(edges), self._connect, socket="edge.sock", limit=5, clock=self.clock)

    async def _connect(self, name):
        if name in self.down:
            raise GopubError("GP413", f"{name} cannot be reached")
        return _InFolder(self.edges[name])

    def client(self, edge):
        return self.edges[edge].client()

    async def break_off(self, edge):
        self.down.add(edge)

    async def mend(self, edge):
        self.down.discard(edge)


class _InFolder:
    def __init__(self, edge):
        self.edge = edge

    async def exec(self, argv, stdin=b""):
        return await self.edge.exec([str(self.edge.socket) if part == "edge.sock" else part for part in argv], stdin)


@pytest.fixture(params=["nginx"])
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_edge(tmp_path / "e1") as one, running_edge(tmp_path / "e2") as two:
        yield NginxWorld({"e1": one, "e2": two})


def table_of(backends: list[Backend]) -> RouteTable:
    """All to the canary."""
    seat = {"revision": 3, "epoch": 2, "token": "seat", "n": 7}
    return route_table(backends[:1], backends[1:], rollout="r-1", weight=10_000, **seat)


async def test_a_put_is_in_force_on_every_edge_when_it_returns(world, backends):
    table = table_of(backends)
    for turn, weight in enumerate((10_000, 0) * 5):
        order = replace(table, revision=3 + turn, n=7 + turn, weight=weight)
        assert await world.router.put(order) == tuple(EdgeAck(e, ok=True, revision=3 + turn) for e in ("e1", "e2"))
        for edge in ("e1", "e2"):
            assert (await world.client(edge).ask()).peer == ("b1" if weight else "a1")


async def test_the_status_gives_back_the_table_and_who_ordered_it(world, backends):
    before = await world.router.status("hello", "lab", "hello")
    assert [(status.edge, status.table, status.revision, status.error) for status in before] == [
        ("e1", None, 0, ""),
        ("e2", None, 0, ""),
    ]
    table = table_of(backends)
    await world.router.put(table)
    for status in await world.router.status("hello", "lab", "hello"):
        assert (status.table, status.epoch, status.token, status.n, status.error) == (table, 2, "seat", 7, "")
        assert status.inflight == {"a1": 0, "b1": 0}


async def test_the_same_order_twice_is_one_order(world, backends):
    table = table_of(backends)
    assert await world.router.put(table) == await world.router.put(table)


@pytest.mark.parametrize("off", [0.0, 45.0, -45.0])
async def test_every_answer_tells_how_far_the_clocks_are_apart(world, backends, off):
    """A driver whose clock is behind names terms that are over; explained by the edge's clock, they are."""
    world.clock.off = -off
    term = world.clock.now() + 30
    acks = await world.router.put(replace(table_of(backends), canary_until=term))
    statuses = await world.router.status("hello", "lab", "hello")
    for answer in (*acks, *statuses):
        assert answer.skew == pytest.approx(off, abs=2)
    found = explain(
        replace(table_of(backends), canary_until=term), Request("127.0.0.1", {}, world.clock.now() + statuses[0].skew)
    )
    answer = await world.client("e1").ask()
    assert (answer.rule, answer.peer in found.hosts) == (found.rule, True)
    assert answer.rule == ("lapsed" if off > 30 else "weight")


async def test_an_order_of_an_older_seat_is_refused_everywhere(world, backends):
    table = table_of(backends)
    await world.router.put(table)
    late = replace(table, epoch=1, n=99, revision=9)
    for ack in await world.router.put(late):
        assert (ack.ok, ack.revision) == (False, 3)
        assert ack.error == ("GP503 the epoch is over (status 409); it holds revision 3 of hello/lab, epoch 2, order 7")


async def test_a_table_that_contradicts_itself_is_refused_with_the_reason(world, backends):
    acks = await world.router.put(replace(table_of(backends), salt=""))
    assert {ack.error for ack in acks} == {"GP502 weight needs a salt (status 422)"}


async def test_an_edge_that_is_out_of_reach_is_named_and_the_others_go_on(world, backends):
    table = table_of(backends)
    await world.router.put(table)
    await world.break_off("e2")
    newer = replace(table, revision=4, n=8, weight=0)
    one, two = await world.router.put(newer)
    assert one == EdgeAck("e1", ok=True, revision=4)
    assert (two.ok, two.error) == (False, "e2 cannot be reached")
    statuses = await world.router.status("hello", "lab", "hello")
    assert [status.error for status in statuses] == ["", "e2 cannot be reached"]
    # The edge that was away still serves what it had, and takes the same order when it is back.
    assert (await world.client("e2").ask()).peer == "b1"
    await world.mend("e2")
    assert all(ack.ok for ack in await world.router.put(newer))
    assert (await world.client("e2").ask()).peer == "a1"


async def test_the_driver_sees_a_leaving_peer_become_idle(world, backends):
    table = table_of(backends)
    await world.router.put(table)
    slow = asyncio.create_task(world.client("e1").ask("/slow/0.7"))
    await held(world, 1)
    await world.router.put(without_peer(table, "b1").ordered(2, "seat", 8))
    assert not slow.done()
    await held(world, 0)
    answer = await slow
    assert (answer.status, answer.peer) == (200, "b1")


async def held(world: World, wanted: int) -> None:
    """Wait until the canary's host holds that many requests over all edges."""
    async with asyncio.timeout(5):
        while True:
            statuses = await world.router.status("hello", "lab", "hello")
            if sum(status.inflight["b1"] for status in statuses) == wanted:
                return
            await asyncio.sleep(0.02)


async def test_close_can_be_called(world):
    await world.router.close()
