"""A change of the inventory alone, as the command line meets it: shown, judged, and brought in or back."""

from __future__ import annotations

import asyncio
import json
import random

from gopub.journal import events as ev
from gopub.plan.model import Outcome
from gopub.process import Result
from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground
from tests.e2e.test_rollout_kills import LEASE, Death, kill, recover
from tests.support.chance import seed

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY


async def on_each(story: Story, script: str) -> list[str]:
    words = ("sh", "-c", script)
    asked = (story.ground.lab.exec(name, words) for name in story.names)
    return [one.text.strip() for one in await asyncio.gather(*asked)]


def said(story: Story, *lines: str) -> None:
    """Let the inventory say these of the service."""
    file = story.ground.repository("hello") / "hosts-hot.ini"
    kept = file.read_text().split("# hot")[0]
    file.write_text("\n".join((f"{kept}# hot", "[all:vars]", *lines, "")))


async def deployed(story: Story) -> Result:
    async with story.traffic(80):
        return await story.gopub("deploy", "--config-only", "-e", "hot")


async def test_a_change_of_the_inventory_is_shown_judged_and_brought_in_or_back_without_a_restart(
    ground: Ground,
) -> None:
    story = await a_fleet(ground, "hot").given_stable("1.0.0")
    who = f"systemctl show {story.env.upstream} -p MainPID --value"
    pids = await on_each(story, who)
    said(story, "greeting=Welcome")
    told = await story.gopub("diff", "hot")
    assert told.code == 0, told.complaint
    assert "+greeting: Welcome" in told.text
    assert "way: config" in told.text
    shown = json.loads((await story.gopub("diff", "hot", "--json")).text)
    assert [(one["changes"], one["way"]) for one in shown["hosts"]] == [(True, "config")] * len(story.names)
    done = await deployed(story)
    assert done.code == 0, done.complaint
    judged_beside_stable(story)
    ask = f"curl -s http://127.0.0.1:{story.env.port}/"
    assert all("Welcome" in text for text in await on_each(story, ask))
    assert await on_each(story, who) == pids, "nothing was restarted"
    assert "none of" in (await story.gopub("diff", "hot")).text
    await story.agreed()

    said(story, 'greeting="[broken"')
    bad = await deployed(story)
    assert bad.code == 4, (bad.code, bad.text, bad.complaint)
    assert "GP556" in bad.complaint + bad.text

    for mistake in ("error_rate=0.3", "extra_latency_ms=400"):
        said(story, "greeting=Goodbye", mistake)
        bad = await deployed(story)
        assert bad.code == 4, (bad.code, bad.text, bad.complaint)
        assert story.state().back.rule in {1, 3, 4}, story.state().back
        assert not story.events(ev.HostFailed), "every health check was well"
        judged_beside_stable(story)
    assert all("Welcome" in text for text in await on_each(story, ask))
    assert await on_each(story, who) == pids
    assert story.known().stable_version == "1.0.0"
    assert not story.known().quarantine
    await story.agreed()


def judged_beside_stable(story: Story) -> None:
    """Edges counted new and old files apart, each of them."""
    plan = story.state().plan
    assert plan is not None
    assert plan.stable is not None
    assert (plan.mode, plan.stable.release) == ("judged", plan.release.release)
    last = story.events(ev.Judged)[-1].record["record"]["observation"]
    assert last["config"]["canary"] == plan.revision[:12] != plan.release.short == last["config"]["stable"]
    assert last["rollout_totals"]["canary_requests"] > 0
    assert last["rollout_totals"]["stable_requests"] > 0


async def test_a_driver_that_is_killed_while_files_are_taken_in_leaves_what_recover_ends_whole(ground: Ground) -> None:
    story = await a_fleet(ground, "hot").given_stable("1.0.0")
    who = f"systemctl show {story.env.upstream} -p MainPID --value"
    ask = f"curl -s http://127.0.0.1:{story.env.port}/"
    said(story)
    async with story.traffic(80):
        await story.gopub("deploy", "--config-only", "-e", "hot")
    greeting = "Hello"
    pids, chance = await on_each(story, who), random.Random(seed())
    drawn = Death(bad=False, at=chance.randrange(4, 16), after=chance.random() < 0.5)
    timed = Death(bad=False, seconds=chance.uniform(4.0, 10.0))
    drivers = [ground.driver(), ground.driver()]  # the second one warms up meanwhile
    for word, death, driver in zip(("Welcome", "Goodbye"), (drawn, timed), drivers, strict=True):
        said(story, f"greeting={word}")
        before = len(story.journal().streams("rollout/"))
        async with story.traffic(80):
            where = await kill(story, driver, "1.0.0", death)
            assert all(word in text or greeting in text for text in await on_each(story, ask)), where
            await recover(story)
        answers = await on_each(story, ask)
        began = len(story.journal().streams("rollout/")) > before
        closed = story.state().closed if began else None
        promoted = closed is not None and closed.outcome is Outcome.PROMOTED
        print(f"{death}: killed {where}, lease {LEASE}; promoted: {promoted}; {answers}")
        greeting = word if promoted else greeting
        assert all(greeting in text for text in answers), (where, answers)
        intended = [name for one in story.events(ev.SwitchIntended) if one.track == "canary" for name in one.hosts]
        assert len(intended) <= 2 * len(story.names), "no host was told for each driver that came by"
        assert await on_each(story, who) == pids, f"{where}: nothing was restarted"
        assert story.known().stable_version == "1.0.0"
        assert not story.known().active
        assert not story.known().quarantine
        await story.agreed()
        if promoted:
            assert "none of" in (await story.gopub("diff", "hot")).text
