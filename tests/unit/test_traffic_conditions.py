"""Conditions of rules: the edge, explain and an oracle of twenty lines agree on what is drawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gopub.traffic import bucket, encode, explain, from_json
from gopub.traffic.addresses import Networks
from gopub.traffic.asked import LONGEST_LIST, MOST_TAGS, Asked, Request
from tests.unit.test_traffic_explain import as_the_router_has_it, asked
from tests.unit.traffic_go import go_decides
from tests.unit.traffic_lua import ROOT, any_asked, any_ruled, dice, lua, varied

TABLES, EACH = 4000, 25


def oracle(when: dict[str, Any], one: Asked, salt: str) -> bool:
    """What the document says, read as simply as it can be."""
    ((kind, value),) = when.items()
    plain = {
        "all": lambda: all(oracle(inner, one, salt) for inner in value),
        "any": lambda: any(oracle(inner, one, salt) for inner in value),
        "not": lambda: not oracle(value, one, salt),
        "header": lambda: one.header(value["name"]) == value["value"],
        "cookie": lambda: one.cookie(value["name"]) == value["value"],
        "query": lambda: one.query.get(value["name"]) == value["value"].encode(),
        "path": lambda: one.path == value or one.path.startswith(value if value.endswith("/") else value + "/"),
        "method": lambda: one.method in value,
        "client": lambda: Networks(value).hold(one.client),
        "tag": lambda: value in (one.tags or ()),
        "within": lambda: any(begin <= one.at < end for begin, end in value),
        "share": lambda: bool(one.subject) and bucket(salt, one.subject) < value,
    }
    return plain[kind]()


def expected(doc: dict[str, Any], one: Asked, *, asks_tags: bool) -> str | None:
    """The first rule that the oracle lets match; None: the rules do not decide."""
    if one.tags is None and asks_tags:
        return "bad-tags"
    alive = [rule for rule in doc["rules"] if one.at < rule.get("until", 1e9)]
    return next((rule["id"] for rule in alive if oracle(rule["when"], one, doc["salt"])), None)


def test_the_edge_go_explain_and_the_oracle_agree_on_a_hundred_thousand_drawn_requests(tmp_path: Path):
    draw = dice()
    drawn = [(any_ruled(draw), [any_asked(draw) for _ in range(EACH)]) for _ in range(TABLES)]
    said = lua(
        "decide_all",
        [{"table": doc, "requests": [as_the_router_has_it(one) for one in requests]} for doc, requests in drawn],
    )
    rules: Counter[str] = Counter()
    for (doc, requests), theirs, in_go in zip(drawn, said, go_decides(drawn, tmp_path), strict=True):
        table, asks_tags = from_json(doc), '"tag"' in json.dumps(doc["rules"])
        for request, there, there_too in zip(requests, theirs, in_go, strict=True):
            ours = explain(table, asked(request))
            assert [ours.track, ours.rule] == there == there_too, (doc, request)
            if ours.rule not in ("only-canary", "lapsed") and doc["canary"]["peers"]:
                named = expected(doc, Asked(table, asked(request)), asks_tags=asks_tags)
                assert ours.rule == named if named else not ours.rule.startswith("r-"), (doc, request)
            rules[ours.rule] += 1
    assert min(rules[name] for name in ("r-a", "r-b", "r-c", "r-d", "bad-tags", "weight", "lapsed")) > 100, rules


def test_control_a_language_that_decides_otherwise_is_seen(tmp_path: Path):
    """Go is asked about tables with another salt; the lines that compare are those of the test above."""
    draw = dice()
    drawn = [(any_ruled(draw) | {"weight": 5000}, [any_asked(draw) for _ in range(EACH)]) for _ in range(40)]
    other = [(doc | {"salt": f"{doc['salt']}-other"}, requests) for doc, requests in drawn]
    said = [[[one.track, one.rule] for one in (explain(from_json(doc), asked(r)) for r in of)] for doc, of in drawn]
    assert go_decides(drawn, tmp_path) == said
    assert go_decides(other, tmp_path) != said


@pytest.mark.parametrize(
    "line",
    [
        "user v2", "a,b c", "\u4e2d", "a\x00", "a\r", "-a", "x" * 64, ",".join(["a"] * (MOST_TAGS + 1)),
        "," * (LONGEST_LIST + 1), "a;b", "a/b", "user-v2\u200b", "(a)", "!a",
    ],
)  # fmt: skip
def test_a_list_that_is_none_is_told_from_no_tags_on_both_sides(line: str):
    doc = varied({"trust": ["10.0.0.0/8"], "rules": [{"id": "r", "when": {"not": {"tag": "zz"}}}]})
    request = {"address": "10.0.0.1", "headers": {"x-gray-tag": line}}
    assert explain(from_json(doc), asked(request)).rule == "bad-tags"
    assert lua("decide", [{"table": doc, "request": as_the_router_has_it(request)}])[0]["rule"] == "bad-tags"
    fine = {"address": "10.0.0.1", "headers": {"x-gray-tag": ",".join(["a"] * MOST_TAGS)}}
    assert explain(from_json(doc), asked(fine)).rule == "r", "control: as many as there may be"


LISTS = json.loads((ROOT / "go/gray/testdata/tags.json").read_text())
"""The same that the Go module is held to."""


def test_lists_of_tags_are_read_alike_in_every_language():
    table = varied({"trust": ["10.0.0.0/8"], "rules": [{"id": "r", "when": {"not": {"tag": "zz"}}}]})
    for case in LISTS:
        request = Request("10.0.0.1", [("x-gray-tag", line) for line in case["lines"]])
        tags = Asked(from_json(table), request).tags
        assert (tags is None) == (case["tags"] is None), case
        assert tags is None or sorted(tags) == case["tags"], case
    inputs = [
        {"table": table, "request": {"address": "10.0.0.1", "headers": {"x-gray-tag": case["lines"]}, "now": 0}}
        for case in LISTS
    ]
    said = [answer["rule"] for answer in lua("decide", inputs)]
    assert said == ["bad-tags" if case["tags"] is None else "r" for case in LISTS]


def test_several_lines_are_one_list():
    doc = varied({"trust": ["10.0.0.0/8"], "rules": [{"id": "r", "when": {"all": [{"tag": "a"}, {"tag": "b"}]}}]})
    request = Request("10.0.0.1", [("X-Gray-Tag", "a"), ("x-gray-tag", "b")])
    assert explain(from_json(doc), request).rule == "r"
    there = {"address": "10.0.0.1", "headers": {"x-gray-tag": ["a", "b"]}, "now": 0}
    assert lua("decide", [{"table": doc, "request": there}]) == [{"track": "canary", "rule": "r"}]


def test_a_table_is_read_as_it_was_written():
    draw = dice()
    for _ in range(300):
        table = from_json(any_ruled(draw))
        assert from_json(json.loads(encode(table))).rules == table.rules
    plain = varied({"rules": [{"id": "r", "when": {"header": {"name": "x", "value": "1"}}}]})
    assert json.loads(encode(from_json(plain)))["rules"] == [{"id": "r", "header": {"name": "x", "value": "1"}}]


def test_more_conditions_than_an_edge_should_ask_are_refused_by_both():
    rules = [{"id": f"r{n}", "when": {"any": [{"tag": "a"}] * 15}} for n in range(17)]
    doc = varied({"rules": rules})
    words = f"rules have {17 * 16} conditions, and 256 at most"
    with pytest.raises(Exception, match=words):
        from_json(doc)
    assert lua("problem", [doc]) == [{"code": "GP502", "reason": words}]
    from_json(varied({"rules": rules[:16]}))  # control: 256
