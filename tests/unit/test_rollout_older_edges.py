"""Edges of an older version: what they would refuse is not begun."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gopub.errors import GopubError
from gopub.plan.model import Outcome, Plan
from gopub.rollout.plan import make_plan
from gopub.rollout.tables import asked_of_edges
from gopub.spec.loader import parse_spec
from gopub.traffic.protocol import agree_on_tables
from gopub.traffic.shapes import SCHEMA, TYPES, version_of
from tests.support.rollout_world import RELEASE, SPEC, World, drive, in_memory
from tests.unit.traffic_lua import varied


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)


HEADER, TREE = "route: {header: {x-canary: 'true'}}", "route: {path: /shop}"
VERSION: int = SCHEMA["version"]


class Ruled(World):
    """The same whose first step chooses by what its rule says."""

    def __init__(self, path: Path, route: str) -> None:
        path.mkdir()
        super().__init__(path)
        steps = f"    rollout: {{steps: [{{hosts: 1, {route}}}, {{hosts: 100%}}]}}\n"
        line = SPEC.replace("traffic: edge}", "traffic: edge,\n" + steps.strip() + "}")
        self.environment = parse_spec(line, "gopub.yaml").spec.environments["lab"]

    def made(self) -> Plan:
        facts = {name: machine.facts() for name, machine in self.machines.items()}
        return asyncio.run(make_plan("r1", RELEASE, "lab", self.ports(), facts))

    def plan(self) -> Plan:
        route = self.made_by_newer.steps[0].route
        first, *more = super().plan().steps
        return replace(super().plan(), steps=(replace(first, route=route), *more))

    made_by_newer: Plan


@pytest.mark.parametrize(
    ("route", "understands", "fine"),
    [(TREE, 1, False), (TREE, VERSION, True), (TREE, 0, True), (HEADER, 1, True), ("weight: 25%", 1, True)],
)
def test_what_an_older_edge_would_refuse_is_not_planned(tmp_path: Path, route: str, understands: int, fine: bool):
    world = Ruled(tmp_path / "w", route)
    world.router.understands = understands  # type: ignore[union-attr] - one edge
    if fine:
        assert asked_of_edges(world.made()) == (VERSION if route is TREE else 1)
        return
    with pytest.raises(GopubError, match=r"GP512 edge: an edge of an older gopub, which does not know `route`"):
        world.made()
    assert world.router.tables == []  # type: ignore[union-attr]


@pytest.mark.parametrize("understands", [1, VERSION])
def test_an_edge_that_became_older_since_the_plan_stops_it_before_a_host_is_touched(tmp_path: Path, understands: int):
    world = Ruled(tmp_path / "w", TREE)
    world.made_by_newer = world.made()
    world.router.understands = understands  # type: ignore[union-attr]
    run = drive(world, "good")
    assert run.state.closed is not None
    if understands == VERSION:
        assert run.state.closed.outcome is Outcome.PROMOTED, "control"
        return
    assert run.state.closed.outcome is Outcome.WITHDRAWN
    assert "GP512 edge: an edge of an older gopub" in run.state.closed.reason
    assert not run.state.touched
    assert world.router.tables == []  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "version"),
    [
        ({}, 1),
        ({"rules": [{"id": "r", "header": {"name": "x", "value": "y"}}]}, 1),
        ({"rules": [{"id": "r", "when": {"header": {"name": "x", "value": "y"}}}]}, 2),
        ({"canary.tag": "x"}, 2),
        ({"warmup": 3, "latency": "total", "endpoints": [{"match": "/"}]}, 1),
    ],
)
def test_a_table_asks_for_the_version_that_knows_what_it_says(change: dict[str, Any], version: int):
    assert version_of(varied(change)) == version


def test_no_type_is_of_a_version_that_is_still_to_come():
    assert max(int(kind.get("since", 1)) for kind in TYPES.values()) == VERSION


def test_who_is_older_is_named():
    agree_on_tables(2, {"e1": 0, "e2": 2, "e3": 3})
    with pytest.raises(GopubError, match="GP512 e1, e3: "):
        agree_on_tables(2, {"e3": 1, "e2": 2, "e1": 1})
