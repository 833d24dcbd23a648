from __future__ import annotations

from typing import Any

import pytest

from gopub.traffic import Request, bucket, explain, from_json
from tests.unit.traffic_lua import any_request, any_table, cases, dice, lua, varied

CASES = cases("decide.yaml")


def lua_input(doc: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """As the router hands it over: lower-case header names, and the time under its name there."""
    return {"table": doc, "request": as_the_router_has_it(request)}


def as_the_router_has_it(request: dict[str, Any]) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in request.get("headers", {}).items()}
    return {
        "address": request["address"],
        "headers": headers,
        "now": request.get("at", 0),
        "method": request.get("method", "GET"),
        "path": request.get("path", "/"),
        "query": request.get("query"),
    }


def explained(doc: dict[str, Any], request: dict[str, Any]):
    return explain(from_json(doc), asked(request))


def asked(request: dict[str, Any]) -> Request:
    kept = {key: value for key, value in request.items() if key not in ("address", "headers", "at")}
    return Request(request["address"], request.get("headers", {}), request.get("at", 0.0), **kept)


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
