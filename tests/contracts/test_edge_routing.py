"""Who gets which release at a real edge: shares, stickiness, rules, trust, terms; and that explain says the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from gopub.traffic import Peer, Request, Rule, Track, bucket, explain, from_json
from gopub.traffic.conditions import Header
from tests.contracts.edge_nginx import (
    CANARY,
    STABLE,
    Answer,
    LocalEdge,
    route_table,
    running_backends,
    running_edge,
)
from tests.support.ports import free_port
from tests.unit.traffic_lua import any_request, any_table, dice


async def ask_all(edge: LocalEdge, headers: Sequence[dict[str, str]]) -> list[Answer]:
    """One GET for each, over one connection per thousand, a hundred at a time."""
    answers: list[Answer] = []
    for at in range(0, len(headers), 1000):
        client = edge.client()
        for block in range(at, min(at + 1000, len(headers)), 100):
            answers += await client.ask_many(headers[block : block + 100])
    return answers


async def test_the_canary_gets_exactly_the_subjects_whose_bucket_is_below_the_weight(tmp_path):
    """20 000 users at 10 %, counted by what the upstreams themselves say."""
    ports = (free_port(), free_port())
    upstreams = "".join(
        f'server {{ listen 127.0.0.1:{port}; access_log off; location / {{ return 200 "{name}"; }} }}'
        for name, port in zip(("stable", "canary"), ports, strict=True)
    )
    users = [f"user-{n}" for n in range(20_000)]
    async with running_edge(tmp_path, extra=upstreams) as edge:
        peers = [Peer(f"h{at}", f"127.0.0.1:{port}") for at, port in enumerate(ports)]
        table = route_table((), sticky="header:x-user-id")
        table = replace(table, stable=Track(STABLE, (peers[0],)), canary=Track(CANARY, (peers[1],)), weight=1000)
        assert (await edge.put(table))[0] == 200
        answers = await ask_all(edge, [{"x-user-id": user} for user in users])

    reached = {user for user, answer in zip(users, answers, strict=True) if answer.body == b"canary"}
    assert {answer.status for answer in answers} == {200}
    assert reached == {user for user in users if bucket("r-1", user) < 1000}
    # 10 % of 20 000, sigma 42; 99.9 % lie within 3.3 sigma.
    assert 1860 < len(reached) < 2140


async def test_a_user_keeps_the_release_over_all_urls_and_growth_only_adds(edge, backends):
    table = route_table(backends[:1], backends[1:], sticky="cookie:sid")
    users = [f"u{n}" for n in range(200)]
    before: set[str] = set()
    for turn, weight in enumerate((0, 100, 1000, 5000, 10_000), start=1):
        await edge.put(replace(table, revision=turn, n=turn, weight=weight))
        sides: dict[str, set[str]] = {user: set() for user in users}
        for path in ("/", "/a?b=c", "/very/long/path"):
            answers = await edge.client().ask_many([{"Cookie": f"a=b; sid={user}"} for user in users], path)
            for user, answer in zip(users, answers, strict=True):
                sides[user].add(answer.peer)
        assert all(len(seen) == 1 for seen in sides.values())
        canary = {user for user, seen in sides.items() if seen == {"b1"}}
        assert before <= canary
        before = canary
    assert before == set(users)


async def test_explain_says_where_two_thousand_requests_went(edge, backends):
    draw = dice()
    peers = {"a1": backends[0].peer.address, "b1": backends[1].peer.address}
    rules: set[str] = set()
    for turn in range(1, 41):
        doc = any_table(draw)
        for track in ("stable", "canary"):
            for peer in doc[track]["peers"]:
                peer["address"] = peers[peer["host"]]
        doc |= {"revision": turn, "n": turn, "trust": [*doc["trust"], *draw.choice(((), ("127.0.0.0/8",)))]}
        if doc["canary_until"]:
            doc["canary_until"] = time.time() + draw.choice((-60.0, 600.0))
        if turn == 1:
            doc["stable"]["peers"] = []
        elif turn == 2:
            doc |= {"canary_until": 1.0, "lapse": "stable", "weight": 10_000}
        table = from_json(doc)
        assert (await edge.put(table))[0] == 200
        requests = [any_request(draw)["headers"] for _ in range(50)]
        answers = await edge.client().ask_many(requests)
        for headers, answer in zip(requests, answers, strict=True):
            found = explain(table, Request("127.0.0.1", headers, time.time()))
            rules.add(found.rule)
            if found.track == "none":
                assert (answer.status, answer.headers["x-gopub-rule"]) == (503, "none")
                continue
            assert answer.rule == found.rule, (doc, headers, found)
            assert answer.headers["x-gopub-release"] == found.release
            assert answer.peer in found.hosts
    assert {"weight", "default", "lapsed", "only-canary"} <= rules


async def test_requests_that_match_no_rule_never_reach_the_canary(edge, backends):
    rule = Rule("me", Header("x-canary", "true"))
    await edge.put(route_table(backends[:1], backends[1:], rules=(rule,)))
    plain = [{"x-canary": value} for value in ("false", "TRUE", "", "true,true")] * 50
    assert {answer.peer for answer in await ask_all(edge, plain)} == {"a1"}
    assert backends[1].seen == []
    assert (await edge.client().ask(headers={"X-CANARY": "true"})).peer == "b1"


async def test_peers_take_turns(edge):
    async with running_backends("a1", "a2", "a3") as backends:
        await edge.put(route_table(backends))
        answers = await edge.client().ask_many([{}] * 90)
        counts = {host: sum(answer.peer == host for answer in answers) for host in ("a1", "a2", "a3")}
        assert counts == {"a1": 30, "a2": 30, "a3": 30}


async def test_headers_that_speak_to_routers_are_taken_off_unless_they_are_trusted(edge, backends):
    sent = {
        "x-gray-tag": "beta",
        "X-Gopub-Release": "f" * 12,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "x-request-id": "r-7",
        "x-grayish": "stays",
    }
    many = {f"x-filler-{n}": "1" for n in range(150)}
    await edge.put(route_table(backends[:1]))
    await edge.client().ask(headers=many | sent)
    await edge.put(route_table(backends[:1], revision=2, n=2, trust=("127.0.0.1",)))
    await edge.client().ask(headers=sent)
    stranger, trusted = (headers for _, _, headers in backends[0].seen)
    told = {name for name in stranger if name.startswith(("x-gray-", "x-gopub-"))}
    assert told == {"x-gray-rule"}, "the edge's own word"
    for name in ("traceparent", "x-request-id", "x-grayish"):
        assert stranger[name] == trusted[name] == sent[name]
    assert (trusted["x-gray-tag"], trusted["x-gopub-release"]) == ("beta", "f" * 12)
    assert stranger["host"] == "hello.lab"
    assert stranger["x-forwarded-for"] == "127.0.0.1"


async def test_the_canary_ends_by_itself(edge, backends):
    table = route_table(backends[:1], backends[1:], weight=10_000)
    for revision, term in enumerate((0.7, 5.0, 60.0), table.revision + 1):  # a busy machine needs a longer one
        until = time.time() + term
        await edge.put(replace(table, revision=revision, n=revision, canary_until=until))
        seen = (await edge.client().ask()).peer
        if time.time() < until:
            break
    assert seen == "b1"
    while time.time() < until + 0.1:
        assert (await edge.client().ask()).status == 200
    ended = await edge.client().ask()
    assert (ended.peer, ended.rule) == ("a1", "lapsed")
    # Where stable could not carry the load the canary stays: the control of this test.
    await edge.put(replace(table, revision=12, n=12, canary_until=until, lapse="keep"))
    assert (await edge.client().ask()).peer == "b1"
    # A term that is renewed brings it back.
    await edge.put(replace(table, revision=13, n=13, canary_until=time.time() + 600))
    assert (await edge.client().ask()).peer == "b1"


async def test_a_first_release_has_only_a_canary(edge, backends):
    await edge.put(replace(route_table((), backends[1:]), stable=None))
    answer = await edge.client().ask()
    assert (answer.peer, answer.rule) == ("b1", "only-canary")


async def test_without_a_table_or_a_peer_the_edge_answers_503_and_counts_it(edge, backends):
    unknown = await edge.client(host="unknown.lab").ask()
    await edge.put(replace(route_table(backends[:1]), stable=None))
    nobody = await edge.client().ask()
    assert (unknown.status, unknown.body) == (503, b"gopub: this edge has no table for that upstream\n")
    assert (nobody.status, nobody.body) == (503, b"gopub: no peer can take requests for that upstream\n")
    metrics = await edge.metrics()
    assert metrics['gopub_edge_unrouted_total{reason="no-table"}'] == 1
    assert metrics['gopub_edge_unrouted_total{reason="no-peer"}'] == 1


async def test_a_host_without_a_name_is_no_upstream(edge):
    for host in ("127.0.0.1", "hello", "-.lab"):
        assert (await edge.client(host=host).ask()).status == 404


async def test_connections_to_peers_are_kept(edge, backends):
    await edge.put(route_table(backends[:1]))
    for _ in range(5):
        await edge.client().ask_many([{}] * 100)
    assert len(backends[0].seen) == 500
    assert backends[0].connections <= 5


async def test_a_table_that_swaps_addresses_moves_at_once(edge, backends):
    """A kept connection to a peer that left is used by nobody."""
    first, second = backends
    await edge.put(route_table([first]))
    client = edge.client()
    assert (await client.ask()).body == b'{"host": "a1"}'
    await edge.put(route_table([second], revision=2, n=2))
    assert {answer.body for answer in await client.ask_many([{}] * 50)} == {b'{"host": "b1"}'}
    assert len(first.seen) == 1
