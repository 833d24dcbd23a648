"""The table that stands is signed anew only where the journal accounts for all of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gopub.errors import LockedError, RefusedError
from gopub.traffic import EdgeStatus, Endpoint, Peer, RouteTable, Track
from gopub.usecases.sign_table import known_table
from tests.support.rollout_world import NEW, OLD, TwoEdges, drive, in_memory, reach


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    in_memory(monkeypatch)


@pytest.fixture
def world(tmp_path) -> TwoEdges:
    return TwoEdges(tmp_path)


def statuses(world: TwoEdges) -> tuple[EdgeStatus, ...]:
    return asyncio.run(world.router.status("hello", "lab", "hello"))


def known(world: TwoEdges, *said: EdgeStatus) -> RouteTable | None:
    return known_table(world.journal, "hello", "lab", said or statuses(world))


@pytest.mark.parametrize(("verdict", "release"), [("good", NEW), ("bad", OLD)])
def test_a_table_that_a_rollout_left_is_signed(world, verdict, release):
    drive(world, verdict)
    table = known(world)
    assert table == world.router.edges["edge1"].table
    assert table.stable.release == release
    edge = EdgeStatus("edge2", replace(table, revision=1, stable=None))
    assert known(world, *statuses(world)[:1], edge) == table, "the newest; an edge that missed it gets it"
    assert known(world, EdgeStatus("edge1", error="gone"), EdgeStatus("edge2")) is None, "nothing stands"


def test_nothing_is_signed_while_a_rollout_drives(world):
    asyncio.run(reach(world.driver()))
    with pytest.raises(LockedError, match=r"^GP708 rollout r1 is active"):
        known(world)


THIEF = Peer("app1", "203.0.113.66:8080")
CHANGES = {
    "another address": lambda table: {"stable": replace(table.stable, peers=(THIEF, *table.stable.peers[1:]))},
    "another host": lambda table: {
        "stable": replace(table.stable, peers=(*table.stable.peers, replace(THIEF, host="x")))
    },
    "a host twice": lambda table: {"stable": replace(table.stable, peers=(*table.stable.peers, table.stable.peers[0]))},
    "a host less": lambda table: {"stable": replace(table.stable, peers=table.stable.peers[1:])},
    "a release taken back": lambda table: {"stable": replace(table.stable, release=OLD)},
    "no stable": lambda _: {"stable": None},
    "a canary": lambda table: {"canary": Track("c" * 64, (THIEF,)), "weight": 1},
    "trust": lambda _: {"trust": ("0.0.0.0/0",)},
    "another key of users": lambda _: {"sticky": "header:x-user"},
    "an endpoint": lambda _: {"endpoints": (Endpoint("/checkout"),)},
    "another env": lambda _: {"env": "prod"},
    "another app": lambda _: {"app": "shop"},
    "no rollout": lambda _: {"rollout": ""},
    "a rollout that nobody knows": lambda _: {"rollout": "r9"},
}


def test_what_the_journal_does_not_account_for_is_not_signed(world):
    """Whoever has an edge would have it signed for all of them."""
    drive(world, "good")
    table, said = known(world), statuses(world)
    for name, change in CHANGES.items():
        made_up = EdgeStatus("edge3", replace(table, revision=99, **change(table)))
        with pytest.raises(RefusedError, match=r"^GP523 .*is not one that the journal accounts for"):
            pytest.fail(f"{name}: {known(world, *said, made_up)}")
    assert known(world, *said, EdgeStatus("edge3", replace(table, revision=99))), "control: but for its number"
