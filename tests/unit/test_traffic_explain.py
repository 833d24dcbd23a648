from __future__ import annotations

import random
from typing import Any

import pytest

from gopub.traffic import Request, bucket, explain, from_json
from tests.unit.traffic_lua import cases, dice, lua, varied

CASES = cases("decide.yaml")


def lua_input(doc: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """As the router hands it over: lower-case header names, and the time under its name there."""
    headers = {name.lower(): value for name, value in request.get("headers", {}).items()}
    return {"table": doc, "request": {"address": request["address"], "headers": headers, "now": request.get("at", 0)}}


def explained(doc: dict[str, Any], request: dict[str, Any]):
    return explain(from_json(doc), Request(request["address"], request.get("headers", {}), request.get("at", 0.0)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_explain_says_where_and_why(case):
    found = explained(varied(case.get("change", {})), case["request"])
    assert (found.track, found.rule) == (case["track"], case["rule"])
    assert case.get("why") in (None, found.why)


def test_the_edge_decides_the_same():
    said = lua("decide", [lua_input(varied(case.get("change", {})), case["request"]) for case in CASES])
    assert said == [{"track": case["track"], "rule": case["rule"]} for case in CASES]


def test_explain_names_the_peers_that_take_turns():
    peers = [{"host": "b1", "address": "10.1.0.2:80"}, {"host": "b2", "address": "10.1.0.3:80"}]
    found = explained(varied({"canary.peers": peers, "weight": 10_000}), {"address": "10.0.0.1"})
    assert (found.hosts, found.release) == (("b1", "b2"), "b" * 12)
    assert (found.subject, found.bucket) == ("10.0.0.1", bucket("r-1", "10.0.0.1"))
    assert found.to_json()["hosts"] == ["b1", "b2"]


def test_lua_and_python_agree_on_any_table_and_request():
    draw = dice()
    pairs = [(any_table(draw), any_request(draw)) for _ in range(2000)]
    wanted = [explained(doc, request) for doc, request in pairs]
    said = lua("decide", [lua_input(doc, request) for doc, request in pairs])
    for pair, ours, theirs in zip(pairs, wanted, said, strict=True):
        assert {"track": ours.track, "rule": ours.rule} == theirs, pair
    assert {"weight", "default", "lapsed", "no-subject", "r-a"} <= {ours.rule for ours in wanted}


def test_the_comparison_notices_another_salt():
    requests = [{"address": f"10.0.0.{n}"} for n in range(200)]
    said = lua("decide", [lua_input(varied({"salt": "r-2"}), request) for request in requests])
    ours = [explained(varied({}), request).rule for request in requests]
    assert ours != [answer["rule"] for answer in said]


ADDRESSES = ("10.0.0.1", "192.168.7.7", "203.0.113.9", "2001:db8::7", "::1", "::ffff:10.0.0.1", "fe80::1")
HOPS = (*ADDRESSES, "unknown", "10.0.0", "1.2.3.4.5", "010.0.0.1", "::1::", "2001:DB8::7", "")
TRUST = ("10.0.0.0/8", "192.168.0.0/17", "2001:db8::/32", "::/0", "0.0.0.0/0", "fe80::1", "::ffff:10.0.0.0/104")
NAMES = ("x-a", "x-gray-tag", "x-gopub-user")


def any_table(draw: random.Random) -> dict[str, Any]:
    change: dict[str, Any] = {
        "weight": draw.choice((0, 1, 2500, 9999, 10_000)),
        "salt": f"r-{draw.randrange(9)}",
        "sticky": draw.choice(("address", "header:X-A", "header:x-gray-tag", "cookie:sid")),
        "canary_until": draw.choice((None, None, 100.0)),
        "lapse": draw.choice(("stable", "keep")),
        "trust": draw.sample(TRUST, draw.randrange(3)),
        "rules": [
            {"id": f"r-{letter}", "header": {"name": draw.choice(NAMES), "value": draw.choice(("1", "beta"))}}
            for letter in "ab"[: draw.randrange(3)]
        ],
    }
    if not draw.randrange(6):
        change[draw.choice(("stable", "canary")) + ".peers"] = []
    return varied(change)


def any_request(draw: random.Random) -> dict[str, Any]:
    headers = {name: draw.choice(("1", "beta", "", "用户")) for name in NAMES if draw.randrange(2)}
    if draw.randrange(2):
        headers["X-Forwarded-For"] = ", ".join(draw.choices(HOPS, k=draw.randrange(1, 4)))
    if draw.randrange(2):
        headers["Cookie"] = draw.choice(("sid=1", "a=b; sid = x", " sid=é ;sid=2", "Sid=4", "sid=", "asid=2;sid=a=b"))
    return {"address": draw.choice(ADDRESSES), "headers": headers, "at": draw.choice((99.0, 100.0, 101.0))}
