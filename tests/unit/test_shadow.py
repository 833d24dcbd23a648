"""A policy that rides along: what it says is kept, told and replayed, and nothing ever acts on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError
from gopub.health.burn import Spending
from gopub.health.samples import CounterSnapshot, RawSeries
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.journal.streams import stream_of
from gopub.judge.backtest import CENSORED, shadowed, under
from gopub.judge.replay import record_from_json, record_to_json, replay, sealed
from gopub.judge.shadow import lasts, ride
from gopub.judge.verdict import Kind
from gopub.release.environments import effective
from gopub.rollout.bake import bake
from gopub.rollout.judging import Judging
from gopub.spec.loader import parse_spec
from gopub.spec.models import Judge
from gopub.views.explanation import explanation
from tests.support.rollout_world import NEW, OLD, World, in_memory, reach
from tests.unit.test_bake_clock import Served
from tests.unit.test_budget import SPEC
from tests.unit.test_judge_replay import entry
from tests.unit.verdicts import GOOD, drawn

STERN = {"alpha": "20%"}
BLIND = {"min_requests": 100_000_000}
EASY = {"min_requests": 50}
DEAF = {"alpha": 1e-100, "slo": {"error_rate": "10%"}}
"""An acting policy that nothing convinces."""


class Failing(Served):
    """Of the canary's answers one of 13 fails, of stable's one of 50; the SLO allows both."""

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot:
        served = 200.0 * (at - self.began + 1000)
        rows = [
            RawSeries("e1", release[:12], host, {"2xx": served, "5xx": float(round(served / good))},
                      {0.1: served, 1.0: served, float("inf"): served})
            for release, host, good in ((NEW, "app1", 12), (OLD, "app2", 50), (OLD, "app3", 50))
        ]  # fmt: skip
        return CounterSnapshot(at, tuple(rows), {"e1": at}, 1.0)


class Spent(Failing):
    """The same with an error budget of which a tenth is left; it counts how often it is asked."""

    asked = 0

    async def spending(self, app, env, stable, wanted, due, at):
        self.asked += 1
        return Spending(at, told=0.1)


def baked(
    folder,
    shadow,
    judge: dict,
    *,
    metrics: type[Failing] = Failing,
    broken: bool = False,
    alarms: list[str] | None = None,
) -> list[ev.Event]:
    """What the journal has of a bake of 25 s, with 60 s in all, beside which this policy rode."""
    world = World(folder)
    plan = world.plan()
    steps = (replace(plan.steps[0], bake=25.0), *plan.steps[1:])
    world.plan = lambda: replace(plan, steps=steps, deadline=60.0)
    world.clock = ManualClock(world.clock.now())
    run = world.driver()
    part = Judge.model_validate({**judge, "shadow": shadow})
    environment = run.ports.environment.model_copy(update={"judge": part})
    run.ports = replace(run.ports, metrics=metrics(world.clock), clock=world.clock, environment=environment)

    async def whole() -> None:
        await reach(run)
        judging = Judging(run)
        if broken:
            judging._rider = replace(judging._rider, alpha=0.0)  # what no file can say
        await bake(run, run.plan.steps[0], judging)

    asyncio.run(whole())
    if alarms is not None:
        alarms += run.alarms
    return [one.event for one in world.journal.read(stream_of("r1"))]


def without(events: list[ev.Event]) -> list[object]:
    """The events as if none had ridden along; which looks are written besides is its doing, the verdicts are not."""
    kept = []
    for event in events:
        if isinstance(event, ev.Judged):
            kept.append((event.step, event.kind, event.rule))
        else:
            kept.append(type(event))
    return [one for at, one in enumerate(kept) if at == 0 or one != kept[at - 1]]


CASES = {
    "it would go back": (DEAF, STERN, "ROLLBACK", ev.StepPassed),
    "it would hold": (DEAF, {"min_requests": 100_000_000, "alpha": 1e-100}, "HOLD", ev.StepPassed),
    "it would go on": ({**DEAF, **BLIND}, {**EASY, "alpha": 1e-100}, "PROMOTE", ev.GoingBack),
}
"""What the acting policy is, what rides along, what that says in the end, and how the step ends all the same."""


@pytest.mark.parametrize("name", CASES)
def test_it_never_acts(tmp_path, monkeypatch, name):
    in_memory(monkeypatch)
    judge, shadow, says, ends = CASES[name]
    alone, beside = baked(tmp_path / "a", None, judge), baked(tmp_path / "b", shadow, judge)
    assert ends in [type(event) for event in beside]
    assert without(beside) == without(alone)
    said = [one.record["record"]["shadow"]["verdict"]["kind"] for one in beside if isinstance(one, ev.Judged)]
    assert says in said
    assert all(one.record["record"]["shadow"] is None for one in alone if isinstance(one, ev.Judged))


def test_one_that_fails_ends_no_rollout_and_rides_no_further(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    alarms: list[str] = []
    beside = baked(tmp_path / "b", STERN, DEAF, broken=True, alarms=alarms)
    assert without(beside) == without(baked(tmp_path / "a", None, DEAF))
    assert [one for one in alarms if "shadow" in one] == [
        "the shadow policy failed and rides no further: ZeroDivisionError('float division by zero')"
    ]


BUDGET = {"budget": {"freeze_below": "20%", "query": "left"}}


def test_its_own_error_budget_is_read_for_it_alone(tmp_path, monkeypatch):
    """The acting policy asks for none: it goes on, and the shadow would not have grown."""
    in_memory(monkeypatch)
    easy = {**DEAF, **EASY}
    beside = baked(tmp_path / "b", BUDGET, easy, metrics=Spent)
    assert without(beside) == without(baked(tmp_path / "a", None, easy, metrics=Spent))
    judged = [one.record["record"] for one in beside if isinstance(one, ev.Judged)]
    assert judged[-1]["verdict"]["kind"] == "PROMOTE"
    assert judged[-1]["observation"]["spending"] is None
    shadow = judged[-1]["shadow"]
    assert (shadow["verdict"]["kind"], shadow["verdict"]["rule"], shadow["spending"]["told"]) == ("HOLD", 5, 0.1)
    assert "10 % of the error budget" in shadow["verdict"]["reason"]
    assert all(replay(record_from_json(one)).same for one in judged)
    lied = json.loads(json.dumps(judged[-1]))
    lied["shadow"]["spending"]["told"] = 0.9
    assert any(text.startswith("shadow") for text in replay(record_from_json(lied)).differences)


def test_the_acting_policys_own_budget_is_not_read_twice(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    judged = [one for one in baked(tmp_path, STERN, {**DEAF, **BUDGET}, metrics=Spent) if isinstance(one, ev.Judged)]
    assert judged[-1].record["record"]["observation"]["spending"]["told"] == 0.1
    assert all(one.record["record"]["shadow"]["spending"] is None for one in judged)


def test_control_a_record_without_it_keeps_its_digest():
    good = drawn()
    config = under(good.observation.config, Judge.model_validate({}))
    record = sealed(replace(good, shadow=ride(GOOD, good.policy, good.history, config, None, 1)))
    older = record_to_json(record)
    del older["shadow"]["spending"]
    assert not [text for text in replay(record_from_json(older)).differences if text.startswith("digest")]


def test_control_as_the_acting_policy_it_would_go_back(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    events = baked(tmp_path, None, {**DEAF, **STERN})
    kinds = [one.kind for one in events if isinstance(one, ev.Judged)]
    assert kinds[-1] == "ROLLBACK"


async def beside_entry():
    """A kept verdict with a shadow, and what goes with it."""
    kept = (await entry())["record"]["record"]
    record = record_from_json(kept)
    config = under(record.observation.config, Judge.model_validate(STERN))
    return replace(record, shadow=ride(record.observation, record.policy, record.history, config, None, 3))


async def test_it_is_replayed_and_a_change_of_it_is_found():
    record = sealed(await beside_entry())
    kept = record_to_json(record)
    assert replay(record_from_json(kept)).same
    for path, value in ((("verdict", "kind"), "PROMOTE"), (("config", "alpha"), 0.01), (("since",), 5.0)):
        changed = json.loads(json.dumps(kept))
        place = changed["shadow"]
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        assert any(text.startswith("digest") for text in replay(record_from_json(changed)).differences), path
    lied = json.loads(json.dumps(kept))
    lied["shadow"]["verdict"]["rule"] = 1
    assert any(text.startswith("shadow") for text in replay(record_from_json(lied)).differences)


async def test_explain_tells_it_and_says_that_it_acts_on_nothing():
    record = await beside_entry()
    verdict = record.verdict
    kept = {"record": record_to_json(record), "observer": None}
    judged = ev.Judged(0, str(verdict.kind), verdict.rule, verdict.reason, kept)  # type: ignore[arg-type]
    lines = explanation([Entry(1, "s", 1, judged, "a", "t", 1_700_000_000.0, "0" * 64)])
    said = record.shadow.verdict
    assert any(
        line.startswith(f"    shadow policy, which acts on nothing: {said.kind} by rule {said.rule}: ")
        for line in lines
    )
    plain = {"record": record_to_json(replace(record, shadow=None)), "observer": None}
    none = ev.Judged(0, str(verdict.kind), verdict.rule, verdict.reason, plain)  # type: ignore[arg-type]
    assert not any("shadow" in line for line in explanation([Entry(1, "s", 1, none, "a", "t", 1e9, "0" * 64)]))


def test_backtest_says_where_it_would_have_ended():
    good = drawn()
    config = under(good.observation.config, Judge.model_validate({}))
    back = replace(good.verdict, kind=Kind.ROLLBACK, rule=3, reason="E is large")
    holds = replace(good.verdict, kind=Kind.HOLD, rule=7, reason="bakes")
    shadow = ride(GOOD, good.policy, good.history, config, None, 1)
    records = [replace(good, shadow=replace(shadow, verdict=one)) for one in (holds, back)]
    found = shadowed(records, 1, "promoted")
    assert (found.what, found.rule, found.looks) == ("ROLLBACK", 3, 2)
    assert shadowed(records[:1], 1, "promoted").what == CENSORED
    assert shadowed([good], 1).reason == "no shadow policy rode along"


def test_its_watch_is_its_own():
    good = drawn()
    config = under(good.observation.config, Judge.model_validate({}))
    shadow = ride(GOOD, good.policy, good.history, config, None, 1)
    watch = replace(shadow, verdict=replace(shadow.verdict, kind=Kind.WATCH, at=100.0))
    assert lasts(watch) == 100.0
    assert lasts(replace(watch, since=40.0)) == 40.0
    assert lasts(shadow) is None


def test_what_it_leaves_out_is_as_in_judge():
    judge = Judge.model_validate(
        {"alpha": "2%", "slo": {"latency_p95": "100ms"}, "shadow": {"slo": {"error_rate": "3%"}}}
    )
    beside = judge.beside
    assert beside is not None
    assert (beside.alpha, beside.slo.error_rate, beside.slo.latency_p95) == (0.02, 0.03, None)
    assert beside.beside is None
    assert Judge().beside is None


def test_a_release_keeps_what_was_written_and_no_more():
    """A dimension that nobody declared must not become one that was."""
    spec = SPEC.replace("{JUDGE}", "{shadow: {score: {pass: 90}}}")
    environment = parse_spec(spec, "gopub.yaml").spec.environments["lab"]
    assert effective(environment)["judge"]["shadow"] == {"score": {"pass": 90.0}}
    assert "shadow" not in effective(environment.model_copy(update={"judge": Judge()}))["judge"]


def test_one_that_judges_by_nothing_is_refused():
    spec = SPEC.replace("{JUDGE}", "{shadow: {slo: {error_rate: null}}}")
    with pytest.raises(GopubError) as refused:
        parse_spec(spec, "gopub.yaml")
    assert refused.value.code == "GP133"
