"""Orders to hosts: what they carry, and how long a driver waits for the answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gopub.fleet.orders import Order, Record
from gopub.fleet.protocol import Payload
from gopub.rollout import hosts
from gopub.rollout.run import Run
from gopub.spec.loader import parse_spec
from tests.support.rollout_world import World

SPEC = """
app: hello
environments:
  lab:
    inventory: hosts.ini
    hosts: role=app
    health: {{http: "http://127.0.0.1:9090/healthz", within: {within}}}
    traffic: {traffic}
"""


@dataclass
class Channel:
    """Answers ok to everything and keeps what it was asked."""

    asked: list[tuple[Order, float]] = field(default_factory=list)

    async def channel(self, _host: object) -> Channel:
        return self

    async def run(self, order: Order, payload: Payload = (), *, timeout: float) -> Record:
        del payload
        self.asked.append((order, timeout))
        return Record(order.host, order.verb, order.epoch, order.token, order.n, ok=True, changed=True)


def told(tmp_path: Path, *, within: str = "30s", traffic: str = "edge", before: bool = True) -> tuple[Run, Channel]:
    world, channel = World(tmp_path), Channel()
    run = world.driver()
    environment = parse_spec(SPEC.format(within=within, traffic=traffic), "gopub.yaml").spec.environments["lab"]
    fleet: Any = channel
    run.ports = replace(run.ports, environment=environment, fleet=fleet)
    if not before:
        planned = tuple(replace(host, before="", before_digest="") for host in run.plan.hosts)
        run.recorder.state = replace(run.state, plan=replace(run.plan, hosts=planned))
    return run, channel


def job_limit(order: Order) -> int:
    """As host.sh computes it."""
    return int(order.arguments["stop_timeout"]) + 60 + 60


@pytest.mark.parametrize(
    ("traffic", "stop"), [("edge", 90), ("{router: edge, drain: 5m}", 310), ("{router: edge, drain: 80s}", 90)]
)
async def test_a_switch_has_the_time_that_the_service_may_take_to_stop(tmp_path: Path, traffic: str, stop: int) -> None:
    run, channel = told(tmp_path, traffic=traffic)
    await hosts.switch(run, "app1")
    await hosts.restore(run, "app1")
    moves = [(order, wait) for order, wait in channel.asked if order.verb in {"switch", "rollback"}]
    assert [order.arguments for order, _ in moves] == [{"stop_timeout": str(stop)}] * 2
    assert all(wait > job_limit(order) for order, wait in moves)


async def test_a_stop_has_that_time_too(tmp_path: Path) -> None:
    run, channel = told(tmp_path, traffic="{router: edge, drain: 5m}", before=False)
    await hosts.restore(run, "app1")
    ((order, wait),) = channel.asked
    assert (order.verb, order.arguments) == ("stop", {"stop_timeout": "310"})
    assert wait > job_limit(order)


@pytest.mark.parametrize("within", ["30s", "15m"])
async def test_a_proof_is_waited_for_longer_than_it_may_take(tmp_path: Path, within: str) -> None:
    run, channel = told(tmp_path, within=within)
    await hosts.switch(run, "app1")
    await hosts.restore(run, "app1")
    proofs = [(order, wait) for order, wait in channel.asked if order.verb == "verify"]
    assert len(proofs) == 2
    assert all(wait > int(order.arguments["within"]) + 2 + 90 + 60 for order, wait in proofs)


async def test_a_proof_is_asked_for_on_both_ports(tmp_path: Path) -> None:
    run, channel = told(tmp_path, traffic="{router: edge, port: 8080}")
    await hosts.switch(run, "app1")
    await hosts.process_health(run, "app1")
    await hosts.restore(run, "app1")
    ports = [
        (order.arguments["port"], order.arguments["traffic_port"])
        for order, _ in channel.asked
        if order.verb in {"verify", "status"}
    ]
    assert ports == [("9090", "8080")] * 3


async def test_without_traffic_there_is_one_port(tmp_path: Path) -> None:
    run, channel = told(tmp_path, traffic="null")
    await hosts.switch(run, "app1")
    assert "traffic_port" not in channel.asked[-1][0].arguments
    assert channel.asked[0][0].arguments == {"stop_timeout": "90"}
