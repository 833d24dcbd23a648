"""Broken tables: the schema is read by Python and by Lua, and both must give the same answer, whatever comes."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gopub.canon import JsonError, read_json
from gopub.errors import UsageError
from gopub.traffic import from_json
from tests.unit.traffic_lua import SCHEMA_FILE, any_ruled, dice, lua_lines

DRAWN = 10_000
LIMIT = 4 << 20
MIB = 1 << 20
SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text("utf-8"))

ADDRESSES = (
    "10.0.0.9:80", "10.0.0.9:00080", "10.0.0.9:000080", "10.0.0.9:0", "10.0.0.9:", "10.0.0.9", "[::1]:1", "[::1]",
    "[1::2::3]:9", "[::ffff:10.0.0.1]:80", "[10.0.0.1]:80", "::1:80", "1.2.3:4", "[::1%lo]:80", "10.0.0.9:80 ", "[]:80",
    "10.0.0.9:65535", "10.0.0.9:65536", "10.0.0.9:+80", "10.0.0.9:1e1", "010.0.0.9:80", "[1:2:3:4:5:6:7:8]:80",
    "[::1:2:3:4:5:6:7:8]:80", "[1:2:3:4:5:6:7::]:80", "[12345::]:80", "[:::1]:80", "10.0.0.9:80\x00",
)  # fmt: skip
NETWORKS = (
    "10.0.0.0/8", "10.1.2.3/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/0", "::/0", "::/128", "::/129",
    "fe80::/010", "/8", "", "10.0.0.0/8/8", "10.0.0.0/-1", "::ffff:1.2.3.4/96", "1.2.3.4.5", "10.0.0.0/255.0.0.0",
    "2001:db8::/32 ", "::ffff:300.1.1.1", "1:2:3:4:5:6:7:1.2.3.4", "10.0.0.0/1000",
)  # fmt: skip
PATTERNS = (
    "/", "/a", "GET /a", "GET  /a", "/a/*", "/a/**", "/**", "/a/../b", "a", "POST /a/**/b", "/a b", "/a/", "GET\x00/",
)  # fmt: skip
TEXTS = (
    "", "x", "a" * 63, "a" * 64, "a" * 128, "a" * 129, "a" * 253, "a" * 257, "A-Z", "-", "a\x00b", "a\nb", "\x7f",
    "\xff", "é" * 64, "用户", "\U0001f600" * 70, "\ud800", "a" * 199 + "é", "a" * 198 + "用", "%s%d%", "{}", "header:",
    "header:x", "cookie:sid", "cookie:é", "header:" + "x" * 65, "Header:x", "address", "weight", "canary", "stable",
    "keep", "auto", "total", "gopub/route-table/v1", "b" * 64, "b" * 12, "b" * 11, "g" * 12, "/", "/api", "/é", "GET",
    "get", "M-SEARCH", "1", "a1", "b1", "\\", "]", "^", "_`|~",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2.0, 2.5, 0.001, 0.0009, 600, 601, 3600.5, 9999, 10_000, 10_001, -0.0, 2**53, 2**53 + 1, 2**64, 10**30,
    1e15,    1e22, 1e300, float("nan"), float("inf"), -float("inf"), 10**60, 10**400, 5e-324, 123456789.123,
)  # fmt: skip


MORE = ("", "\x00", " ", "é", "0", "/", "x" * 200)
LIKE = {"address": ADDRESSES, "match": PATTERNS}
"""What is nearly right, by the key; in a list it is a network."""


def nested(depth: int, inner: Any = None) -> Any:
    for _ in range(depth):
        inner = {"not": inner}
    return inner


def value(draw: random.Random) -> Any:
    """Anything."""
    makers: tuple[Callable[[], Any], ...] = (
        lambda: draw.choice(TEXTS),
        lambda: draw.choice(NUMBERS),
        lambda: draw.choice((None, True, False)),
        lambda: draw.choice((*ADDRESSES, *NETWORKS, *PATTERNS)),
        lambda: draw.choice(({}, [], [[]], [{}], {"a": 1}, [None], {"0": 1}, {"1": 1}, {"": 0}, {"\ud800": 1})),
        lambda: nested(draw.choice((1, 7, 8, 9, 70)), {"path": "/"}),
        lambda: [[1, 5], [draw.choice(NUMBERS), draw.choice(NUMBERS)]],
        lambda: {draw.choice(tuple(SCHEMA["types"]["condition"]["kinds"])): draw.choice(TEXTS + NUMBERS)},
        lambda: [draw.choice(TEXTS + NUMBERS)] * draw.choice((1, 2, 11)),
        lambda: {"name": draw.choice(TEXTS), "value": draw.choice(TEXTS)},
    )
    return draw.choice(makers)()


KEYS = (
    "x",
    "X" * 80,
    "é" * 40,
    "用" * 30,
    "a\nb",
    "\x00",
    "",
    "1",
    "0",
    "when",
    "header",
    "to",
    "until",
    "since",
    "slow",
    "_",
)


def places(inside: Any) -> list[tuple[Any, Any]]:
    """Every container and key below a value."""
    found: list[tuple[Any, Any]] = []
    for key in list(inside) if isinstance(inside, dict) else range(len(inside)):
        found.append((inside, key))
        if isinstance(inside[key], dict | list):
            found += places(inside[key])
    return found


def otherwise(draw: random.Random, key: Any, now: Any) -> Any:
    """Another value of the same kind, where it is a text or a number."""
    if isinstance(now, str):
        return draw.choice(LIKE.get(key, NETWORKS)) if draw.randrange(2) else now + draw.choice(MORE)
    return draw.choice(NUMBERS) if isinstance(now, int | float) else now


def broken(draw: random.Random) -> Any:
    """A table of which one thing or two are otherwise, mostly."""
    doc = any_ruled(draw)
    doc["trust"] = draw.sample(("10.0.0.0/8", "::1"), draw.randrange(3))
    doc["endpoints"] = [{"match": "/a"}, {"match": "GET /b", "slow": 0.25}][: draw.randrange(3)]
    if draw.randrange(2):
        doc["rules"].append({"id": "h", "header": {"name": "x", "value": "1"}})
    for _ in range(draw.choice((0, 1, 1, 1, 2, 4))):
        where, key = draw.choice(places(doc))
        what = draw.randrange(16)  # from 9 on the kind stays, mostly
        if what < 5:
            where[key] = value(draw)
        elif what == 5 and isinstance(where, dict):
            del where[key]
        elif what == 6 and isinstance(where, dict):
            where[draw.choice(KEYS)] = draw.choice((where[key], value(draw)))
        elif what == 7 and isinstance(where, list):
            where.insert(0, draw.choice((where[key], value(draw))))
        elif what == 8:
            where[key] = draw.choice(([where[key]], {"not": where[key]}, {str(key): where[key]}))
        else:
            where[key] = otherwise(draw, key, where[key])
    return doc if draw.randrange(200) else value(draw)


def here(line: str) -> dict[str, str] | None:
    """What Python says of a text; without a reason where it is no JSON."""
    try:
        from_json(read_json(line, limit=LIMIT))
    except JsonError:
        return {"code": "GP501"}
    except UsageError as error:
        return {"code": error.code, "reason": error.problem}
    return None


def differing(lines: list[str], schema: Path = SCHEMA_FILE) -> list[str]:
    """The lines of which Python and Lua say something else."""
    found: list[str] = []
    for line, there in zip(lines, lua_lines("put", lines, schema), strict=True):
        ours = here(line)
        fine = there["code"] == "GP501" if ours == {"code": "GP501"} and there else ours == there
        if not fine:
            found.append(f"{line[:2000]}\n  here  {ours}\n  there {there}")
    return found


def test_python_and_lua_say_the_same_of_ten_thousand_broken_tables():
    draw = dice()
    lines = [json.dumps(broken(draw)) for _ in range(DRAWN)]
    assert "\n".join(differing(lines)[:3]) == ""
    said: Counter[str] = Counter((here(line) or {}).get("code", "fine") for line in lines)
    assert min(said[one] for one in ("fine", "GP501", "GP502")) > DRAWN / 100, said


def large() -> list[str]:
    """A MiB in every place that takes a text, and as a key, and as many conditions as a MiB holds."""
    docs = []
    for text in ("a" * MIB, "用" * (MIB // 3), "\x00" * (MIB // 6)):
        base = any_ruled(random.Random(1))
        docs += [base | {"app": text}, base | {"sticky": f"header:{text}"}, base | {text: 1}, base | {"salt": text}]
        docs.append(base | {"stable": {"release": text, "peers": []}})
        docs.append(base | {"trust": [text]})
        docs.append(base | {"endpoints": [{"match": f"/{text}"}]})
        docs += [base | {"rules": [{"id": "r", "when": {kind: text}}]} for kind in ("path", "tag", "share")]
        docs.append(base | {"rules": [{"id": "r", "when": {"method": [text]}}]})
    many = any_ruled(random.Random(1)) | {"rules": [{"id": "r", "when": {"any": [{"tag": "a"}] * 50_000}}]}
    deep = json.dumps(any_ruled(random.Random(1)) | {"x": 0})
    deepest = [deep.replace('"x": 0', f'"x": {"[" * depth}{"]" * depth}') for depth in (50, 500, 100_000)]
    return [json.dumps(doc) for doc in (*docs, many)] + deepest


def test_python_and_lua_say_the_same_of_what_is_large_and_repeat_little_of_it():
    lines = large()
    assert differing(lines) == []
    assert max(len((here(line) or {}).get("reason", "")) for line in lines) < 1000, "200 bytes, escaped"


WEIGHT = json.dumps(any_ruled(random.Random(1)) | {"weight": 10_001})


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda types: types["weight"].update(to=20_000), WEIGHT),
        (lambda types: types["weight"].update(says="{} is too much"), WEIGHT),
        (lambda types: types["table"]["checks"].remove("weight"), WEIGHT),
        (lambda types: types["table"]["keys"].append(["more", "flag"]), json.dumps(any_ruled(random.Random(1)))),
    ],
)
def test_control_another_schema_on_the_edge_is_found(tmp_path: Path, edit: Any, line: str):
    other = json.loads(SCHEMA_FILE.read_text("utf-8"))
    edit(other["types"])
    file = tmp_path / "other.json"
    file.write_text(json.dumps(other), "utf-8")
    assert len(differing([line], file)) == 1
    assert differing([line]) == [], "it is the schema"


def test_classes_of_characters_mean_the_same_in_both_languages():
    """Ranges and plain characters; what one of them would read as more than itself stands where it does not."""
    for name, kind in SCHEMA["types"].items():
        for written in (kind[key] for key in ("first", "rest") if key in kind):
            assert written.isascii() and not set(written) & set("\\[]"), name
            assert not written.startswith("^") and "--" not in written, name
            assert not kind.keys() & {"check"}, name
