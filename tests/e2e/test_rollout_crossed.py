"""A config that only the old binary refuses: a gate on every host where both serve at once, and nowhere else."""

from __future__ import annotations

from gopub.journal import events as ev
from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
ONLY_NEW = "only for the new one"


async def serving(story: Story) -> list[str]:
    """The units that run, their processes and the file that each has, host by host."""
    look = f"""
        for unit in $(systemctl list-units --plain --no-legend --state=active '{story.env.upstream}*.service' |
            cut -d' ' -f1); do echo $unit $(systemctl show $unit -p MainPID --value); done
        readlink /opt/{story.env.upstream}/current; cat /opt/{story.env.upstream}/current/config.yaml"""
    return [(await story.ground.lab.exec(name, ("sh", "-c", look))).text for name in story.names]


async def test_where_both_serve_it_stops_the_rollout_and_every_host_keeps_file_and_process(ground: Ground) -> None:
    story = await a_fleet(ground, "crossed").given_stable("3.0.0").given_releases("3.1.0", config=ONLY_NEW)
    before = await serving(story)
    assert all("good" in one for one in before), before
    await story.when_releasing("3.1.0")
    failed = story.events(ev.HostFailed)
    assert failed, (story.result, story.error)
    assert {one.code for one in failed} == {"GP560"}
    assert "old binary with new files: failed: " in failed[0].message
    assert f'3.0.0 does not know "{ONLY_NEW}' in failed[0].message
    assert not story.events(ev.SwitchIntended), "no host was switched"
    await story.then_it_was("rolled back")
    assert await serving(story) == before
    await story.then_every_host_runs("3.0.0")


async def test_control_where_only_one_serves_at_a_time_the_same_release_comes_in(ground: Ground) -> None:
    story = await a_fleet(ground, "apart").given_stable("3.0.0").given_releases("3.1.0", config=ONLY_NEW)
    await story.when_releasing("3.1.0", hurry=True)
    await story.then_it_was("promoted").then_every_host_runs("3.1.0")
    assert all(ONLY_NEW in one for one in await serving(story))


async def test_control_files_that_both_take_come_in_side_by_side(ground: Ground) -> None:
    story = await a_fleet(ground, "crossed").given_stable("3.0.0").given_releases("3.2.0")
    await story.when_releasing("3.2.0", hurry=True)
    await story.then_it_was("promoted").then_every_host_runs("3.2.0")
