"""A canary host that is cut off in its bake: its users do not pay for it, and the release is not blamed."""

from __future__ import annotations

from gopub.journal import events as ev
from gopub.lab.faults import unplugged
from gopub.lab.lab import Lab
from tests.e2e.story import STORY, a_fleet
from tests.e2e.story_ground import Ground, until

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY


async def test_a_pulled_plug_withdraws_and_quarantines_nothing(ground: Ground, lab: Lab):
    """The canary warms up before; the weight on the edge's disk is that of the step, the peer says since when."""
    story = await a_fleet(ground, "plug").given_a_stable_one()
    driver = ground.engine
    async with story.traffic(80) as traffic:
        order = story.begin(driver, story.other)
        await story.reached()
        table = await story.table()
        assert (table["weight"], table["warmup"]) == (5000, 3.0)
        assert "since" in table["canary"]["peers"][0]

        async def serves() -> bool:
            return bool(traffic.counts.release(story.release_id(story.other)[:12]).answered > 200)

        await until(serves, "the canary serves")
        async with unplugged(lab, story.names[0]):
            story.take(await driver.answer(order))
    await story.then_it_was("withdrawn", 2)
    assert not story.known().quarantine
    verdicts = story.events(ev.Judged)
    assert {one.kind for one in verdicts} <= {"HOLD", "WITHDRAW"}
    assert "set aside as the hosts' own" in verdicts[-1].reason
    assert 0 < verdicts[-1].observed < 600
