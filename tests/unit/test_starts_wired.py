"""A plan is made with what the journal knows of stable's own starts, and with what the release's gopub.yaml says."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gopub.health.wire import to_json
from gopub.release.environments import effective
from gopub.rollout.plan import make_plan
from gopub.spec.decides import joined
from gopub.spec.models import Environment
from tests.releases import SPEC, a_plan, prepare
from tests.support.rollout_world import World, in_memory
from tests.unit.test_starts import rolled_out, seen


@pytest.mark.parametrize(("verdict", "warmup"), [("good", 14.0), ("bad", 10.0)])
def test_the_next_plan_knows_the_starts_of_what_was_promoted(tmp_path, monkeypatch, verdict, warmup):
    in_memory(monkeypatch)
    world = World(tmp_path)
    rolled_out(world.driver(), {"starts": to_json(seen(random.Random(7), 0.5, 0.0, 14.0))}, verdict)
    assert set(world.running().values()) == {world.new if verdict == "good" else world.old}
    source = a_plan(tmp_path, spec=f"{SPEC}    traffic: edge\n")
    release = asyncio.run(prepare(tmp_path, source)).release
    project = source.spec.environments["lab"]
    carried = Environment.model_validate(effective(project))
    world.environment, _ = joined(carried, project)
    facts = {name: machine.facts() for name, machine in world.machines.items()}
    ports = world.ports()
    ports = replace(ports, hosts=tuple(replace(host, variables={"port": 8080}) for host in ports.hosts))
    made = asyncio.run(make_plan("r2", release, "lab", ports, facts))
    assert (made.warmup, made.warmup_seen) == (warmup, warmup == 14.0)
