from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from gopub.errors import UsageError
from gopub.traffic import Endpoint, Peer, RouteTable, Rule, Track, encode, from_json, to_json, validate
from gopub.traffic.conditions import All, Any, Client, Cookie, Header, Method, Not, Path, Query, Share, Tag, Within
from tests.unit.traffic_lua import ROOT, TABLE, cases, dice, lua, varied

BAD = cases("table.bad.yaml")
SCHEMA = json.loads((ROOT / "gopub" / "schemas" / "route-table.v1.json").read_text())

STABLE = Track("a" * 64, (Peer("a1", "10.0.0.1:80"), Peer("a2", "10.0.0.2:80")))
CANARY = Track("b" * 64, (Peer("b1", "[2001:db8::1]:80"),))
FIRST = RouteTable(app="hello", env="lab", upstream="hello", stable=STABLE)


EVERYTHING = All(
    (
        Any((Header("x", "1"), Cookie("c", "a b"), Query("a b", "%"))),
        Not(Any((Path("/api"), Method(("GET", "M-SEARCH"))))),
        Client(("10.0.0.0/8", "2001:db8::1")),
        Tag("user-v2"),
        Within(((0, 10), (20, 30))),
        Share(2500),
    )
)


def with_canary() -> RouteTable:
    return replace(FIRST, canary=CANARY, rollout="r-1", salt="r-1", canary_until=1_700_000_000.5, weight=100)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["error"])
def test_a_bad_table_is_refused_in_these_words(case):
    with pytest.raises(UsageError) as caught:
        from_json(varied(case["change"]))
    assert (caught.value.code, caught.value.problem) == (case["code"], case["error"])


def test_the_edge_refuses_the_same_tables_in_the_same_words():
    said = lua("problem", [varied(case["change"]) for case in BAD])
    assert said == [{"code": case["code"], "reason": case["error"]} for case in BAD]


def said(value) -> dict[str, str] | None:
    try:
        from_json(value)
    except UsageError as error:
        return {"code": error.code, "reason": error.problem}
    return None


def test_of_several_faults_of_shape_both_find_the_same_one_first():
    draw, shapes = dice(), [case["change"] for case in BAD if case["code"] == "GP501"]
    tables = []
    for _ in range(300):
        changes = {key.partition(".")[0]: {key: value} for one in draw.sample(shapes, 4) for key, value in one.items()}
        tables.append(varied({key: value for one in changes.values() for key, value in one.items()}))
    tables.append(varied({"rules": [{"id": 7, "header": 7}], "canary": {"release": 7}}))
    first = lua("problem", tables)
    assert [said(table) for table in tables] == first
    assert len({one["reason"] for one in first}) > 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"": 1}, " is not known"),
        ({"x" * 90: 1}, " is not known"),
        ({"canary_until": 10**400}, "canary_until is not a number that a clock can show"),
        ({"salt": "\ud800"}, "salt is not a string"),
        ({"latency": "\ud800"}, "latency is not auto, header or total"),
        ({"weight": None}, "weight is not a whole number"),
        ({"epoch": 10**400}, "epoch is not a whole number"),
    ],
)
def test_what_only_python_meets_is_said_as_well(change, says):
    with pytest.raises(UsageError, match="GP501") as caught:
        from_json(TABLE | change)
    assert caught.value.problem.endswith(says)
    assert len(caught.value.problem) < 90


@pytest.mark.parametrize("value", [None, 7, "x", [], [TABLE]])
def test_what_is_no_object_is_no_table(value):
    with pytest.raises(UsageError, match=r"the table is not an object|schema is missing"):
        from_json(value)


def test_the_schema_refuses_every_wrong_shape_too():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    wrong = [case for case in BAD if case["code"] == "GP501" and "beyond" not in case]
    missed = [case["error"] for case in wrong if validator.is_valid(varied(case["change"]))]
    assert missed == []


@pytest.mark.parametrize(
    "table",
    [
        FIRST,
        with_canary(),
        replace(with_canary(), rules=(Rule("me", Header("X-Canary", "true")),)),
        replace(with_canary(), rules=(Rule("me", Path("/"), "stable", 1_700_000_000.5), Rule("r", EVERYTHING))),
        replace(with_canary(), stable=None),
        RouteTable(app="a", env="b", upstream="c", trust=("10.0.0.0/8", "::1", "2001:db8::/32"), sticky="cookie:sid"),
        replace(with_canary(), latency="header"),
        replace(with_canary(), latency="total"),
        replace(with_canary(), endpoints=(Endpoint("/"), Endpoint("POST /orders/*", 0.25), Endpoint("/a/*/~b.c;d/**"))),
    ],
)
def test_a_good_table_survives_the_wire_and_fits_the_schema(table):
    validate(table)
    assert from_json(json.loads(encode(table))) == table
    jsonschema.Draft202012Validator(SCHEMA).validate(to_json(table))
    assert lua("problem", [to_json(table)]) == [None]


def test_the_same_table_is_the_same_bytes():
    assert encode(with_canary()) == encode(with_canary())
