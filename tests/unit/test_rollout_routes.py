"""A step that a rule feeds: what gopub.yaml says, what the plan says of it, and what the edges are told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gopub.plan.capacity import WantedStep, steps
from gopub.plan.routes import AHEAD, condition_of
from gopub.plan.steps import spec_steps
from gopub.spec.loader import parse_spec
from gopub.spec.route import text_of
from gopub.traffic import Request, explain
from gopub.traffic.conditions import Within, walk
from gopub.units import Amount
from tests.support.rollout_world import World, in_memory, reach

SPEC = """schema: gopub/v1
app: orders
build: {{test: false}}
environments:
  prod:
    inventory: lab
    hosts: role=app
    health: {{http: "http://127.0.0.1:80/"}}
    admit: {{key: release.pub}}
    traffic: {{router: edge, trust: [10.0.0.0/8]}}
    rollout: {{steps: [{{hosts: 1, route: {route}}}]}}
"""
SHOP = '{path: /shop, tags: "user-v2 && !beta", window: "mon-fri 09:00-18:00 Asia/Shanghai", percent: 50%}'
MONDAY = datetime(2026, 11, 30, 0, 0, tzinfo=UTC).timestamp()


def planned(route: str):
    environment = parse_spec(SPEC.format(route=route), "gopub.yaml").spec.environments["prod"]
    (step,) = spec_steps(environment, ["a", "b", "c", "d"], 0)
    return step


def test_what_stands_side_by_side_must_all_hold():
    step = planned(SHOP)
    assert step.says == (
        "1 host, path /shop and window mon-fri 09:00-18:00 Asia/Shanghai and of the first 50 %"
        " and (tag user-v2 and not tag beta)"
    )
    assert (step.weight, step.chosen, step.header) == (0, True, None)


def test_one_header_is_what_it_ever_was():
    """Edges and drivers of older versions know it."""
    step = planned('{header: {x-canary: "true"}}')
    assert (step.header, step.route, step.says) == (("x-canary", "true"), "", "1 host, header x-canary: true")


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ('{header: {x-a: "1", x-b: "2"}}', "header x-a is '1' and header x-b is '2'"),
        ("{cookie: {lane: beta}}", "cookie lane is 'beta'"),
        ("{query: {lane: beta}, method: [GET, HEAD]}", "query lane is 'beta' and method GET or HEAD"),
        ("{any: [{client: [10.0.0.0/8]}, {not: {path: /a}}]}", "client in 10.0.0.0/8 or not path /a"),
        ("{all: [{any: [{path: /a}, {path: /b}]}, {percent: 5%}]}", "(path /a or path /b) and of the first 5 %"),
    ],
)
def test_it_is_told_in_words(route: str, says: str):
    assert planned(route).traffic == says


def test_steps_of_different_routes_are_different_states():
    one, two = (text_of(parse_spec(SPEC.format(route=route), "x").spec.environments["prod"].rollout.steps[0].route)
                for route in ("{path: /a}", "{path: /b}"))  # fmt: skip
    wanted = [WantedStep(hosts=Amount(1), route=route) for route in (one, two, two)]
    assert len(steps(wanted, ["a", "b"], 1.5)) == 2


def test_a_window_becomes_spans_from_now_on():
    asked = condition_of(planned(SHOP).route, MONDAY)
    (within,) = [one for one in walk(asked) if isinstance(one, Within)]
    hours = [((begin - MONDAY) / 3600, (end - MONDAY) / 3600) for begin, end in within.spans]
    assert hours[:2] == [(1.0, 10.0), (25.0, 34.0)], "nine in Shanghai is one in UTC"
    assert len(hours) == 7, "Monday to Friday, Monday and Tuesday"
    assert all(end <= AHEAD / 3600 for _, end in hours)


def test_the_edges_get_the_rule_and_send_by_it(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = World(tmp_path)
    plan = world.plan()
    first = replace(plan.steps[0], weight=0, route=planned('{path: /shop, tags: "user-v2 && !beta"}').route)
    made = replace(plan, steps=(first, *plan.steps[1:]), trust=("10.0.0.0/8",))
    world.plan = lambda: made
    run = world.driver()
    asyncio.run(reach(run))
    table = world.router.table
    assert table is not None
    assert [rule.id for rule in table.rules] == ["step-1"]

    def rule(tags: str, path: str = "/shop/1") -> str:
        return explain(table, Request("10.0.0.1", {"x-gray-tag": tags}, run.ports.clock.now(), path=path)).rule

    assert rule("user-v2") == "step-1"
    assert rule("user-v2,beta") == rule("") == rule("user-v2", "/cart") == "default", "control"
    assert json.loads(made.steps[0].route)
