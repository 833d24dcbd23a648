"""A plan says what its steps can see, from what the metrics count of stable; nobody who counts nothing is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gopub.health.burn import Spending, Spent
from gopub.health.busiest import Busiest, Route
from gopub.health.config import BudgetTarget
from gopub.health.samples import CounterSnapshot, NoData, RawSeries, RuntimeSnapshot
from gopub.plan.model import Plan
from gopub.release.environments import effective
from gopub.rollout.plan import make_plan
from gopub.spec.decides import joined
from gopub.spec.models import Environment, Judge
from tests.releases import SPEC, a_plan, prepare
from tests.support.rollout_world import World, in_memory


class Counts:
    """Metrics of a stable release that has ``rps`` requests per second, of which one in a hundred fails."""

    def __init__(self, rps: float, interval: float = 1.0, reason: str = "") -> None:
        self.rps, self.interval, self.reason = rps, interval, reason

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        del app, env
        if self.reason:
            return NoData(self.reason)
        bad = self.rps * at / 100
        counts = {"2xx": self.rps * at - bad, "5xx": bad}
        rows = tuple(RawSeries("e1", name, "app1", counts, {0.1: counts["2xx"]}) for name in releases)
        return CounterSnapshot(at, rows, {"e1": at}, self.interval)

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        found = [await self.counters(app, env, releases, at - ago) for ago in (600, 300, 0)]
        known = tuple(one for one in found if isinstance(one, CounterSnapshot))
        return known or NoData(self.reason)

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        del app, env, hosts
        return RuntimeSnapshot(at)


@pytest.fixture
def plan_with(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = World(tmp_path)
    source = a_plan(tmp_path, spec=f"{SPEC}    traffic: edge\n")
    release = asyncio.run(prepare(tmp_path, source)).release
    project = source.spec.environments["lab"]
    carried = Environment.model_validate(effective(project))
    world.environment, _ = joined(carried, project)
    facts = {name: machine.facts() for name, machine in world.machines.items()}
    ports = world.ports()
    ports = replace(ports, hosts=tuple(replace(host, variables={"port": 8080}) for host in ports.hosts))

    def made(metrics: Counts | None, judge: Judge | None = None) -> Plan:
        environment = ports.environment.model_copy(update={"judge": judge} if judge else {})
        given = replace(ports, metrics=metrics, environment=environment)
        return asyncio.run(make_plan("r2", release, "lab", given, facts))

    return made


@pytest.fixture
def notes_with(plan_with):
    def notes(metrics: Counts | None, judge: Judge | None = None) -> list[str]:
        made = plan_with(metrics, judge)
        growth = [note for note in made.notes if "whether memory grows" in note]
        assert len(growth) == (made.mode == "judged"), "its steps bake for less than that takes; without a judge none"
        told = [note for note in made.notes if note not in growth]
        return [note for note in told if note.startswith(("step ", "no step", "what the steps", "after its first"))]

    return notes


def test_the_plan_tells_what_its_steps_see_of_stables_traffic(notes_with):
    found = notes_with(Counts(200.0))
    assert found[0].startswith("step 1 (")
    assert "of 200 requests/s for" in found[0]
    assert "finds errors that rise from 1% to" in found[0]
    assert found[0] != notes_with(Counts(20.0))[0]
    assert notes_with(Counts(20.0))[-1].startswith("no step can be relied on to find 2% of errors")


class Unable(Counts):
    """One whose edges turn out to be of a version that cannot be asked."""

    async def unable(self, app: str, env: str) -> str:
        return f"the edges of {app}/{env} are old"


def test_a_plan_whose_edges_cannot_be_asked_is_not_judged(notes_with):
    assert notes_with(Counts(200.0)) != []
    assert notes_with(Unable(200.0)) == []


class Spends(Counts):
    """One that also tells how much of the error budget was spent."""

    def __init__(self, errors: float | None) -> None:
        super().__init__(200.0)
        self.errors = errors

    async def spending(
        self, app: str, env: str, stable: str | None, wanted: BudgetTarget, due: Sequence[float], at: float
    ) -> Spending | NoData:
        del app, env, stable, wanted
        if self.errors is None:
            return NoData("Prometheus is down")
        return Spending(at, tuple(Spent(span, 100_000.0, self.errors) for span in due))


@pytest.mark.parametrize(
    ("errors", "says"),
    [(500.0, None), (950.0, "5 % of the error budget are left"), (None, "the error budget cannot be read (Prometheus")],
)
def test_the_plan_says_that_the_error_budget_would_hold_it(notes_with, errors, says):
    brakes = Judge.model_validate({"budget": "20%"})
    found = [note for note in notes_with(Spends(errors), brakes) if note.startswith("after its first step")]
    assert len(found) == (says is not None)
    assert says is None or found[0].startswith(f"after its first step this rollout would hold: {says}")
    assert not any(note.startswith("after") for note in notes_with(Spends(950.0))), "where nobody asks for it"


def test_counts_that_come_seldom_are_too_few_windows(notes_with):
    seldom = notes_with(Counts(200.0, interval=3600.0))
    assert seldom[0].endswith("is too short to find any rise of the errors")
    assert seldom[-1].startswith("no step can be relied on")


def test_what_nobody_counts_is_not_told_and_why_it_is_not_known_is(notes_with):
    assert notes_with(None) == []
    assert notes_with(Counts(200.0, reason="Prometheus is down")) == [
        "what the steps can see is not known: Prometheus is down"
    ]
    assert notes_with(Counts(0.0)) == []


class Routed(Counts):
    """One that knows by which routes the service is asked."""

    def __init__(self, found: Busiest | NoData) -> None:
        super().__init__(200.0)
        self.found, self.asked = found, []

    async def busiest(self, app: str, env: str, hosts: Sequence[str], at: float) -> Busiest | NoData:
        self.asked.append((app, env, *hosts))
        return self.found


BUSY = Busiest((Route("GET", "/orders/{id}", 700.0), Route("POST", "/orders", 200.0), Route("GET", "/x", 1.0)), 1000.0)


def test_auto_is_fixed_in_the_plan_as_the_endpoints_that_stable_serves_most(plan_with):
    judge = Judge.model_validate({"endpoints": "auto", "slo": {"latency_p95": "200ms", "error_rate": "1%"}})
    metrics = Routed(BUSY)
    made = plan_with(metrics, judge)
    assert [(one.match, one.slow) for one in made.endpoints] == [("POST /orders", 0.2), ("GET /orders/*", 0.2)]
    assert [one[:2] for one in metrics.asked] == [("hello", "lab")]
    assert set(metrics.asked[0][2:]) == {host.name for host in made.hosts}
    said = "judge.endpoints: auto chose by stable's requests of the last hour: POST /orders (20%), GET /orders/* (70%)"
    assert said in made.notes
    assert any("POST /orders, GET /orders/* is not known: no edge has counted that" in note for note in made.notes)
    declared = plan_with(Routed(BUSY), Judge.model_validate({"endpoints": ["GET /orders/**", "auto"]}))
    assert [one.match for one in declared.endpoints] == ["GET /orders/**", "POST /orders"]
    control = plan_with(Routed(BUSY), Judge.model_validate({"endpoints": ["/a"]}))
    assert [one.match for one in control.endpoints] == ["/a"]


def test_where_nobody_knows_a_route_auto_is_none_and_the_plan_says_why(plan_with):
    judge = Judge.model_validate({"endpoints": ["/a", "auto"]})
    for metrics, why in (
        (Routed(NoData("it is down")), "it is down"),
        (Counts(200.0), "nobody who is asked knows the service's routes"),
        (Routed(Busiest((), 0.0)), "no route of the last hour has 1% of the requests"),
    ):
        made = plan_with(metrics, judge)
        assert [one.match for one in made.endpoints] == ["/a"]
        assert f"judge.endpoints: auto chose none: {why}" in made.notes
