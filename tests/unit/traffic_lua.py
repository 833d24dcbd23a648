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

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases" / "traffic"
LUA = ROOT / "gopub" / "traffic" / "backends" / "nginx" / "lua"

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
    lines = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in inputs)
    script = str(Path(__file__).parent / "lua" / "traffic.lua")
    done = asyncio.run(run(["luajit", script, str(LUA), what], stdin=lines.encode()))
    return [json.loads(line) for line in done.out.splitlines()]


def dice() -> random.Random:
    """Chance with a new seed in each run, printed so that a failure can be drawn again."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it where a test fails
    return random.Random(seed)  # noqa: S311 - no secret
