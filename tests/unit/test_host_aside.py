"""Failures of a host that died or does not answer are the host's: never the release's, and never its users' to bear.

Counters are made, looks come every two seconds, faults are drawn; the seed is printed.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from gopub.health.aside import WAITED_FOR
from gopub.health.config import JudgeConfig, SloTarget
from gopub.health.observation import Observation
from gopub.health.observe import Observer
from gopub.health.samples import CounterSnapshot, NoData, ProcessHealth, RawSeries, RuntimeSnapshot
from gopub.judge.replay import judge, record_from_json, record_to_json, replay
from gopub.judge.verdict import History, Kind, Policy, Verdict
from tests.support.chance import seed as chance_seed

CANARY, STABLE = "c" * 12, "5" * 12
T0, LOOK, RPS = 1_700_000_000.0, 2.0, 20
CONFIG = JudgeConfig("hello", "prod", "r-1", CANARY, STABLE, SloTarget(None, 0.01))


@dataclass
class Host:
    """One host: how often its process fails, and from when to when it is dead, or cut off from the driver only."""

    name: str
    release: str
    fails: Callable[[float], float] = lambda _age: 0.0
    """Share of requests answered with 5xx, by age."""
    dead: Sequence[tuple[float, float]] = ()
    cut_off: Sequence[tuple[float, float]] = ()
    classes: dict[str, float] = field(default_factory=lambda: {"2xx": 0.0, "5xx": 0.0, "connect": 0.0})

    def is_dead(self, age: float) -> bool:
        return any(start <= age < end for start, end in self.dead)

    def serve(self, rng: random.Random, start: float) -> None:
        for n in range(int(RPS * LOOK)):
            age = start + n / RPS
            kind = "connect" if self.is_dead(age) else "5xx" if rng.random() < self.fails(age) else "2xx"
            self.classes[kind] += 1

    def health(self, age: float) -> ProcessHealth:
        silent = self.is_dead(age) or any(start <= age < end for start, end in self.cut_off)
        boot = f"boot-{sum(end <= age for _, end in self.dead)}"
        return ProcessHealth(self.name, reachable=False) if silent else ProcessHealth(self.name, boot=boot)


@dataclass
class Fleet:
    """Its edge's counters, satisfying MetricSource, and the judge's loop over it."""

    hosts: Sequence[Host]
    bake: float = 60.0
    deadline: float = 240.0
    config: JudgeConfig = CONFIG
    seed: int = 1
    ages: list[float] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot:
        rows = []
        for host in self.hosts:
            total = sum(host.classes.values())
            rows.append(RawSeries("e1", host.release, host.name, dict(host.classes), {0.1: total, math.inf: total}))
        return CounterSnapshot(at, tuple(rows), {"e1": at}, 1.0)

    async def history(self, app: str, env: str, releases: Sequence[str], at: float) -> NoData:
        return NoData("none kept")

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot:
        return RuntimeSnapshot(at)

    async def verdict(self, observer: Observer | None = None, since: float = 0.0) -> tuple[Verdict, float]:
        """What ended it, and when; the last HOLD where nothing did."""
        rng, policy = random.Random(self.seed), Policy.of(self.config)
        if observer is None:
            observer = Observer(self, None, self.config)
        await observer.start(T0 + since)
        past, age = History(T0, T0, self.bake, T0 + self.deadline), since
        verdict = None
        while age < self.deadline + LOOK:
            for host in self.hosts:
                host.serve(rng, age)
            age += LOOK
            by_name = {host.name: host for host in self.hosts}
            others = [by_name[name].health(age) for name in observer.suspects()]
            ours = [host.health(age) for host in self.hosts if host.release == CANARY]
            seen = await observer.look(T0 + age, ours, 0, others=others)
            self.seen.append(seen)
            past = replace(past, now=T0 + age)
            record = judge(seen, policy, past)
            verdict = record.verdict
            assert replay(record_from_json(json.loads(json.dumps(record_to_json(record))))).same
            if verdict.kind not in (Kind.HOLD, Kind.WATCH):
                break
            past = past.after(verdict)
        assert verdict is not None
        return verdict, age


def fleet(*canary: Host, stable: Sequence[Host] = (), **more) -> Fleet:
    others = stable or [Host(f"s{n}", STABLE) for n in range(3)]
    return Fleet((*canary, *others), **more)


def always(share: float) -> Callable[[float], float]:
    return lambda _age: share


# --- a canary host that loses its power


async def test_a_plug_that_is_pulled_blames_nobody():
    """The case: the canary's only host is gone in its bake, and every request to it fails."""
    world = fleet(Host("h1", CANARY, dead=[(20, 1e9)]))
    verdict, age = await world.verdict()
    assert (verdict.kind, verdict.rule) == (Kind.WITHDRAW, 2), verdict
    assert "h1 has not answered for 3" in verdict.reason and "set aside as the hosts' own: h1" in verdict.reason
    assert 50 <= age <= 60, "its users are not left there for long"
    assert all(seen.evidence.log_e < math.log(100) for seen in world.seen)
    assert not any(seen.slo_canary.broken for seen in world.seen), "rule 4 and 5 see none of it either"
    assert world.seen[-1].rollout_totals.canary_errors == 0


async def test_control_the_same_failures_of_a_host_that_answers_convict():
    world = fleet(Host("h1", CANARY, fails=lambda age: float(age >= 20)))
    verdict, age = await world.verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
    assert age <= 28


async def test_a_host_that_comes_back_goes_on_and_what_was_lost_is_told():
    verdict, age = await fleet(Host("h1", CANARY, dead=[(20, 38)])).verdict()
    assert (verdict.kind, age) == (Kind.PROMOTE, 60.0), verdict
    assert "h1 (canary, went down)" in verdict.reason and "errors in" in verdict.reason


async def test_a_boot_between_two_looks_is_seen_by_its_id():
    """It answers at every look; only its boot tells."""
    world = fleet(Host("h1", CANARY, dead=[(20.2, 21.8)]))
    verdict, _ = await world.verdict()
    assert verdict.kind is Kind.PROMOTE, verdict
    assert world.seen[-1].rollout_totals.canary_errors == 0


async def test_control_without_boot_ids_its_failures_are_the_releases():
    host = Host("h1", CANARY, dead=[(20.2, 21.8)])
    host.health = lambda _age: ProcessHealth("h1")
    world = fleet(host)
    await world.verdict()
    assert world.seen[-1].rollout_totals.canary_errors == 32


async def test_a_release_that_brings_its_hosts_down_is_withdrawn():
    hosts = [Host("h1", CANARY, dead=[(10, 16)]), Host("h2", CANARY, dead=[(24, 30)])]
    verdict, age = await fleet(*hosts).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.WITHDRAW, 2), verdict
    assert "every canary host went down" in verdict.reason
    assert age <= 32


async def test_one_host_again_and_again_is_the_same():
    verdict, _ = await fleet(Host("h1", CANARY, dead=[(10, 16), (30, 36)])).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.WITHDRAW, 2), verdict


async def test_hosts_of_both_tracks_that_go_down_are_not_the_release():
    """A rack that loses its power, twice."""
    dead = [(10, 16), (30, 36)]
    stable = [Host(f"s{n}", STABLE, dead=[(4, 6), *dead]) for n in range(3)]
    verdict, _ = await fleet(Host("h1", CANARY, dead=dead), stable=stable, bake=60.0).verdict()
    assert verdict.kind is Kind.PROMOTE, verdict


# --- a host that only the driver cannot reach


async def test_a_short_silence_of_the_driver_loses_nothing():
    """Its failures are counted when it has answered; a window only waits."""
    host = Host("h1", CANARY, fails=lambda age: float(age >= 20), cut_off=[(19, 27)])
    verdict, age = await fleet(host).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
    assert 27 < age <= 30


async def test_who_fails_behind_a_silent_ssh_is_taken_from_its_users_and_not_blamed():
    host = Host("h1", CANARY, fails=lambda age: 0.5 * (age >= 20), cut_off=[(19, 1e9)])
    verdict, age = await fleet(host).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.WITHDRAW, 2), verdict
    assert age <= 54


async def test_who_serves_well_behind_a_silent_ssh_is_held():
    verdict, age = await fleet(Host("h1", CANARY, cut_off=[(19, 1e9)])).verdict()
    assert (verdict.kind, age) == (Kind.WITHDRAW, 240.0), "at the deadline, for want of its word"


# --- several hosts


async def test_one_dead_host_of_four_does_not_hide_what_the_others_do():
    hosts = [Host(f"h{n}", CANARY, fails=always(0.3), dead=[(0, 1e9)] if n == 0 else ()) for n in range(4)]
    verdict, age = await fleet(*hosts).verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
    assert age <= WAITED_FOR + 8


async def test_a_dead_stable_host_hides_nothing_either():
    """Its failures would make stable look bad, and a bad canary look good."""
    stable = [Host("s0", STABLE, dead=[(10, 1e9)]), Host("s1", STABLE), Host("s2", STABLE)]
    world = fleet(Host("h1", CANARY, fails=lambda age: 0.1 * (age >= 30)), stable=stable)
    verdict, age = await world.verdict()
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
    assert age <= 46
    assert "s0 (stable, silent" in verdict.reason
    assert not any(seen.slo_stable and seen.slo_stable.broken for seen in world.seen)


async def test_an_incident_that_both_tracks_share_is_still_folded_together():
    """Attempts that get no answer make stable's counts wait a look; the canary's wait with them."""
    hosts = [Host("h1", CANARY), *(Host(f"s{n}", STABLE) for n in range(3))]
    for host in hosts:
        host.serve = lambda rng, start, host=host: _refuse(host, rng, start)
    world = Fleet(hosts)
    await world.verdict()
    assert all(seen.evidence.log_e < math.log(100) for seen in world.seen)


def _refuse(host: Host, rng: random.Random, start: float) -> None:
    for n in range(int(RPS * LOOK)):
        broken = 20 <= start + n / RPS < 30 and rng.random() < 0.5
        host.classes["connect" if broken else "2xx"] += 1


# --- drawn


@pytest.fixture(scope="module")
def seed() -> int:
    return chance_seed()


async def test_whatever_hosts_die_an_innocent_is_never_rolled_back(seed):
    chance = random.Random(seed)
    for run in range(25):
        made = [Host(f"h{n}", CANARY if n < 3 else STABLE, fails=always(0.002)) for n in range(7)]
        for host in chance.sample(made, chance.randrange(1, 4)):
            start = chance.uniform(0, 60)
            span = (start, start + chance.choice([0.7, 3, 9, 15, 40, 1e9]))
            host.dead, host.cut_off = ([span], ()) if chance.random() < 0.7 else ((), [span])
        verdict, age = await Fleet(made, seed=seed + run).verdict()
        assert verdict.kind is not Kind.ROLLBACK, f"run {run}, {age:g}s: {verdict.reason}"


async def test_a_bad_release_is_convicted_as_soon_as_without_all_this(seed):
    """Hosts that answer make nothing wait: the first look with overwhelming evidence is the one that rolls back."""
    for run in range(10):
        world = fleet(Host("h1", CANARY, fails=always(0.2)), seed=seed + run)
        verdict, age = await world.verdict()
        assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3), verdict
        assert len(world.seen[-1].windows) == 1 and world.seen[-1].windows[0].end == T0 + age


async def test_the_next_driver_knows_who_died():
    world = fleet(Host("h1", CANARY, dead=[(10, 16)]), deadline=20.0)
    observer = Observer(world, None, CONFIG)
    await world.verdict(observer)
    kept = json.loads(json.dumps(observer.state()))
    world.deadline = 90.0
    world.hosts[0].dead = [(10, 16), (30, 36)]
    verdict, _ = await world.verdict(Observer(world, None, CONFIG, kept), since=24.0)
    assert (verdict.kind, verdict.rule) == (Kind.WITHDRAW, 2), verdict
    assert "went down 2 times" in verdict.reason


async def test_a_boot_while_nobody_drove_is_a_death_as_well():
    world = fleet(Host("h1", CANARY), deadline=20.0)
    observer = Observer(world, None, CONFIG)
    await world.verdict(observer)
    kept = json.loads(json.dumps(observer.state()))
    world.deadline, world.hosts[0].dead = 90.0, [(22, 23)]
    await world.verdict(Observer(world, None, CONFIG, kept), since=30.0)
    assert world.seen[-1].aside[0].deaths == 1
