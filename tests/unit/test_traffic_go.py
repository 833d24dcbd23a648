"""Route tables in Go: the written cases, the keys of a table, and targets of requests, as Python has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gopub.errors import UsageError
from gopub.traffic import from_json
from gopub.traffic.targets import taken_apart
from tests.unit.traffic_go import go_decides, go_takes_apart
from tests.unit.traffic_lua import ROOT, cases, dice, varied

WHOLE = {
    "latency": "total",
    "warmup": 4,
    "weight_from": 1,
    "endpoints": [{"match": "GET /x", "slow": 1.5}],
    "stable.tag": "old",
    "canary.tag": "new",
    "rules": [
        {"id": "a", "header": {"name": "x", "value": "1"}},
        {
            "id": "b",
            "to": "stable",
            "until": 9.5,
            "when": {
                "any": [
                    {"all": [{"cookie": {"name": "x", "value": "1"}}, {"query": {"name": "x", "value": "1"}}]},
                    {"not": {"header": {"name": "x", "value": "2"}}},
                    {"path": "/"},
                    {"method": ["GET"]},
                    {"tag": "a"},
                    {"client": ["10.0.0.0/8"]},
                    {"within": [[0, 1]]},
                    {"share": 1},
                ]
            },
        },
    ],
    "canary.peers.0.since": 9.5,
}


def known() -> set[str]:
    """Every key that the schema of tables names, wherever it may stand."""
    schema = json.loads((ROOT / "gopub/schemas/route-table.v1.json").read_text())
    return set(walk(schema, lambda one: one["properties"].keys() if isinstance(one.get("properties"), dict) else ()))


def used(doc: Any) -> set[str]:
    return set(walk(doc, lambda one: one.keys()))


def walk(value: Any, keys: Callable[[dict[str, Any]], Iterable[str]]) -> Iterator[str]:
    if isinstance(value, dict):
        yield from keys(value)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(one, keys)


PIECES = (
    "/",
    "//",
    "/.",
    "/..",
    "/a",
    "b",
    ".",
    "..",
    "%2e",
    "%2F",
    "%25",
    "%61",
    "%3f",
    "%23",
    "+",
    "?",
    "#",
    "&x=%31",
)
BROKEN = ("%", "%z1", "%0", "%00", "\u4e2d")


def test_go_decides_the_written_cases_and_knows_every_key_of_a_table(tmp_path: Path):
    whole = varied(WHOLE)
    assert used(whole) == known(), "a new key: add it to WHOLE, and to go/gray/route/parse.go"
    from_json(whole)
    written = cases("decide.yaml")
    asked = [(varied(case.get("change", {})), [case["request"]]) for case in written]
    *said, of_whole = go_decides([*asked, (whole, [{"address": "10.0.0.1"}])], tmp_path)
    assert said == [[[case["track"], case["rule"]]] for case in written]
    assert of_whole[0][0] in ("stable", "canary")


def test_go_takes_targets_apart_as_python_does(tmp_path: Path):
    draw = dice()
    targets = ["/" * draw.randrange(2) + "".join(draw.choices(PIECES, k=draw.randrange(1, 7))) for _ in range(4000)]
    targets += [f"/a{one}{draw.choice(PIECES)}" for one in BROKEN for _ in range(20)]
    wanted = [apart(target) for target in targets]
    assert go_takes_apart(targets, tmp_path) == wanted
    assert 400 < sum(one == [] for one in wanted) < 3600, "control: both are drawn"


def apart(target: str) -> list[str]:
    try:
        return list(taken_apart(target))
    except UsageError:
        return []
