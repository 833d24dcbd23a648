"""Which counters an edge keeps: series.lua under plain luajit, over hours that nobody waits for."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gopub.process import run
from tests.unit.traffic_lua import LUA

EACH = 57
"""Counters of a series."""
APART = 20
"""Counters more of a peer that was started: 19 buckets and a sum."""
PLENTY = 10**9


def kept(puts: Sequence[tuple[float, dict[str, Any]]], room: int = PLENTY) -> list[dict[str, Any]]:
    """What the edge answers to each table, put at that second."""
    lines = "".join(json.dumps({"now": now, "doc": doc}) + "\n" for now, doc in puts)
    script = str(Path(__file__).parent / "lua" / "series.lua")
    done = asyncio.run(run(["luajit", script, str(LUA), str(room)], stdin=lines.encode()))
    return [json.loads(line) for line in done.out.splitlines()]


def track(letter: str, hosts: range) -> dict[str, Any]:
    return {"release": letter * 64, "peers": [{"host": f"h{n}", "address": "10.0.0.1:80"} for n in hosts]}


def table(stable: tuple[str, range] | None, canary: tuple[str, range] | None = None) -> dict[str, Any]:
    return {
        "upstream": "orders",
        "stable": track(*stable) if stable else None,
        "canary": track(*canary) if canary else None,
    }


def rollouts(hosts: int, letters: str, every: float) -> list[tuple[float, dict[str, Any]]]:
    """From each release to the next: half the hosts, then all, then settled."""
    puts, at = [(0.0, table((letters[0], range(hosts))))], 0.0
    for old, new in itertools.pairwise(letters):
        half = hosts // 2
        puts += [
            (at + 60, table((old, range(half, hosts)), (new, range(half)))),
            (at + 120, table(None, (new, range(hosts)))),
            (at + 180, table((new, range(hosts)))),
        ]
        at += every
    return puts


def test_a_large_upstream_is_rolled_out_many_times_within_the_hour():
    answers = kept(rollouts(1200, "abcdef0123", every=300))
    assert {answer["why"] for answer in answers} == {""}
    assert {answer["named"] for answer in answers} == {1200}
    assert max(answer["left"] for answer in answers) == 1200
    assert all(answer["counters"] == EACH * (answer["named"] + answer["left"]) for answer in answers)


def test_a_small_upstream_keeps_what_left_for_an_hour():
    """Control: nothing is dropped that need not be."""
    puts = rollouts(10, "abcd", every=300)
    assert kept(puts)[-1]["left"] == 30
    settled = table(("d", range(10)))  # a left at 60 and 120 s, b at 360 and 420 s, c at 660 and 720 s
    late = [(at, settled) for at in (3659.0, 3721.0, 4021.0, 4321.0)]
    assert [answer["left"] for answer in kept([*puts, *late])[-4:]] == [30, 20, 10, 0]


def test_what_left_last_is_kept_longest():
    settled = [(60.0 * at, table((letter, range(700)))) for at, letter in enumerate("abcd")]
    answers = kept(settled)
    assert [answer["left"] for answer in answers] == [0, 700, 1000, 1000]
    assert answers[-1]["newest"].startswith("c/")


def test_nothing_of_a_rollout_vanishes_while_it_lasts():
    """All hosts leave the release before, one after another, and a bake takes two hours."""
    steps = [(float(n), table(("a", range(n, 1500)), ("b", range(n)))) for n in range(0, 1500, 150)]
    answers = kept([*steps, (1500.0, table(None, ("b", range(1500)))), (9000.0, table(None, ("b", range(1500))))])
    assert [answer["left"] for answer in answers[-2:]] == [1500, 1500]


def test_what_the_table_in_force_names_stays_until_the_next_one_is():
    """A table that shrinks may still not be kept: its disk is full."""
    shrinks = [(0.0, table(("a", range(3000)))), (1.0, table(("a", range(10)))), (2.0, table(("a", range(10))))]
    assert [answer["left"] for answer in kept(shrinks)] == [0, 2990, 1000]


def test_where_there_is_no_room_what_left_goes_first():
    room = EACH * 250
    answers = kept(rollouts(100, "abcd", every=300), room)
    assert {answer["why"] for answer in answers} == {""}
    assert max(answer["counters"] for answer in answers) <= room


def test_a_table_that_has_no_room_is_refused_and_leaves_nothing_behind():
    room = EACH * 150
    small, large = table(("a", range(100))), table(("b", range(200)))
    first, *refused, again = kept([(0.0, small), *[(1.0, large)] * 5, (2.0, small)], room)
    assert (first["fine"], again["fine"], again["counters"]) == (True, True, EACH * 100)
    for answer in refused:
        assert answer["why"].startswith("no room for the counters of 200 peers (no memory): enlarge lua_shared_dict")
        assert (answer["fine"], answer["named"], answer["counters"]) == (False, 100, EACH * 100)
    # The same peers within the room: they were not refused for what they are.
    assert kept([(0.0, small), (1.0, table(("b", range(50))))], room)[-1]["fine"]


def starting(doc: dict[str, Any], since: float, *hosts: int, warmup: float = 10.0) -> dict[str, Any]:
    """The table with canary peers that were started then."""
    changed = json.loads(json.dumps(doc)) | {"warmup": warmup}
    for number in hosts:
        changed["canary"]["peers"][number]["since"] = since
    return changed


def test_only_what_is_started_is_counted_apart_and_a_table_that_does_not_say_so_takes_nothing_back():
    both = table(("a", range(2, 4)), ("b", range(2)))
    answers = kept([(100.0, both), (101.0, starting(both, 100.5, 0)), (102.0, both), (103.0, both)])
    assert [answer["counters"] for answer in answers] == [4 * EACH, *[4 * EACH + APART] * 3]
    assert [answer["ends"] for answer in answers] == [{}, *[{"b/h0": 110.5}] * 3]


def test_a_second_start_warms_up_again_and_needs_no_more_counters():
    both = table(("a", range(2, 4)), ("b", range(2)))
    answers = kept([(100.0, starting(both, 99.0, 0, 1)), (200.0, starting(both, 199.25, 1))])
    assert [answer["counters"] for answer in answers] == [4 * EACH + 2 * APART] * 2
    assert answers[-1]["ends"] == {"b/h0": 109.0, "b/h1": 209.25}


def test_a_start_that_lies_ahead_lengthens_no_warmup():
    """A clock was set back: a peer that warms up for ever is never judged."""
    both = table(("a", range(2, 4)), ("b", range(2)))
    ahead = starting(both, 1e9, 0)
    assert [answer["ends"] for answer in kept([(100.0, ahead), (150.0, ahead)])] == [{"b/h0": 111.0}] * 2


def test_what_is_counted_apart_leaves_with_its_peer_and_is_bounded():
    puts = [(at, doc if not doc["canary"] else starting(doc, at, *range(len(doc["canary"]["peers"]))))
            for at, doc in rollouts(10, "abcd", every=300)]  # fmt: skip
    late = [(at, table(("d", range(10)))) for at in (3659.0, 3721.0, 4021.0, 4321.0)]
    answers = kept([*puts, *late])
    assert answers[len(puts) - 1]["counters"] == 40 * EACH + 30 * APART
    assert answers[-1]["counters"] == 10 * (EACH + APART)


def test_without_room_for_what_is_counted_apart_a_table_is_refused_and_leaves_nothing_behind():
    both = table(("a", range(2, 4)), ("b", range(2)))
    first, refused, again = kept(
        [(100.0, both), (101.0, starting(both, 100.0, 0, 1)), (102.0, both)], room=4 * EACH + APART
    )
    assert (first["fine"], refused["fine"], again["fine"]) == (True, False, True)
    assert refused["counters"] == again["counters"] == 4 * EACH


def declaring(doc: dict[str, Any], *paths: str, slow: float | None = None) -> dict[str, Any]:
    bound = {} if slow is None else {"slow": slow}
    return {**doc, "endpoints": [{"match": path, **bound} for path in paths]}


def test_declared_endpoints_are_counted_for_every_peer_and_leave_with_the_declaration():
    both = table(("a", range(2, 4)), ("b", range(2)))
    answers = kept(
        [
            (100.0, both),
            (101.0, declaring(both, "/x", "/y")),
            (102.0, declaring(both, "/x", "/y", slow=0.2)),
            (103.0, declaring(both, "/y", slow=0.2)),
            (104.0, both),
        ]
    )
    more = [answer["counters"] - 4 * EACH for answer in answers]
    assert more == [0, 4 * 4, 4 * 8, 4 * 4, 0], "two for each peer and endpoint, four with a bound"


def test_endpoints_of_hosts_that_left_go_with_the_canary():
    puts = [(at, declaring(doc, "/x", "/y")) for at, doc in rollouts(10, "abcd", every=300)]
    answers = kept(puts)
    assert answers[-2]["counters"] == 40 * EACH + 4 * 20
    assert answers[-1]["counters"] == 40 * EACH + 4 * 10
    assert {answer["fine"] for answer in answers} == {True}


def test_endpoints_never_stand_in_the_way_of_a_table():
    """They are counted where there is room beside the peers, and given up where peers need it."""
    small, large = table(("a", range(4))), table(("a", range(4)), ("b", range(4, 8)))
    answers = kept(
        [
            (100.0, declaring(small, "/x", "/y")),
            (101.0, declaring(large, "/x", "/y")),
            (102.0, declaring(small, "/x", "/y")),
        ],
        room=8 * EACH + 10,
    )
    assert [answer["fine"] for answer in answers] == [True] * 3
    assert [answer["counters"] for answer in answers] == [4 * EACH + 16, 8 * EACH, 8 * EACH]
