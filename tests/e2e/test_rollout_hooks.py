"""What a release does to its data, once per rollout: on the lab, by the flow, with the way back."""

from __future__ import annotations

from gopub.journal.hooks import HookEnded
from tests.e2e.story import STORY, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY


async def test_hooks_run_once_on_one_host_and_an_abort_takes_back_what_ran(ground: Ground):
    story = await a_fleet(ground, "hooked").given_a_stable_one()
    first = story.known().stable
    before = await ran(ground, story.names)
    order = story.begin(ground.engine, story.other)
    await story.reached()
    asked = await story.gopub("abort", story.known().active, "--reason", "not today")
    assert asked.code == 0, asked.complaint
    story.take(await ground.engine.answer(order))
    await story.then_it_was("withdrawn")
    assert story.known().stable == first
    more = {name: lines[len(before[name]) :] for name, lines in (await ran(ground, story.names)).items()}
    assert sorted(map(tuple, more.values())) == [(), ("expand", "un-expand")], "on one host, and taken back there"

    order = story.begin(ground.engine, story.other)
    await story.reached()
    assert (await story.gopub("promote", "last")).code == 0
    story.take(await ground.engine.answer(order))
    await story.then_it_was("promoted").then_every_host_runs(story.other)
    assert [(one.name, one.ok, one.undoes) for one in story.events(HookEnded)] == [
        ("expand", True, False), ("contract", True, False)
    ]  # fmt: skip
    told = (await story.gopub("explain", "last")).text
    assert "the hook expand ended well" in told


async def ran(ground: Ground, names: list[str]) -> dict[str, list[str]]:
    script = "cat /var/lib/private/hello-hooked/ran 2>/dev/null || true"
    return {name: str((await ground.lab.exec(name, ("sh", "-c", script))).text).split() for name in names}
