"""How long stable's own starts took: from the looks of the rollout that promoted it to the warm-up of the next one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gopub.canon import Json
from gopub.fleet.facts import HostFacts, ReleaseDir
from gopub.fleet.host import Host
from gopub.health.config import SloTarget
from gopub.health.starts import AGES, LEAST, MOST, Starts, warmup_of
from gopub.health.wire import to_json
from gopub.journal import events as ev
from gopub.journal.reading import starts_of_stable
from gopub.judge.verdict import Kind
from gopub.plan.model import Outcome, Plan, ReleaseRef
from gopub.plan.steps import plan_rollout
from gopub.release.environments import effective
from gopub.rollout.judging import config_of
from gopub.rollout.run import Run
from gopub.rollout.seat import start
from gopub.rollout.wish import Wish
from gopub.spec.models import Environment
from gopub.views.plan import plan_lines
from tests.bench.judge_simulator import draw
from tests.releases import SPEC, a_plan, prepare
from tests.support.chance import seed as chance_seed
from tests.support.rollout_world import NEW, OLD, RELEASE, World, chart, in_memory, reach
from tests.unit.judge_world import Bake

SLO = SloTarget(0.2, 0.01)


@pytest.fixture(scope="module")
def seed() -> int:
    return chance_seed()


def seen(rng: random.Random, young: float, old: float, until: float, each: int = 200) -> Starts:
    """Hosts of which a share of ``young`` is slow up to that age, and ``old`` after it."""
    found = Starts()
    for age in (*AGES, AGES[-1] + 1):
        found = found.plus(age, each, draw(rng, each, young if age <= until else old))
    return found


@pytest.mark.parametrize("until", AGES)
def test_the_warmup_ends_where_hosts_are_as_quick_as_they_will_be(seed, until):
    for n in range(20):
        assert warmup_of(seen(random.Random(seed + n), 0.5, 0.01, until)) == until


def test_a_release_that_is_always_slow_lengthens_nothing(seed):
    for n in range(20):
        assert warmup_of(seen(random.Random(seed + n), 0.6, 0.6, 1e9)) == LEAST
    assert warmup_of(seen(random.Random(seed), 1.0, 1.0, 1e9)) == LEAST


def test_a_hiccup_of_hosts_that_are_warm_lengthens_nothing(seed):
    start = seen(random.Random(seed), 0.5, 0.0, 8.0)
    assert warmup_of(start.plus(45.0, 100, 100)) == 8.0
    assert warmup_of(start.plus(9.0, 100, 100)) == 10.0, "control: right after they were slow it counts"


def test_whatever_was_seen_the_warmup_is_bounded(seed):
    rng = random.Random(seed)
    for _ in range(500):
        timed = [rng.choice((0, 1, 50, 10**9)) for _ in range(len(AGES) + 1)]
        slow = [rng.randint(0, most) for most in timed]
        found = warmup_of(Starts(tuple(timed), tuple(slow)))
        assert found is None or LEAST <= found <= MOST


@pytest.mark.parametrize(
    "bad",
    [
        None,
        Starts(),
        Starts((100,) * 3, (0,) * 3),
        Starts((100,) * len(AGES) + (49,), (0,) * (len(AGES) + 1)),  # nobody was seen to be warm
        Starts((12,) * 4 + (1000,) * (len(AGES) - 3), (0,) * (len(AGES) + 1)),  # nor these to be cold
        Starts((100,) * (len(AGES) + 1), (101,) + (0,) * len(AGES)),
        Starts((100,) * (len(AGES) + 1), (-1,) + (0,) * len(AGES)),
    ],
)
def test_of_too_little_or_of_nonsense_nothing_is_said(bad):
    assert warmup_of(bad) is None


@pytest.mark.parametrize("apart", [None, 20.0])
async def test_what_a_rollout_saw_of_its_canary_says_how_long_the_next_one_warms_up(seed, apart):
    """13 seconds of cold caches are over by the look at 14, whether the edges count them apart or not."""
    for n in range(5):
        world = Bake(seed + n, extra=0.3, slow_until=13.0, warmup=20.0, apart=apart, errors=0.0, slo=SLO, bake=90.0)
        verdict, _ = await world.verdict()
        assert verdict.kind is Kind.PROMOTE, verdict
        assert warmup_of(world.starts_seen()) == 14.0


async def test_control_a_canary_that_was_never_slow(seed):
    world = Bake(seed, warmup=20.0, errors=0.0, slo=SLO, bake=90.0)
    await world.verdict()
    assert warmup_of(world.starts_seen()) == LEAST


async def test_the_verdict_says_where_the_warmup_is_from(seed):
    world = Bake(seed, extra=0.3, slow_until=10.0, warmup=14.0, warmup_seen=True, apart=14.0, errors=0.0, slo=SLO,
                 starts=(140, 60))  # fmt: skip
    verdict, _ = await world.verdict()
    assert verdict.reason.endswith("stable's own starts: 60 slow of 200; warming 14s, as stable's own starts took")


FOURTEEN = seen(random.Random(7), 0.5, 0.0, 14.0)


@pytest.fixture
def plan(tmp_path):
    source = a_plan(tmp_path, spec=f"{SPEC}    traffic: edge\n")
    release = asyncio.run(prepare(tmp_path, source)).release
    folder = ReleaseDir(OLD, "1" * 64, "9" * 64)
    known = {"app1": HostFacts("app1", "id-app1", arch="amd64", current=folder, releases=(f"{OLD[:12]}-{'1' * 12}",))}

    def made(starts: Starts | None, stable: ReleaseRef | None, **traffic: str) -> Plan:
        data = effective(source.spec.environments["lab"])
        data["traffic"] = {**data["traffic"], **traffic}  # as a release carries it
        return plan_rollout("r1", release, "lab", Environment.model_validate(data), [Host("app1", "198.18.0.1")], known,
                            dict.fromkeys(known, "2" * 64), stable, counted=True, starts=starts)  # fmt: skip

    return made


STABLE = ReleaseRef(OLD, "1.0.0")
TOLD = "warming 14s, as stable's own starts took"


def test_a_plan_warms_up_for_as_long_as_stables_own_starts_took(plan):
    made = plan(FOURTEEN, STABLE)
    assert (made.warmup, made.warmup_seen) == (14.0, True)
    assert f"  note: {TOLD}" in plan_lines(made)


def test_what_gopub_yaml_says_stands_and_without_starts_it_is_the_default(plan):
    for made, wanted in ((plan(FOURTEEN, STABLE, warmup="3s"), 3.0), (plan(FOURTEEN, STABLE, warmup="0s"), 0.0),
                         (plan(FOURTEEN, STABLE, warmup="10s"), 10.0), (plan(None, STABLE), 10.0)):  # fmt: skip
        assert (made.warmup, made.warmup_seen) == (wanted, False)
        assert TOLD not in made.notes


def test_starts_of_a_release_that_no_host_runs_say_nothing_of_those_that_run(plan):
    made = plan(FOURTEEN, ReleaseRef("f" * 64, "9"))
    assert (made.warmup, made.warmup_seen) == (10.0, False)


def rolled_out(run: Run, observer: Json, verdict: str = "good") -> None:
    """To its end, with one look that the observer remembered so."""

    async def whole() -> None:
        before = starts_of_stable(run.ports.journal, "hello", "lab")
        await reach(run)
        run.record(ev.Judged(0, "HOLD", 7, "", {"observer": observer}))
        assert starts_of_stable(run.ports.journal, "hello", "lab") == before, "it is not over"
        await chart(run, verdict)

    asyncio.run(whole())


def test_only_the_starts_of_what_was_promoted_count(tmp_path, monkeypatch):
    in_memory(monkeypatch)
    world = World(tmp_path)
    assert starts_of_stable(world.journal, "hello", "lab") is None
    rolled_out(world.driver(), {"starts": to_json(FOURTEEN)})
    assert starts_of_stable(world.journal, "hello", "lab") == FOURTEEN
    slow = seen(random.Random(7), 1.0, 0.0, 60.0)
    bad = ReleaseRef("d" * 64, "3")
    facts = {name: machine.facts() for name, machine in world.machines.items()}
    run = start(
        world.ports(),
        Wish(app="hello", env="lab", release=bad.release, version=bad.version, rollout="r2"),
        facts,
        world.router.table.epoch,
    )
    run.release = RELEASE
    planned = tuple(replace(host, before=world.new) for host in world.plan().hosts)
    run.record(ev.Admitted(statements=world.stated(run.seat.epoch, bad.release)))
    plan = replace(world.plan(), rollout="r2", release=bad, stable=ReleaseRef(NEW, "2"), hosts=planned)
    run.record(ev.Planned(plan))
    rolled_out(run, {"starts": to_json(slow)}, "bad")
    assert run.state.closed is not None and run.state.closed.outcome is Outcome.ROLLED_BACK
    assert warmup_of(slow) == 60.0
    assert starts_of_stable(world.journal, "hello", "lab") == FOURTEEN


@pytest.mark.parametrize("observer", [None, {}, {"starts": None}, {"starts": {"timed": "x"}}])
def test_rollouts_of_an_older_gopub_say_nothing(tmp_path, monkeypatch, observer):
    in_memory(monkeypatch)
    world = World(tmp_path)
    rolled_out(world.driver(), observer)
    assert starts_of_stable(world.journal, "hello", "lab") is None


def test_whoever_goes_on_with_the_rollout_uses_the_same_number(tmp_path, monkeypatch):
    """It is in the journal with the plan: what is seen meanwhile, and of another release, changes nothing."""
    in_memory(monkeypatch)
    world = World(tmp_path)
    told = replace(world.plan(), warmup=14.0, warmup_seen=True)
    monkeypatch.setattr(world, "plan", lambda: told)
    first = world.driver()
    asyncio.run(reach(first))
    first.record(ev.Judged(0, "HOLD", 7, "", {"observer": {"starts": to_json(seen(random.Random(7), 1.0, 0.0, 60.0))}}))
    second = world.driver()
    config = config_of(second)
    assert second is not first
    assert (second.plan.warmup, config.warmup, config.warmup_seen) == (14.0, 14.0, True)
