"""docs/reference/route-table.md and the published JSON Schema say what route_table.json says."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from tests.unit.test_traffic_broken import broken, here
from tests.unit.traffic_lua import ROOT, SCHEMA_FILE, dice

PAGE = (ROOT / "docs" / "reference" / "route-table.md").read_text("utf-8")
TYPES: dict[str, Any] = json.loads(SCHEMA_FILE.read_text("utf-8"))["types"]
PUBLISHED = json.loads((ROOT / "gopub" / "schemas" / "route-table.v1.json").read_text("utf-8"))


def first_cells(heading: str, page: str = PAGE) -> list[str]:
    """What is in backquotes in the first cell of each row of the table below a heading, without its own head."""
    rows = re.search(rf"{re.escape(heading)}\n.*?\n\|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", page, re.DOTALL)
    assert rows is not None, heading
    return [name for row in rows[1].splitlines() for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def test_the_page_has_every_key_in_its_order():
    assert first_cells("## The document") == [key for key, *_ in TYPES["table"]["keys"]]


def optional(name: str) -> list[str]:
    return [key for key, _, *more in TYPES[name]["keys"] if more == ["optional"]]


def test_the_page_says_which_keys_may_be_left_out():
    said = re.search(r"Every key but ([^.]*), a track's `tag` and a peer's `since` must be there", PAGE)
    assert said is not None
    assert re.findall(r"`(\w+)`", said[1]) == optional("table")
    assert (optional("track"), optional("peer")) == (["tag"], ["since"])


def test_the_page_has_every_condition_and_every_reserved_id():
    kinds = [next(iter(re.findall(r'"(\w+)"', one))) for one in first_cells("### Rules")]
    assert kinds == list(TYPES["condition"]["kinds"])
    said = re.search(r"Rule ids that the edge uses itself are not free: ([^.]*)\.", PAGE)
    assert said is not None
    assert re.findall(r"`([\w-]+)`", said[1]) == TYPES["id"]["never"]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("name", "at most {to}"),
        ("weight", "{from} to {to}"),
        ("text", "printable text, at most {to}"),
        ("warmup", "{from} to {to}"),
        ("release", "{from} to {to} hex digits"),
        ("slow", "{from} to {to}"),
        ("endpoints", "at most {to}"),
    ],
)
def test_the_page_has_the_bounds(key: str, says: str):
    assert says.format_map({"from": 0} | TYPES[key]) in PAGE


def test_control_a_key_more_would_be_missed():
    assert first_cells("## The document", PAGE.replace("| `fallback` |", "| `fall` |")) != first_cells(
        "## The document"
    )


def test_the_published_schema_has_the_same_keys():
    assert list(PUBLISHED["properties"]) == [key for key, *_ in TYPES["table"]["keys"]]
    assert set(PUBLISHED["properties"]) - set(PUBLISHED["required"]) == set(optional("table"))


def test_the_published_schema_takes_every_table_that_is_one_and_no_wrong_shape():
    draw, validator = dice(), jsonschema.Draft202012Validator(PUBLISHED)
    taken = refused = 0
    for line in (json.dumps(broken(draw)) for _ in range(1500)):
        said, doc = here(line), json.loads(line, parse_int=float)  # as an edge reads numbers
        if said is None and "{}" not in line:  # an empty object for an empty list: only JSON Schema minds
            taken += 1
            validator.validate(doc)
        elif said and said["code"] == "GP501" and "deeper than" not in said.get("reason", "deeper than"):
            refused += 1
            assert not validator.is_valid(doc), (said, doc)
    assert min(taken, refused) > 50, (taken, refused)


def test_the_go_module_knows_the_same_keys():
    """It reads tables by hand: all keys of each kind of object, and which of them may be missing."""
    source = (ROOT / "go" / "gray" / "route").glob("*.go")
    text = "".join(file.read_text("utf-8") for file in source if not file.name.endswith("_test.go"))
    maps = re.findall(r'map\[string\]bool\{((?:\s*"\w+": (?:true|false),?)+)\s*\}', text)
    known = {frozenset(re.findall(r'"(\w+)": (true|false)', one)) for one in maps}
    wanted = {
        frozenset((key, "false" if more == ["optional"] else "true") for key, _, *more in TYPES[name]["keys"])
        for name in ("table", "track", "peer", "rule by header", "rule by condition", "header")
    }
    assert known == wanted
