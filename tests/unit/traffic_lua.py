"""The edge's Lua modules under luajit, and the table that the cases vary."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from gopub.process import run
from tests.support.chance import seed as chance_seed

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases" / "traffic"
LUA = ROOT / "gopub" / "traffic" / "backends" / "nginx" / "lua"
SCHEMA_FILE = ROOT / "gopub" / "traffic" / "route_table.json"

TABLE: dict[str, Any] = {
    "schema": "gopub/route-table/v1",
    "app": "hello",
    "env": "lab",
    "upstream": "hello",
    "revision": 7,
    "epoch": 2,
    "token": "t",
    "n": 3,
    "rollout": "r-1",
    "salt": "r-1",
    "sticky": "address",
    "weight": 2500,
    "stable": {"release": "a" * 64, "peers": [{"host": "a1", "address": "10.1.0.1:80"}]},
    "canary": {"release": "b" * 64, "peers": [{"host": "b1", "address": "10.1.0.2:80"}]},
    "canary_until": None,
    "lapse": "stable",
    "rules": [],
    "trust": [],
    "fallback": True,
}


def cases(name: str) -> Any:
    """A file of tests/cases/traffic."""
    return YAML(typ="safe").load(CASES / name)


def varied(change: Mapping[str, Any]) -> dict[str, Any]:
    """TABLE with dotted keys set; ``DELETE`` takes a key out."""
    doc = json.loads(json.dumps(TABLE))
    for path, value in change.items():
        *way, last = path.split(".")
        place = doc
        for key in way:
            place = place[int(key)] if isinstance(place, list) else place[key]
        if value == "DELETE":
            del place[last]
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return doc


def lua(what: str, inputs: Iterable[Any]) -> list[Any]:
    """What the Lua module answers for each input."""
    return lua_lines(what, (json.dumps(value, ensure_ascii=False) for value in inputs))


def lua_lines(what: str, lines: Iterable[str], schema: Path = SCHEMA_FILE) -> list[Any]:
    """What it answers for each line, by that schema of tables."""
    script = str(Path(__file__).parent / "lua" / "traffic.lua")
    argv = ["luajit", script, str(LUA), what, str(schema.with_suffix(""))]
    done = asyncio.run(run(argv, stdin="".join(f"{line}\n" for line in lines).encode()))
    return [json.loads(line) for line in done.out.splitlines()]


def dice() -> random.Random:
    """Chance whose seed is printed, so that a failure can be drawn again."""
    return random.Random(chance_seed())


ADDRESSES = (
    "10.0.0.1",
    "::ffff:10.0.0.7",
    "::FFFF:cb00:7109",
    "192.168.7.7",
    "203.0.113.9",
    "2001:db8::7",
    "::1",
    "::ffff:10.0.0.1",
    "fe80::1",
)
WRITTEN = (
    "10.0.0.1:443", "203.0.113.9:51234", "[2001:db8::7]:443", "[::1]", "[::ffff:10.0.0.1]:80", "203.0.113.9:",
    "203.0.113.9:123456",
    "[203.0.113.9]:80", "[2001:db8::7", "[]:80", "[::1]80", "::ffff:10.0.0.1:80", "203.0.113.9:x", "[fe80::1%eth0]:80",
)  # fmt: skip
HOPS = (*ADDRESSES, "unknown", "10.0.0", "1.2.3.4.5", "010.0.0.1", "::1::", "2001:DB8::7", "", *WRITTEN)
TRUST = (
    "10.0.0.0/8",
    "203.0.113.9",
    "10.0.0.7/32",
    "192.168.0.0/17",
    "2001:db8::/32",
    "::/0",
    "0.0.0.0/0",
    "fe80::1",
    "::ffff:10.0.0.0/104",
)
NAMES = ("x-a", "x-gray-tag", "x-gopub-user")


def any_table(draw: random.Random) -> dict[str, Any]:
    """Some table; its canary's term ends at 100, or never."""
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
    if not draw.randrange(3):
        change |= {
            "warmup": draw.choice((0, 4, 7.5)),
            "weight_from": draw.randrange(3000),
            "canary.peers.0.since": draw.choice((90.0, 96.0, 98.7, 101.0)),
        }
    if not draw.randrange(4):
        change |= {"canary.tag": "v2", "latency": "total", "endpoints": [{"match": "/api/*", "slow": 1}]}
    if not draw.randrange(6):
        change[draw.choice(("stable", "canary")) + ".peers"] = []
    return varied(change)


def any_request(draw: random.Random) -> dict[str, Any]:
    """Some request about the moment 100."""
    headers = {name: draw.choice(("1", "beta", "", "用户")) for name in NAMES if draw.randrange(2)}
    if draw.randrange(2):
        headers["X-Forwarded-For"] = ", ".join(draw.choices(HOPS, k=draw.randrange(1, 4)))
    if draw.randrange(2):
        headers["Cookie"] = draw.choice(("sid=1", "a=b; sid = x", " sid=é ;sid=2", "Sid=4", "sid=", "asid=2;sid=a=b"))
    return {"address": draw.choice(ADDRESSES), "headers": headers, "at": draw.choice((99.0, 100.0, 101.0))}


TAGS = ("a", "b", "user-v2")
PATHS = ("/", "/api", "/api/", "/api/x", "/apix", "/API")
QUERIES = ("", "q=1", "q=2&q=1", "q", "q=%31", "q=%2531", "r=1&q=a+b", "%71=1", "q=%zz&&q=1", "=1&q=1")
LISTS = ("a", "a,b", " a , user-v2,", "b", ",,", "a b", "a,\u00e4", ",".join("ab" * 40), "x" * 5000, "a;b")


def any_condition(draw: random.Random, depth: int = 0) -> dict[str, Any]:
    """Some condition, at most three knots deep, about what :func:`any_asked` asks for."""
    if depth < 3 and draw.randrange(3) == 0:
        kind = draw.choice(("all", "any", "not"))
        if kind == "not":
            return {"not": any_condition(draw, depth + 1)}
        return {kind: [any_condition(draw, depth + 1) for _ in range(draw.randrange(1, 4))]}
    named = {"name": draw.choice(("q", "r", "sid")), "value": draw.choice(("1", "a b", "%31", "%zz"))}
    return draw.choice(
        (
            {"header": {"name": draw.choice(NAMES), "value": draw.choice(("1", "beta"))}},
            {"cookie": named},
            {"query": named},
            {"path": draw.choice(PATHS)},
            {"method": draw.sample(("GET", "POST", "HEAD"), draw.randrange(1, 3))},
            {"client": draw.sample(TRUST, draw.randrange(1, 3))},
            {"tag": draw.choice(TAGS)},
            {"within": draw.choice(([[0, 100]], [[99, 100], [101, 200]], [[100, 101]]))},
            {"share": draw.choice((0, 1, 2500, 5000, 10_000))},
        )
    )


def any_ruled(draw: random.Random) -> dict[str, Any]:
    """Some table of which most requests meet a rule."""
    rules = [
        {"id": f"r-{letter}", "when": any_condition(draw), "to": draw.choice(("stable", "canary"))}
        | ({} if draw.randrange(4) else {"until": draw.choice((99.5, 100))})
        for letter in "abcd"[: draw.randrange(1, 5)]
    ]
    return any_table(draw) | {"rules": rules}


def any_asked(draw: random.Random) -> dict[str, Any]:
    """Some request of which more than the headers decides."""
    found = any_request(draw)
    if draw.randrange(2):
        found["headers"]["x-gray-tag"] = draw.choice(LISTS)
    more = {"method": draw.choice(("GET", "POST", "PUT")), "path": draw.choice(PATHS), "query": draw.choice(QUERIES)}
    return found | more
