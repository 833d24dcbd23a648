"""A rollout whose edges take their tables from a source: away, it stops growth and never the way back, and is owed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.errors import Exit, GopubError
from gopub.plan.model import Outcome, Plan
from gopub.rollout import back
from gopub.rollout.turn import turn_around
from gopub.traffic import RouteTable, encode
from gopub.traffic.sources.envelope import enveloped, opened
from gopub.traffic.sources.fence import far_off, refusal
from gopub.traffic.sources.protocol import Held
from gopub.traffic.sources.published import PublishedRouter
from gopub.usecases.recover_edges import begin, debts, mend
from gopub.views.summary import exit_of, summary
from tests.support.doubles import MemoryEdges
from tests.support.rollout_world import NEW, OLD, TwoEdges, drive, in_memory, reach, recover

SOURCE = "source etcd"


class MemorySource:
    """A source whose watchers bring what is written at once."""

    def __init__(self, edges: MemoryEdges) -> None:
        self.edges, self.held, self.count, self.away = edges, {}, 0, False
        self.after = 1 << 30
        """So many more tables it takes, then it is away."""

    async def read(self, upstream):
        self._reach()
        return self.held.get(upstream)

    async def swap(self, upstream, value, before):
        self._reach()
        if self.held.get(upstream) != before:
            return False
        self.count += 1
        self.after -= 1
        self.held[upstream] = Held(value, str(self.count))
        await self.bring(upstream)
        return True

    async def bring(self, upstream):
        """What watchers do, also when they start."""
        found = opened(upstream, self.held[upstream].value)
        if found:
            await self.edges.put(found[1])

    async def close(self):
        """Nothing is open."""

    def _reach(self):
        if self.away or self.after <= 0:
            raise GopubError("GP525", "source etcd: no answer in time")


class Published(PublishedRouter):
    """Over edges in memory."""

    def __init__(self, edges: MemoryEdges, source: MemorySource, clock) -> None:
        async def ordered(table: RouteTable) -> tuple[bytes, str]:
            return encode(table), ""

        super().__init__(edges, tuple(edges.edges), "etcd", lambda: source, ordered, clock=clock)
        self.edges = edges.edges

    @property
    def table(self) -> RouteTable | None:
        return next(iter(self.edges.values())).table


class Sourced(TwoEdges):
    """Two edges behind a source."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.behind = MemoryEdges("edge1", "edge2")
        self.source = MemorySource(self.behind)
        self.router = Published(self.behind, self.source, self.clock)

    def plan(self) -> Plan:
        """Its peers have addresses, as a table has them that leaves memory."""
        plan = super().plan()
        return replace(plan, hosts=tuple(replace(h, peer=f"10.0.0.{n}:80") for n, h in enumerate(plan.hosts, 1)))

    @property
    def published(self) -> RouteTable:
        return opened("hello", self.source.held["hello"].value)[1]


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


@pytest.fixture
def world(tmp_path) -> Sourced:
    return Sourced(tmp_path)


def test_a_rollout_goes_by_the_source_alone(world):
    told = summary(drive(world, "good"))
    assert (told["outcome"], exit_of(told)) == ("promoted", Exit.OK)
    assert world.published == world.router.edges["edge2"].table
    assert world.published.stable.release == NEW


@pytest.mark.parametrize("tables", range(1, 7))
def test_away_at_any_table_nothing_grows_and_all_is_taken_back_past_it(world, tables):
    world.source.after = tables
    told = summary(drive(world, "good"))
    assert (told["outcome"], told["owed"], told["owed_edges"]) == ("withdrawn", [], [SOURCE])
    assert exit_of(told) is Exit.PARTIAL
    assert world.env().owed_edges == (SOURCE,)
    for name in ("edge1", "edge2"):
        assert world.holds(name) == (0, False)
        assert world.router.edges[name].table.stable.release == OLD
    asyncio.run(world.source.bring("hello"))
    assert world.holds("edge1") == (0, False), "a watcher that starts brings nothing old"


def test_an_edge_that_is_away_ends_in_the_same_words_and_code(tmp_path, world):
    other = TwoEdges(tmp_path / "other")
    other.router.edges["edge2"].down = True
    world.source.away = True
    one, two = summary(drive(world, "good")), summary(drive(other, "good"))
    assert one["outcome"] == two["outcome"]
    assert exit_of(one) is exit_of(two)


def away(world: Sourced) -> None:
    run = world.driver()
    asyncio.run(reach(run, 2))
    world.source.away = True
    turn_around(run, Outcome.ROLLED_BACK, 3, "errors")
    asyncio.run(back.go_back(run))


def test_what_the_source_is_owed_it_gets_when_it_answers_again(world, monkeypatch):
    away(world)
    assert world.published.canary is not None
    world.at_home(monkeypatch)
    assert asyncio.run(mend(world.journal, 0.0)) == 0, "it is still away"
    world.source.away = False
    assert asyncio.run(mend(world.journal, 0.0)) == 1
    assert exit_of(summary(recover(world))) is Exit.OK
    assert world.published == world.router.edges["edge1"].table
    assert world.published.canary is None
    assert world.env().owed_edges == ()


def test_a_source_that_was_taken_out_of_the_connection_is_owed_nothing(world):
    away(world)
    world.router = world.behind
    (debt,) = debts(world.journal)
    begin(world.journal, debt, 0.0)
    assert exit_of(summary(recover(world))) is Exit.OK


def test_a_term_is_renewed_past_a_source_that_is_away(world):
    run = world.driver()
    asyncio.run(reach(run, 1))
    before = world.router.edges["edge1"].table
    world.source.away = True
    with pytest.raises(GopubError, match="source etcd: no answer in time"):
        asyncio.run(run.edges.renew_term())
    for edge in world.router.edges.values():
        assert edge.table.revision == before.revision + 1
        assert edge.table.weight == before.weight


HELD = RouteTable(app="a", env="e", upstream="u", revision=5, epoch=2, token="t", n=7)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"revision": 6, "n": 8}, ""),
        ({"revision": 6, "epoch": 3, "token": "x", "n": 1}, ""),
        ({"revision": 6, "n": 8, "env": "x"}, "the upstream belongs to a/e"),
        ({"revision": 6, "n": 8, "epoch": 1}, "the epoch is over"),
        ({"revision": 6, "n": 8, "token": "x"}, "another seat has this epoch"),
        ({"revision": 6, "n": 7}, "the order is not newer"),
        ({"revision": 5, "n": 8}, "the revision does not grow"),
    ],
)
def test_a_source_refuses_as_an_edge_does(change, why):
    assert refusal(replace(HELD, **change), HELD) == why


@pytest.mark.parametrize("key", ["revision", "epoch", "n"])
def test_numbers_that_gopub_never_gave_stop_nobody(key):
    assert far_off(HELD, replace(HELD, **{key: 2**53 - 1}))
    assert not far_off(HELD, replace(HELD, **{key: 500_000}))


def test_an_envelope_of_another_name_is_none():
    assert opened("v", enveloped("v", encode(HELD), "")) is None
