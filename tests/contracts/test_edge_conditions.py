"""Conditions of rules on a real edge: it sends each request where ``gopub route explain`` says, whatever comes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from gopub.errors import UsageError
from gopub.traffic import Request, RouteTable, Rule, explain, from_json, to_json
from gopub.traffic.conditions import All, Not, Path, Tag
from gopub.traffic.targets import taken_apart
from tests.contracts.edge_nginx import Client, LocalEdge, route_table
from tests.contracts.edge_witness import send
from tests.unit.traffic_lua import LISTS, NAMES, any_condition, dice

TARGETS = (
    "/", "/api", "/api/", "/api/x", "/apix", "/API", "//api//x", "/./api", "/x/../api/x", "/%61pi/x", "/api%2fx",
    "/api%2Fx", "/api/..", "/api/%2e%2e/api/y",
    "/api;v=1", "/api%3fq=1", "/api%23", "/api%2520", "/%2561pi", "/api/.", "/%C3%A4pi", "/api%20x", "/a%ff",
)  # fmt: skip
QUERIES = (
    "", "?", "?q=1", "?q=2&q=1", "?q", "?q=%31", "?q=%2531", "?r=1&q=a+b", "?%71=1", "?q=%zz&&q=1", "?=1&q=1",
    "?q=a%20b", "?Q=1", "?q=1;r=2", "?q=1#r", "?q=%00", "?q=%", "?q=%3", "?" + "x=1&" * 150 + "q=1",
)  # fmt: skip


def any_rules(draw: random.Random) -> list[dict[str, Any]]:
    return [
        {"id": f"r-{letter}", "when": any_condition(draw), "to": draw.choice(("stable", "canary"))}
        for letter in "abc"[: draw.randrange(1, 4)]
    ]


async def said_and_done(edge: LocalEdge, table: RouteTable, draw: random.Random) -> tuple[str, str]:
    """What explain says of a drawn request, and what the edge did with it."""
    target, method = draw.choice(TARGETS) + draw.choice(QUERIES), draw.choice(("GET", "POST", "PUT"))
    headers = {name: draw.choice(("1", "beta")) for name in NAMES if not draw.randrange(3)}
    if draw.randrange(2):
        headers["x-gray-tag"] = draw.choice(LISTS[:-3])
    if draw.randrange(2):
        headers["Cookie"] = draw.choice(("q=1", "sid=1; q=a b", "sid=%31", "r=1;q=1"))
    client = Client(edge.port, keep=False)
    answer = await client.ask(target, method=method, headers=headers)
    assert answer.status == 200, (target, headers, answer)
    path, query = taken_apart(target)
    lines = [("Host", "hello.lab"), ("Connection", "close"), *headers.items()]
    said = explain(table, Request("127.0.0.1", lines, 100.0, method, path, query))
    return said.rule, answer.rule


async def test_explain_agrees_with_the_edge_on_drawn_rules_and_requests(edge, backends):
    draw = dice()
    rules: set[str] = set()
    for turn in range(1, 121):
        bare = replace(route_table(backends[:1], backends[1:]), revision=turn, n=turn, sticky="header:x-a", weight=5000)
        trust = draw.choice(([], ["127.0.0.0/8"]))
        drawn = [one for one in any_rules(draw) if "within" not in str(one)]  # the clock of the edge is the real one
        table = from_json({**to_json(bare), "rules": drawn, "trust": trust})
        assert (await edge.put(table))[0] == 200, drawn
        for _ in range(20):
            said, done = await said_and_done(edge, table, draw)
            assert said == done, table
            rules.add(said)
    assert {"r-a", "r-b", "weight", "default", "no-subject"} <= rules


async def test_what_nginx_refuses_is_no_target(edge, backends):
    assert (await edge.put(route_table(backends[:1], backends[1:])))[0] == 200
    for target in ("/..", "/a/../../b", "/%00", "/%2e%2e", "/a%0", "/%zz"):
        assert (await Client(edge.port, keep=False).ask(target)).status == 400
        with pytest.raises(UsageError, match="GP510"):
            taken_apart(target)


async def test_twice_the_header_is_one_list(edge, backends):
    rules = (Rule("in", All((Tag("a"), Tag("b"), Not(Path("/off"))))),)
    table = route_table(backends[:1], backends[1:], rules=rules, trust=("127.0.0.0/8",))
    assert (await edge.put(table))[0] == 200
    assert (await send(edge.port, "x-gray-tag: a", "X-Gray-Tag: b")).rule == "in"
    assert (await send(edge.port, "x-gray-tag: a")).rule == "default"
