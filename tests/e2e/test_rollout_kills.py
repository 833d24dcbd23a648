"""A driver is killed from outside, before and after journal appends and at random moments; then `recover`.

Each time every host is whole, and journal, hosts and edges agree in the end. `make test` kills a few times,
`make soak` many (GOPUB_KILLS). The seed is printed; GOPUB_SEED repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass

import pytest

from gopub.usecases.recover import orphans
from tests.e2e.story import PAIR, STORY, Story, a_fleet
from tests.e2e.story_ground import Driver, Ground, until
from tests.support.chance import seed

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = [*STORY, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("GOPUB_KILLS") or 4)
LEASE = 3.0
BAD = {"error_rate": 0.5, "after_requests": 10}
APPENDS = 25
"""About as many as a rollout of this env writes; one that ends before its fatal append is checked all the same."""


@dataclass(frozen=True, slots=True)
class Death:
    """When a driver dies: at its ``at``-th append, or so many seconds after it began."""

    bad: bool
    at: int = 0
    after: bool = False
    seconds: float = 0.0


def deaths() -> list[Death]:
    """The first ones are those that every run has; the others are drawn."""
    chance = random.Random(seed())
    drawn = [Death(chance.random() < 0.5, at=chance.randrange(1, APPENDS), after=chance.random() < 0.5)
             if chance.random() < 0.6 else Death(chance.random() < 0.5, seconds=chance.uniform(0.5, 14.0))
             for _ in range(KILLS)]  # fmt: skip
    early = Death(bad=False, at=chance.randrange(1, 4), after=True)
    going_back = Death(bad=True, at=chance.randrange(17, APPENDS), after=chance.random() < 0.5)
    random_moment = Death(bad=False, seconds=chance.uniform(2.0, 9.0))
    return [early, going_back, random_moment, *drawn][:KILLS]


@pytest.fixture
async def mortal(ground: Ground) -> Story:
    story = a_fleet(ground, "mortal")
    return await story.given_a_stable_one().given_releases("2.0.0", **BAD)


async def test_killed_at_any_moment_recover_leaves_everything_whole(ground: Ground, mortal: Story):
    spare = ground.driver()
    for death in deaths():
        driver, spare = spare, ground.driver()  # the next one warms up meanwhile
        await die_and_recover(mortal, driver, death)
    spare.kill()


async def die_and_recover(story: Story, driver: Driver, death: Death) -> None:
    before = story.known().stable_version
    other = "2.0.0" if death.bad else PAIR[before]
    story.allow(other)
    async with story.traffic(80):
        where = await kill(story, driver, other, death)
        seen = await story.whole({before, other})
        print(f"{death}: {before} → {other}, killed {where}; {[one.current[:12] for one in seen.values()]}")
        await recover(story)
    after = story.known().stable_version
    assert after in ({before} if death.bad else {before, other})
    await story.whole({after})
    await story.agreed()
    assert story.counts.lost == 0, story.counts.lost_by
    assert death.bad or dict(story.counts.classes) == {"2xx": story.counts.sent}


async def kill(story: Story, driver: Driver, version: str, death: Death) -> str:
    die = {"at": death.at, "after": death.after} if death.at else {}
    order = story.begin(driver, version, die=die, lease=LEASE)

    async def due() -> str:
        over = "after its end" if driver.answered(order) else ""
        return driver.stands() or over

    if death.at:
        where: str = await until(due, str(death), driver.log)
    else:
        where = f"after {death.seconds:.1f}s"
        await asyncio.sleep(death.seconds)
    driver.kill()
    return where


async def recover(story: Story) -> None:
    """Once the lease is over, somebody runs `recover`."""

    async def nobody_drives() -> bool:
        active = story.known().active
        return not active or bool(orphans(story.journal()))

    await until(nobody_drives, "the dead driver's lease ends")
    await story.run("recover")
    assert not story.error, f"{story.error}\n{story.ground.engine.log()}"


async def test_a_canary_that_nobody_guards_gets_no_traffic(ground: Ground, mortal: Story):
    """The dead man's switch: the driver is killed while its canary serves, and nobody recovers."""
    other = mortal.other
    canary = mortal.release_id(other)[:12]
    driver = ground.driver()
    async with mortal.traffic(80) as traffic:
        mortal.begin(driver, other, lease=LEASE, term=3.0)

        async def serves() -> bool:
            return bool(traffic.counts.release(canary).answered > 20)

        await until(serves, "the canary serves", driver.log)
        driver.kill()

        async def quiet() -> bool:
            before = traffic.counts.release(canary).answered
            await asyncio.sleep(1.5)
            return bool(traffic.counts.release(canary).answered == before)

        await until(quiet, "the edge sends stable only")
        assert mortal.known().active, "nobody recovered"
        assert (await mortal.table())["weight"] > 0, "and no driver put another table"
        await recover(mortal)
    await mortal.agreed()
    assert mortal.counts.lost == 0
    assert dict(mortal.counts.classes) == {"2xx": mortal.counts.sent}
