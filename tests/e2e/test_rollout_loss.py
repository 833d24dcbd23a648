"""Zero loss, and that this test can see a loss: a service that does not drain, under slow POSTs never retried."""

from __future__ import annotations

from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
SLOW = ("POST /delay/0.5",)


async def under_slow_posts(ground: Ground, env: str) -> Story:
    story = await a_fleet(ground, env).given_stable("1.0.0").given_releases("1.1.0")
    return await story.when_releasing("1.1.0", rate=40, mix=SLOW, hurry=True)


async def test_a_drained_host_loses_nothing_although_its_service_dies_at_once(ground: Ground):
    story = await under_slow_posts(ground, "polite")
    await story.then_it_was("promoted").then_every_host_runs("1.1.0").then_no_request_was_lost()


async def test_with_drain_switched_off_the_same_rollout_fails_requests(ground: Ground):
    story = await under_slow_posts(ground, "rude")
    failed = story.counts.lost + story.counts.sent - story.counts.classes["2xx"]
    print(f"{failed} of {story.counts.sent} failed: {dict(story.counts.classes)}, lost {story.counts.lost_by}")
    assert failed > 0
