"""The main job on the lab: a first release, a good one that is promoted, a bad one that is taken back."""

from __future__ import annotations

from tests.e2e.story import STORY, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY


async def test_a_good_release_is_promoted_and_a_bad_one_taken_back(ground: Ground):
    await (
        a_fleet(ground, "main")
        .given_stable("1.0.0")
        .given_releases("1.1.0")
        .given_releases("2.0.0", error_rate=0.4, after_requests=20, log_errors=True)
        .when_releasing("1.1.0")
        .then_it_was("promoted", 7)
        .then_every_host_runs("1.1.0")
        .then_no_request_was_lost()
        .when_releasing("2.0.0")
        .then_it_was("rolled back", 3, 4)
        .then_every_host_runs("1.1.0")
        .when_releasing("2.0.0")
        .then_it_was_refused("GP721", 3)
    )
