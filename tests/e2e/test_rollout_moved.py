"""A release that listens on another port than the one before: brought in, taken back and brought back under load."""

from __future__ import annotations

from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground
from tests.e2e.test_rollout_back import DEAD, journal_down

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
MIX = ("GET /get", "POST /post")


async def ports(story: Story) -> set[str]:
    """On which ports the edge reaches the hosts."""
    return {peer["address"].rpartition(":")[2] for peer in (await story.table())["stable"]["peers"]}


async def test_no_request_is_lost_there_or_back_for_each_release_is_reached_where_it_listens(ground: Ground) -> None:
    story = await a_fleet(ground, "moved").given_stable("4.0.0").given_releases("4.1.0", port=18135)
    await story.when_releasing("4.1.0", rate=120, mix=MIX, hurry=True)
    await story.then_it_was("promoted").then_every_host_runs("4.1.0").then_no_request_was_lost()
    assert await ports(story) == {"18135"}
    async with story.traffic(120, MIX):
        back = await story.gopub("rollback", "--env", "moved", "--reason", "night")
        assert back.code == 0, back.complaint
    await story.then_every_host_runs("4.0.0").then_no_request_was_lost()
    assert await ports(story) == {"18134"}
    story.allow("4.1.0")
    await story.when_releasing("4.1.0", rate=120, mix=MIX, hurry=True)
    await story.then_it_was("promoted")
    async with story.traffic(120, MIX):
        with journal_down(story):
            back = await story.gopub("rollback", "--env", "moved", "--reason", "night", **DEAD)
            assert back.code == 0, back.complaint
            await story.whole({"4.0.0"})
    assert story.counts.lost == 0, story.counts.lost_by
    assert await ports(story) == {"18134"}
    recovered = await story.gopub("recover", "--env", "moved", **DEAD)
    assert recovered.code == 0, recovered.complaint
    await story.then_every_host_runs("4.0.0")
