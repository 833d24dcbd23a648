"""Side by side on the lab: a service that knows nothing of gopub and ends at once, switched to and fro under load."""

from __future__ import annotations

import asyncio

from tests.e2e.story import PAIR, STORY, Story, a_fleet
from tests.e2e.story_ground import Ground
from tests.e2e.test_rollout_back import DEAD, journal_down
from tests.e2e.test_rollout_kills import Death, die_and_recover

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
MIX = ("POST /delay/0.5", "GET /get", "POST /post")


async def ports(story: Story) -> set[str]:
    """On which ports the edge reaches the hosts."""
    return {peer["address"].rpartition(":")[2] for peer in (await story.table())["stable"]["peers"]}


async def units(story: Story) -> set[str]:
    """Which units of the instance are active on any host."""
    script = f"systemctl list-units --plain --no-legend --state=active '{story.env.upstream}*' | cut -d' ' -f1"
    said = [await story.ground.lab.exec(name, ("sh", "-c", script)) for name in story.names]
    return {line for one in said for line in one.text.split() if line.endswith(".service")}


async def test_switched_there_and_back_under_load_no_request_is_lost(ground: Ground):
    story = await a_fleet(ground, "beside").given_stable("1.0.0").given_releases("1.1.0")
    for version in ("1.1.0", "1.0.0", "1.1.0"):
        before = await ports(story)
        story.allow(version)
        await story.when_releasing(version, rate=120, mix=MIX, hurry=True)
        await story.then_it_was("promoted").then_every_host_runs(version).then_no_request_was_lost()
        assert await ports(story) == {"18115", "18116"} - before, "each release takes the port that is free"
    async with story.traffic(120, MIX):
        back = await story.gopub("rollback", "--env", "beside", "--reason", "night")
        assert back.code == 0, back.complaint
    await story.then_every_host_runs("1.0.0").then_no_request_was_lost()
    assert len(await units(story)) == 1, "what was taken back does not run on"
    async with story.traffic(120, MIX):
        with journal_down(story):
            forth = await story.gopub("rollback", "--env", "beside", "--to", "1.1.0", "--reason", "night", **DEAD)
            assert forth.code == 0, forth.complaint
            await story.whole({"1.1.0"})
        recovered = await story.gopub("recover", "--env", "beside", **DEAD)
        assert recovered.code == 0, recovered.complaint
    await story.then_every_host_runs("1.1.0").then_no_request_was_lost()
    assert len(await ports(story)) == 1 and len(await units(story)) == 1, "by the kit and the hosts alone"


async def test_whoever_dies_no_request_is_lost_and_one_release_is_left(ground: Ground):
    story = await a_fleet(ground, "beside").given_a_stable_one()
    for at in (9, 12, 15):
        hurrying = asyncio.create_task(story._hurry())
        try:
            await die_and_recover(story, ground.driver(), Death(bad=False, at=at, after=at % 2 == 0))
        finally:
            hurrying.cancel()
            await asyncio.gather(hurrying, return_exceptions=True)
        assert (await ports(story)) <= {"18115", "18116"}
    assert PAIR[story.known().stable_version]
