"""One host stays on stable to the end, nobody scrapes: what fails in the last step is told from what both share."""

from __future__ import annotations

import json

from gopub.health.observation import Observation
from gopub.journal import events as ev
from gopub.judge.replay import record_from_json
from gopub.lab.traffic import Load, Traffic
from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground, until

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
ENOUGH = 20
"""Failed requests of the canary after which a judge without a comparison would have taken it back."""
LAST = 600
"""Requests after which the bad one fails: a minute of the first step, which ends long before, 18 s of the last."""


def seen(story: Story) -> list[Observation]:
    """What each verdict of the newest rollout rested on."""
    return [record_from_json(one.record["record"]).observation for one in story.events(ev.Judged)]


async def test_without_any_prometheus_the_bad_goes_back_in_the_last_step_and_the_good_goes_on(ground: Ground):
    story = await a_fleet(ground, "kept").given_stable("1.0.0")
    await story.given_releases("3.4.0", error_rate=0.3, after_requests=LAST).given_releases("1.1.0")
    await story.when_releasing("3.4.0").then_it_was("rolled back", 3).then_every_host_runs("1.0.0")
    last = seen(story)[-1]
    assert (last.step, last.evidence.basis) == (1, "stable"), "there is somebody to compare with"
    assert last.step_totals.stable_requests > 100
    assert last.step_totals.stable_errors == 0
    said = (await story.gopub("explain", "--env", "kept")).text
    assert "edges" in said
    await story.when_releasing("1.1.0").then_it_was("promoted").then_every_host_runs("1.1.0").then_no_request_was_lost()


async def test_what_both_share_takes_nothing_back(ground: Ground):
    """Something behind the service fails for some seconds of the last step, for both releases alike."""
    story = await a_fleet(ground, "shared").given_a_stable_one()
    failing = Load(ground.lab.edge_address, f"{story.env.upstream}.lab", rate=40, mix=("GET /status/500",))

    async def holds() -> bool:
        found = [one for one in seen(story) if one.slo_canary.broken and one.slo_stable and one.slo_stable.broken]
        return max((one.rollout_totals.canary_errors for one in found), default=0) > ENOUGH

    order = story.begin(ground.engine, story.other)
    async with story.traffic(40):
        await story.reached()
        async with Traffic(failing):
            await until(holds, "both break the SLO by enough errors")
        story.take(await ground.engine.answer(order))
    await story.then_it_was("promoted").then_every_host_runs(story.other)
    both = seen(story)
    assert {one.kind for one in story.events(ev.Judged)} <= {"HOLD", "WATCH", "PROMOTE"}
    assert max(one.rollout_totals.canary_errors for one in both) > ENOUGH, "control: it failed"
    assert max(one.evidence.e_value for one in both) < 100
    print(json.dumps([one.evidence.e_value for one in both]))
