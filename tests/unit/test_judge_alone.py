"""A canary without stable traffic beside it: a bad release and an incident of everybody look the same.

From counters to verdict: a first release, the last step, and a step whose users chose themselves.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.health.config import JudgeConfig
from gopub.health.observation import Observation
from gopub.judge.decision import decide
from gopub.judge.verdict import Cause, History, Kind, Policy, Verdict
from tests.unit.test_health_observer import CANARY, CONFIG, STABLE, T0, WELL, World, started

FIRST = replace(CONFIG, stable=None)
BAKE, DEADLINE = 60.0, 3600.0


async def alone(config: JudgeConfig, *, bad: int, looks: int = 40, well: int = 0) -> list[Observation]:
    """The canary has all the traffic, and ``bad`` of its 40 requests in 2 s fail; then ``well`` looks none does."""
    world, observer = await started(config=config)
    for index in range(5 if config.stable else 0):
        world.serve(CANARY, "h1", 40)
        world.serve(STABLE, "h2", 80)
        await observer.look(T0 + 2 * index, WELL, 0)
    seen = []
    for index in range(looks + well):
        failed = bad if index < looks else 0
        world.serve(CANARY, "h1", 40 - failed, failed)
        seen.append(await observer.look(T0 + 100 + 2 * index, WELL, 1))
    return seen


def judged(seen: Observation, *, deadline: float = DEADLINE) -> Verdict:
    return decide(seen, Policy.of(seen.config), History(seen.at, T0 + 98, BAKE, T0 + deadline))


@pytest.mark.parametrize("config", [CONFIG, FIRST], ids=["the last step", "a first release"])
async def test_what_may_fail_everywhere_blames_no_release(config: JudgeConfig) -> None:
    """Half of all answers fail: HOLD with an alert, and in the end WITHDRAW; never ROLLBACK."""
    seen = await alone(config, bad=20)
    found = [judged(one) for one in seen]
    assert {verdict.kind for verdict in found} == {Kind.HOLD}
    assert (found[-1].rule, found[-1].cause, found[-1].alert) == (5, Cause.ALONE, True)
    assert "stable has no traffic beside it, so all may fail alike" in found[-1].reason
    late = judged(seen[-1], deadline=10)
    assert (late.kind, late.rule, late.cause) == (Kind.WITHDRAW, 5, Cause.ALONE)


@pytest.mark.parametrize("config", [CONFIG, FIRST], ids=["the last step", "a first release"])
async def test_control_by_rules_3_it_was_taken_back_and_quarantined(config: JudgeConfig) -> None:
    seen = await alone(replace(config, rules=3), bad=20)
    assert judged(seen[-1]).kind is Kind.ROLLBACK


async def test_once_the_incident_is_over_the_release_goes_on() -> None:
    seen = await alone(CONFIG, bad=20, well=40)
    assert judged(seen[39]).kind is Kind.HOLD
    assert judged(seen[-1]).kind is Kind.PROMOTE


async def test_what_earlier_steps_showed_beside_stable_still_condemns() -> None:
    world, observer = await started()
    for index in range(10):
        world.serve(CANARY, "h1", 20, 20)
        world.serve(STABLE, "h2", 80)
        await observer.look(T0 + 2 * index, WELL, 0)
    world.serve(CANARY, "h1", 2000, 2000)
    verdict = judged(await observer.look(T0 + 60, WELL, 1))
    assert (verdict.kind, verdict.rule) == (Kind.ROLLBACK, 3)


async def by_header(world: World, *, stable: tuple[int, int], config: JudgeConfig = CONFIG) -> Observation:
    """Thirty looks of a step whose users chose themselves; half of the canary's answers fail."""
    world, observer = await started(world, config=config)
    for index in range(30):
        world.serve(CANARY, "h1", 20, 20)
        world.serve(STABLE, "h2", *stable)
        seen = await observer.look(T0 + 100 + 2 * index, WELL, 0, compare=False)
    return seen


async def test_users_who_chose_themselves_need_a_stable_that_is_known_to_keep_the_slo() -> None:
    """One request of stable in 2 s, every one failed: 30 in a minute are too few to call it broken, and no comfort."""
    assert judged(await by_header(World(), stable=(0, 1))).kind is Kind.HOLD
    assert judged(await by_header(World(), stable=(80, 0))).kind is Kind.ROLLBACK, "control: here it does"
    by_rules_3 = await by_header(World(), stable=(0, 1), config=replace(CONFIG, rules=3))
    assert judged(by_rules_3).kind is Kind.ROLLBACK, "control"
