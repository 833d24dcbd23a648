"""Endpoints that a team declares reach the edges with every table, and the judge in the same order."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.plan.steps import plan_rollout
from gopub.rollout.judging import config_of
from gopub.rollout.tables import pools_of, settled_table
from gopub.traffic import Endpoint, encode
from tests.releases import SPEC, a_plan, prepare
from tests.support.rollout_world import World, in_memory, reach

DECLARED = (Endpoint("/checkout", 0.2), Endpoint("POST /orders/*", 0.2))


@pytest.fixture
def world(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    made = World(tmp_path)
    plan = replace(made.plan(), endpoints=DECLARED)
    made.plan = lambda: plan
    return made


def test_every_table_of_a_rollout_declares_them_and_the_judge_reads_them_in_their_order(world):
    run = world.driver()
    asyncio.run(reach(run))
    table = world.router.table
    assert table.canary is not None
    assert table.endpoints == DECLARED
    assert [one["match"] for one in json.loads(encode(table))["endpoints"]] == ["/checkout", "POST /orders/*"]
    settled = settled_table(run.plan, pools_of(run.state), "stable", run.plan.release.release)
    assert settled.endpoints == DECLARED, "so that stable's are known when the next rollout begins"
    assert config_of(run).endpoints == ("/checkout", "POST /orders/*")


def test_control_without_a_declaration_edges_and_judge_hear_of_none(world):
    plan = replace(world.plan(), endpoints=())
    world.plan = lambda: plan
    run = world.driver()
    asyncio.run(reach(run))
    assert world.router.table.endpoints == config_of(run).endpoints == ()
    assert "endpoints" not in json.loads(encode(world.router.table))


@pytest.mark.parametrize(("p95", "slow"), [("200ms", 0.2), (None, None), ("15m", None)])
def test_what_is_slow_at_an_endpoint_is_what_the_slo_says(tmp_path, p95, slow):
    slo = f", slo: {{latency_p95: {p95}}}" if p95 else ""
    text = f"{SPEC}    traffic: edge\n    judge: {{endpoints: [POST /orders/*, /checkout]{slo}}}\n"
    source = a_plan(tmp_path, spec=text)
    release = asyncio.run(prepare(tmp_path, source)).release
    facts = {"app1": HostFacts("app1", "id-app1", arch="amd64")}
    made = plan_rollout(
        "r1", release, "lab", source.spec.environments["lab"], [Host("app1", "198.18.0.1")], facts,
        dict.fromkeys(facts, "2" * 64), None, counted=True,
    )  # fmt: skip
    assert made.endpoints == (Endpoint("POST /orders/*", slow), Endpoint("/checkout", slow))
