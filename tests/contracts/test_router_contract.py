"""What the driver may expect of any router, on real edges, and of ours besides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.traffic import EdgeAck, Request, Router, RouteTable, explain, in_flight
from gopub.traffic.backends.nginx import NginxRouter
from tests.contracts.edge_nginx import Answer, Backend, route_table, running_edge
from tests.support.changing import without_peer


class World(Protocol):
    """A router over two edges, e1 and e2, and a way to each of them."""

    router: Router

    async def ask(self, edge: str, path: str = "/") -> tuple[int, str]:
        """A request through an edge: the status, and the host that answered."""

    def set_apart(self, seconds: float) -> None:
        """Let the edges' clocks be so far ahead of the driver's."""

    def now(self) -> float:
        """What the driver's clock shows."""

    def break_off(self, edge: str) -> None:
        """The driver no longer reaches it; it goes on serving."""

    def mend(self, edge: str) -> None:
        """The driver reaches it again."""


class WrongClock(SystemClock):
    """The driver's clock, off by some seconds."""

    off = 0.0

    def now(self):
        return super().now() + self.off


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

    async def ask(self, edge, path="/"):
        answer = await self.edges[edge].client().ask(path)
        return answer.status, host_of(answer)

    def set_apart(self, seconds):
        self.clock.off = -seconds

    def now(self):
        return self.clock.now()

    def break_off(self, edge):
        self.down.add(edge)

    def mend(self, edge):
        self.down.discard(edge)


class _InFolder:
    def __init__(self, edge):
        self.edge = edge

    async def exec(self, argv, stdin=b""):
        return await self.edge.exec([str(self.edge.socket) if part == "edge.sock" else part for part in argv], stdin)


def host_of(answer: Answer) -> str:
    """The upstream that answered, as it says itself."""
    return str(json.loads(answer.body)["host"]) if answer.body else ""


def table_of(backends: list[Backend]) -> RouteTable:
    """All to the canary."""
    seat = {"revision": 3, "epoch": 2, "token": "seat", "n": 7}
    return route_table(backends[:1], backends[1:], rollout="r-1", weight=10_000, **seat)


class RouterContract:
    """The suite; a subclass gives ``world``, whose router is opened over edges that obey it."""

    async def test_a_put_is_in_force_on_every_edge_when_it_returns(self, world, backends):
        table = table_of(backends)
        for turn, weight in enumerate((10_000, 0) * 5):
            order = replace(table, revision=3 + turn, n=7 + turn, weight=weight)
            assert await world.router.put(order) == tuple(EdgeAck(e, ok=True, revision=3 + turn) for e in ("e1", "e2"))
            for edge in ("e1", "e2"):
                assert await world.ask(edge) == (200, "b1" if weight else "a1")

    async def test_the_status_gives_back_the_table_and_who_ordered_it(self, world, backends):
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

    async def test_anothers_table_is_not_given_as_ours(self, world, backends):
        await world.router.put(table_of(backends))
        for status in await world.router.status("hello", "prod", "hello"):
            assert (status.table, status.error != "") == (None, True)

    async def test_the_same_order_twice_is_one_order(self, world, backends):
        table = table_of(backends)
        assert await world.router.put(table) == await world.router.put(table)

    @pytest.mark.parametrize("off", [0.0, 45.0, -45.0])
    async def test_every_answer_tells_how_far_the_clocks_are_apart(self, world, backends, off):
        """A driver whose clock is behind names terms that are over; explained by the edge's clock, they are."""
        world.set_apart(off)
        table = replace(table_of(backends), canary_until=world.now() + 30)
        acks = await world.router.put(table)
        statuses = await world.router.status("hello", "lab", "hello")
        for answer in (*acks, *statuses):
            assert answer.skew == pytest.approx(off, abs=2)
        found = explain(table, Request("127.0.0.1", {}, world.now() + statuses[0].skew))
        assert found.rule == ("lapsed" if off > 30 else "weight")
        assert (await world.ask("e1"))[1] in found.hosts

    async def test_an_order_of_an_older_seat_is_refused_everywhere(self, world, backends):
        table = table_of(backends)
        await world.router.put(table)
        late = replace(table, epoch=1, n=99, revision=9, weight=0)
        for ack in await world.router.put(late):
            assert (ack.ok, ack.revision, ack.error != "") == (False, 3, True)
        assert [status.table for status in await world.router.status("hello", "lab", "hello")] == [table, table]
        assert [(await world.ask(edge))[1] for edge in ("e1", "e2")] == ["b1", "b1"]

    async def test_a_table_that_contradicts_itself_is_refused_with_the_reason(self, world, backends):
        for ack in await world.router.put(replace(table_of(backends), salt="")):
            assert not ack.ok
            assert "weight needs a salt" in ack.error

    async def test_an_edge_that_is_out_of_reach_is_named_and_the_others_go_on(self, world, backends):
        table = table_of(backends)
        await world.router.put(table)
        world.break_off("e2")
        newer = replace(table, revision=4, n=8, weight=0)
        one, two = await world.router.put(newer)
        assert one == EdgeAck("e1", ok=True, revision=4)
        assert (two.edge, two.ok) == ("e2", False)
        assert "e2 cannot be reached" in two.error
        statuses = await world.router.status("hello", "lab", "hello")
        assert [status.edge for status in statuses if status.error] == ["e2"]
        assert "e2 cannot be reached" in statuses[1].error
        # The edge that was away still serves what it had, and takes the same order when it is back.
        assert (await world.ask("e2"))[1] == "b1"
        world.mend("e2")
        assert all(ack.ok for ack in await world.router.put(newer))
        assert (await world.ask("e2"))[1] == "a1"

    async def test_the_driver_sees_a_leaving_peer_become_idle(self, world, backends):
        table = table_of(backends)
        await world.router.put(table)
        slow = asyncio.create_task(world.ask("e1", "/held"))
        await held(world, 1)
        await world.router.put(without_peer(table, "b1").ordered(2, "seat", 8))
        assert not slow.done()
        backends[-1].go_on.set()
        await held(world, 0)
        assert await slow == (200, "b1")

    async def test_close_can_be_called(self, world):
        await world.router.close()


async def held(world: World, wanted: int) -> None:
    """Wait until the canary's host holds that many requests over all edges."""
    async with asyncio.timeout(300):
        while True:
            statuses = await world.router.status("hello", "lab", "hello")
            if in_flight(statuses, ["b1"]) == wanted:
                return
            await asyncio.sleep(0.02)


class TestNginx(RouterContract):
    KIND = "nginx"

    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        async with running_edge(tmp_path / "e1") as one, running_edge(tmp_path / "e2") as two:
            yield NginxWorld({"e1": one, "e2": two})

    @pytest.mark.parametrize("off", [0.0, 45.0, -45.0])
    async def test_an_answer_names_its_rule(self, world, backends, off):
        world.set_apart(off)
        await world.router.put(replace(table_of(backends), canary_until=world.now() + 30))
        answer = await world.edges["e1"].client().ask()
        assert (answer.rule, answer.peer) == (("lapsed", "a1") if off > 30 else ("weight", "b1"))

    async def test_a_refusal_says_what_the_edge_holds(self, world, backends):
        table = table_of(backends)
        await world.router.put(table)
        for ack in await world.router.put(replace(table, epoch=1, n=99, revision=9)):
            said = "GP503 the epoch is over (status 409); it holds revision 3 of hello/lab, epoch 2, order 7"
            assert ack.error == said
        acks = await world.router.put(replace(table, salt=""))
        assert {ack.error for ack in acks} == {"GP502 weight needs a salt (status 422)"}

    async def test_an_edge_out_of_reach_is_told_in_the_words_of_whoever_connects(self, world, backends):
        world.break_off("e2")
        assert (await world.router.put(table_of(backends)))[1].error == "e2 cannot be reached"
        statuses = await world.router.status("hello", "lab", "hello")
        assert [status.error for status in statuses] == ["", "e2 cannot be reached"]
