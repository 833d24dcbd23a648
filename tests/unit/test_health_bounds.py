"""Edges of different versions of gopub, whose latency buckets have other bounds: no data, said so, and no fault."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gopub.health.counters import disagreement, increments
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, RawSeries
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.judge.verdict import History, Kind, Policy
from tests.unit.test_health_observer import BOUNDS, CANARY, CONFIG, STABLE, T0, World, rollout, started

OTHER = (0.1, 0.2, 2.0)
WHY = (
    "edges measure latency by different bounds (e1 by 3 from 0.05s to 1s; e2 by 3 from 0.1s to 2s):"
    " bring them to one version of gopub"
)


def other(series: RawSeries, edge: str = "e1") -> RawSeries:
    """The same counts by other bounds."""
    bounds = dict(zip((*BOUNDS, math.inf), (*OTHER, math.inf), strict=True))
    return replace(series, edge=edge, cumulative={bounds[le]: n for le, n in series.cumulative.items()})


@dataclass
class Changing(World):
    """Which edges answer, and which of them is the other version: e1 and e2 see the same."""

    versions: str = "old"

    def snapshot(self, at: float) -> CounterSnapshot:
        found = super().snapshot(at)
        old, new = found.series, tuple(other(series) for series in found.series)
        second = tuple(other(series, "e2") for series in found.series)
        series = {"old": old, "new": new, "both": old + second}[self.versions]
        return replace(found, series=series, edges={series.edge: at for series in series})


async def test_edges_of_two_versions_are_no_data_and_say_why():
    world, observer = await started(Changing())
    assert (await rollout(world, observer, 5))[-1].no_data is None
    world.versions = "both"
    look = (await rollout(world, observer, 1, start=5))[-1]
    assert look.no_data == WHY
    record = judge(look, Policy.of(CONFIG), History(look.at, T0, 60, T0 + 3600))
    assert (record.verdict.kind, record.verdict.rule) == (Kind.HOLD, 2)
    assert WHY in record.verdict.reason
    again = record_from_json(record_to_json(record))
    assert replay(again).same, replay(again).differences
    # Once they agree the counts of the time between are there, too.
    world.versions = "old"
    look = (await rollout(world, observer, 1, start=6))[-1]
    assert (look.no_data, look.step_totals.canary_requests) == (None, 280)


async def test_edges_that_became_others_are_a_new_start():
    world, observer = await started(Changing())
    await rollout(world, observer, 5, bad=4)
    world.versions = "new"
    first, *later = await rollout(world, observer, 5, start=5)
    changed = "the edges measure latency by other bounds than before: what was counted before is left out"
    assert (first.no_data, first.notes) == (None, (changed,))
    assert first.step_totals.canary_requests == 200
    last = later[-1]
    assert (last.no_data, last.notes) == (None, ())
    assert (last.step_totals.canary_requests, last.step_totals.canary_errors) == (360, 20)
    assert last.recent.canary.latency.bounds == OTHER
    for look in (first, *later):
        record = judge(look, Policy.of(CONFIG), History(look.at, T0, 60, T0 + 3600))
        assert replay(record_from_json(record_to_json(record))).same


async def test_what_was_usual_is_learnt_from_the_edges_as_they_are_now():
    world = Changing()
    past = []
    for index, versions in enumerate(("old", "old", "both", "new", "new", "new")):
        world.versions = versions
        for host in ("h2", "h3"):
            world.serve(STABLE, host, 500)
        past.append(world.snapshot(T0 - 3600 + 600 * index))
    world.past, config = tuple(past), replace(CONFIG, slo=replace(CONFIG.slo, latency_p95=None))
    observer = Observer(world, None, config)
    await observer.start(T0)
    reference = observer._state.reference
    assert (reference.latency.bounds, reference.attempts) == (OTHER, 2000)


def test_the_same_bounds_are_added_up():
    """Control: one edge more, or one that measures nothing, is no disagreement."""
    world = World()
    world.serve(CANARY, "h1", 10)
    found = world.snapshot(T0)
    [series] = found.series
    twin, blank = replace(series, edge="e2"), replace(series, edge="e3", cumulative={})
    assert disagreement(replace(found, series=(series, twin, blank))) is None
    assert disagreement(replace(found, series=(series, other(series, "e2")))) == WHY
    grown = replace(series, classes={"2xx": 15.0, "5xx": 0.0})
    assert [gain.classes["2xx"] for gain in increments(found, replace(found, series=(grown,)))] == [5.0]
    assert increments(found, replace(found, series=(other(grown),))) == ()
