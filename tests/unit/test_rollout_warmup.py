"""Hosts that a rollout switched come in slowly: what the tables say, and for whom the next batch waits."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gopub.plan.capacity import load
from gopub.rollout.tables import may_leave, warming
from tests.support.chance import seed as chance_seed
from tests.support.rollout_world import World, chart, in_memory, reach

WARMUP = 10.0


@pytest.fixture
def world(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    made = World(tmp_path)
    made.router.identity = "e" * 16
    plan = replace(made.plan(), warmup=WARMUP)
    made.plan = lambda: plan
    return made


def test_the_table_says_since_when_a_canary_host_is_in(world):
    run = world.driver()
    asyncio.run(reach(run))
    table = world.router.table
    assert table is not None and table.canary is not None and table.stable is not None
    assert table.warmup == WARMUP
    assert [peer.since for peer in table.canary.peers] == [run.state.hosts["app1"].since]
    assert {peer.since for peer in table.stable.peers} == {None}
    assert table.weight_at(run.ports.clock.now()) < table.weight == table.weight_at(run.ports.clock.now() + WARMUP)


def test_control_without_a_warmup_nothing_of_it_is_written(world):
    plan = replace(world.plan(), warmup=0.0)
    world.plan = lambda: plan
    asyncio.run(reach(world.driver()))
    assert world.router.table.warmup == 0
    assert {peer.since for peer in world.router.table.canary.peers} == {None}


def test_older_edges_are_given_tables_that_they_know(world):
    world.router.identity = ""
    asyncio.run(reach(world.driver()))
    assert world.router.table.warmup == 0


def test_the_share_of_users_never_falls_while_it_goes_forward(world):
    """At each table: what it gives the canary then is no less than what the one before gave it at that moment."""
    run = world.driver()
    given: list[tuple[int, int]] = []
    put = world.router.put

    async def watched(table):
        before, now = world.router.table, run.ports.clock.now()
        if before and before.canary and table.canary and table.stable:
            given.append((before.weight_at(now), table.weight_at(now)))
        return await put(table)

    world.router.put = watched
    asyncio.run(reach(run, steps=2))
    assert given
    assert all(before <= after for before, after in given)


def test_the_next_batch_waits_until_the_others_can_do_without_it(world):
    """Four hosts, `max_load: 1.5`: with one that warms up and one that is out, two would carry twice their share."""
    run = world.driver()
    asyncio.run(reach(run))
    begun = run.ports.clock.now()
    assert warming(run.state, begun) == {"app1": run.state.hosts["app1"].since + WARMUP}
    assert not may_leave(run.state, ("app2",), begun)
    assert may_leave(run.state, ("app2",), begun + WARMUP)
    assert load(4, 2, 0.0).stable == 2.0
    asyncio.run(chart(run, "good"))
    ends = [run.state.hosts[name].since for name in world.names]
    assert ends[1] - ends[0] >= WARMUP


def test_hosts_enough_wait_for_nobody(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = World(tmp_path, count=12)
    plan = replace(world.plan(), warmup=WARMUP)
    world.plan = lambda: plan
    run = world.driver()
    asyncio.run(reach(run))
    assert may_leave(run.state, ("app2",), run.ports.clock.now())


def test_going_back_waits_for_no_warmup(world):
    run = world.driver()
    asyncio.run(chart(run, "bad"))
    table = world.router.table
    assert table.canary is None
    assert set(world.running().values()) == {world.old}


def test_whatever_the_peers_the_weight_only_grows():
    """Drawn canaries: peers come in, time goes on, and the next table begins where the edges were."""
    seed = chance_seed()
    chance = random.Random(seed)
    for _ in range(200):
        now, given = 1000.0, 0
        since: list[float | None] = []
        weight = 0
        for _ in range(8):
            since += [now] * chance.randrange(3)
            weight = min(10_000, weight + chance.randrange(2000))
            table = _table(since, weight, given)
            for _ in range(4):
                now += chance.choice([0.1, 1.0, 7.0])
                assert given <= table.weight_at(now) <= weight
                given = table.weight_at(now)


def _table(since, weight, given):
    from gopub.traffic import Peer, RouteTable, Track

    peers = tuple(Peer(f"b{n}", f"10.0.0.{n + 1}:80", began) for n, began in enumerate(since))
    return RouteTable(app="a", env="e", upstream="u", canary=Track("b" * 64, peers), weight=weight, salt="r",
                      warmup=WARMUP, weight_from=given)  # fmt: skip
