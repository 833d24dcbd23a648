"""A bake is observed time: dead drivers, clocks that jump, silent hosts, metrics and users do not count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from gopub.clock import ManualClock
from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.health.samples import CounterSnapshot, NoData, ProcessHealth, RawSeries, RuntimeSnapshot
from gopub.journal import events as ev
from gopub.journal.state import State, fold
from gopub.journal.streams import stream_of
from gopub.judge.observed import BakeClock
from gopub.judge.verdict import Policy
from gopub.plan.model import Outcome
from gopub.rollout.bake import bake
from gopub.rollout.judging import Judging
from gopub.rollout.run import Run
from gopub.wiring.ports import Ports
from tests.support.chance import seed as chance_seed
from tests.support.rollout_world import NEW, OLD, Killed, World, in_memory, reach

CONFIG = JudgeConfig("hello", "prod", "r-1", "c" * 12, "5" * 12)
T0 = 1_700_000_000.0
WELL = (ProcessHealth("h1"),)
GONE = (ProcessHealth("h1"), ProcessHealth("h2", reachable=False))
JUDGED, HEALTH = Policy(), Policy(health_only=True)


def run_clock(
    times: Iterable[float], *, bake: float = 60.0, look: float = 2.0, policy: Policy = JUDGED, approved: bool = False,
    requests: Sequence[float] | None = None, dark: tuple[float, float] = (1e9, 1e9),
    silent: tuple[float, float] = (1e9, 1e9),
) -> BakeClock:  # fmt: skip
    """Looks at these seconds; requests on the canary at those (None: all the time)."""
    clock = BakeClock(bake, look)
    for at in times:
        had = [second for second in requests if second <= at] if requests is not None else [at]
        idle = at - had[-1] if had else None
        down = "down" if dark[0] <= at < dark[1] else None
        hosts = GONE if silent[0] <= at < silent[1] else WELL
        clock = clock.looked(Observation(CONFIG, 0, T0 + at, True, hosts, down, idle=idle), policy, approved=approved)
    return clock


def every(start: float, end: float, pace: float = 2.0) -> list[float]:
    return [start + pace * n for n in range(int((end - start) / pace) + 1)]


def test_time_in_which_somebody_looks_counts():
    assert run_clock(every(0, 60)).seconds == 60


def test_traffic_that_stops_stops_the_clock():
    """The case: `bake: 60s`, and nobody comes after 12 s."""
    clock = run_clock(every(0, 300), requests=every(0, 12, 0.5))
    assert clock.seconds == 12 + 20
    assert clock.stands == "no request on the canary for 4m48s"


def test_a_short_bake_is_not_stopped_by_the_time_between_two_scrapes():
    assert run_clock(every(0, 6, 0.5), bake=2.0, look=0.5, requests=every(0, 6, 2)).seconds == 6


def test_traffic_that_comes_back_moves_it_on():
    clock = run_clock(every(0, 300), requests=[*every(0, 12), *every(200, 300)])
    assert clock.seconds == 12 + 20 + 102, "the last look before 200 is at 198"
    assert clock.stands == ""


@pytest.mark.parametrize(("pace", "seconds"), [(19, 60), (20, 60), (30, 40), (60, 20)])
def test_a_quiet_service_bakes_longer_not_for_ever(pace, seconds):
    seen = run_clock(every(0, 60), requests=every(0, 60, pace)).seconds
    assert seen == pytest.approx(seconds, abs=4)
    assert run_clock(every(0, 600), requests=every(0, 600, pace)).seconds >= 60


@pytest.mark.parametrize("more", [{"approved": True}, {"policy": Policy(first=True)}, {"policy": HEALTH}], ids=str)
def test_where_requests_do_not_decide_they_are_not_waited_for(more):
    assert run_clock(every(0, 60), requests=(), **more).seconds == 60


def test_metrics_that_are_down_stop_the_clock_unless_soon_back():
    long = run_clock(every(0, 120), dark=(20, 100))
    assert long.seconds == 18 + 20 + 22, "as far as the last counts reach, and from their return on"
    assert run_clock(every(0, 60), dark=(20, 30)).seconds == 60
    assert "no counts for" in run_clock(every(0, 90), dark=(20, 100)).stands


@pytest.mark.parametrize("policy", [JUDGED, HEALTH], ids=["judged", "health-only"])
def test_a_host_that_does_not_answer_was_not_observed(policy):
    clock = run_clock(every(0, 60), silent=(20, 40), policy=policy)
    assert clock.seconds == 40
    assert run_clock(every(0, 60), silent=(20, 100), policy=policy).stands == "no answer from h2"


@pytest.mark.parametrize("jump", [100, 3600, 86400])
def test_a_gap_is_not_observed(jump):
    """A driver that was stopped, a machine that was suspended, a clock that was set forward."""
    clock = run_clock([*every(0, 20), *every(20 + jump, 30 + jump)])
    assert clock.seconds == 30


def test_a_clock_that_is_set_back_takes_nothing_away_and_gives_nothing():
    assert run_clock([*every(1000, 1020), *every(0, 10)]).seconds == 30


def test_a_gap_of_a_few_looks_is_still_observed():
    assert run_clock([0, 2, 4, 12, 14]).seconds == 14
    assert run_clock([0, 2, 4, 24, 26]).seconds == 6


def test_looks_at_a_large_fleet_are_slow_but_all_of_them():
    assert run_clock(every(0, 240, 24), bake=200.0).seconds >= 200
    assert run_clock(every(0, 400, 40)).seconds == 0, "beyond the canary's term no pace explains a gap"


def test_whatever_happens_the_clock_never_runs_ahead():
    """Drawn looks, requests, gaps and steps of the clock: never more than the time that really passed."""
    seed = chance_seed()
    chance = random.Random(seed)
    for _ in range(300):
        bake, real, shown, clock = chance.uniform(1, 600), 0.0, 0.0, BakeClock(60.0, 2.0)
        clock = replace(clock, bake=bake)
        for _ in range(chance.randrange(1, 80)):
            step = chance.choice([0.2, 1, 2, 3, 9, 29])
            real, shown = real + step, shown + step
            if chance.random() < 0.1:
                shown += chance.choice([-5000, -3, 300, 86400])
            idle = chance.choice([None, 0.0, 10.0, 1000.0])
            down = chance.choice([None, None, "down"])
            hosts = chance.choice([WELL, WELL, GONE])
            before = clock.seconds
            clock = clock.looked(Observation(CONFIG, 0, T0 + shown, True, hosts, down, idle=idle), JUDGED)
            assert before <= clock.seconds <= real


def test_control_a_clock_of_the_wall_would_count_all_of_it():
    """What was wrong: the time from the first look to the last."""
    looks = [*every(0, 6), *every(106, 110)]
    assert looks[-1] - looks[0] == 110
    assert run_clock(looks).seconds == 10


# --- in the hands of drivers


class Served:
    """A metric source: both tracks are served all the time, or until ``until``; nothing ever fails."""

    def __init__(self, clock: ManualClock, until: float = 1e12) -> None:
        self.clock, self.until, self.began = clock, until, clock.now()

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        served = 20.0 * (min(at, self.until) - self.began + 1000)
        rows = [
            RawSeries("e1", release[:12], host, {"2xx": served}, {0.1: served, 1.0: served, float("inf"): served})
            for release, host in ((NEW, "app1"), (OLD, "app2"), (OLD, "app3"))
        ]
        return CounterSnapshot(at, tuple(rows), {"e1": at}, 1.0)

    async def history(self, app: str, env: str, releases: Sequence[str], at: float) -> NoData:
        return NoData("none kept")

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot:
        return RuntimeSnapshot(at)


class Dying(ManualClock):
    """Kills whoever sleeps on it after so many seconds."""

    def __init__(self, start: float, life: float) -> None:
        super().__init__(start)
        self.end = start + life

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if self.now() >= self.end:
            raise Killed


BAKE = 25.0


@pytest.fixture
def world(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    made = World(tmp_path)
    plan = made.plan()
    steps = (replace(plan.steps[0], bake=BAKE), *plan.steps[1:])
    made.plan = lambda: replace(plan, steps=steps, deadline=86400.0)
    return made


def driver(world: World, metrics: Served, life: float) -> Run:
    """A driver that dies so many seconds from now."""
    world.clock = Dying(metrics.clock.now(), life)
    metrics.clock = world.clock
    run = world.driver()
    ports: Ports = replace(run.ports, metrics=metrics, clock=world.clock)
    run.ports = ports
    return run


async def bake_until_it_dies(world: World, metrics: Served, life: float) -> Run:
    run = driver(world, metrics, life)
    if 0 not in run.state.reached:
        await reach(run)
    with suppress(Killed):
        await bake(run, run.plan.steps[0], Judging(run))
    return run


def told(world: World) -> State:
    return fold(entry.event for entry in world.journal.read(stream_of("r1")))


def test_a_driver_that_died_observed_nothing_afterwards(world):
    """The case: killed after 7 s, taken over 100 s later; 18 s more are needed, and what was not written."""
    metrics = Served(world.clock)
    asyncio.run(bake_until_it_dies(world, metrics, 7.0))
    seen = told(world).observed[0]
    assert 0 < seen <= 7
    metrics.clock = ManualClock(metrics.clock.now() + 100)
    second = metrics.clock.now()
    run = asyncio.run(bake_until_it_dies(world, metrics, 600.0))
    assert 0 in run.state.passed
    assert run.ports.clock.now() - second >= BAKE - 7
    last = run.state.verdict
    assert last is not None and last.kind == "PROMOTE" and last.observed >= BAKE
    assert f"baked for 25s ({round(last.observed)}s observed)" in last.reason


def test_it_ends_however_often_its_driver_dies(world):
    metrics = Served(world.clock)
    for _ in range(20):
        run = asyncio.run(bake_until_it_dies(world, metrics, 11.0))
        if 0 in run.state.passed:
            break
        metrics.clock = ManualClock(metrics.clock.now() + 300)
    assert 0 in run.state.passed, "what was written counts"


def test_silence_is_held_and_withdrawn_at_the_deadline(world):
    metrics = Served(world.clock)
    metrics.until = metrics.clock.now() + 8
    plan = world.plan()
    world.plan = lambda: replace(plan, deadline=120.0)
    run = asyncio.run(bake_until_it_dies(world, metrics, 500.0))
    assert run.state.passed == frozenset()
    assert run.state.back is not None and run.state.back.outcome is Outcome.WITHDRAWN
    assert "no request on the canary" in run.state.back.reason


def test_the_journal_tells_how_much_was_observed(world):
    metrics = Served(world.clock)
    run = asyncio.run(bake_until_it_dies(world, metrics, 13.0))
    kept = [entry.event for entry in world.journal.read(stream_of("r1")) if isinstance(entry.event, ev.Judged)]
    assert [round(one.observed) for one in kept][-1] >= 13 - 6
    assert "of 25s observed)" in kept[-1].reason
    assert run.state.observed[0] == kept[-1].observed
