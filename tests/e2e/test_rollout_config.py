"""A change of the inventory alone, as the command line meets it: shown, brought in without a restart, and refused."""

from __future__ import annotations

import asyncio
import json

from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY


async def on_each(story: Story, script: str) -> list[str]:
    words = ("sh", "-c", script)
    asked = (story.ground.lab.exec(name, words) for name in story.names)
    return [one.text.strip() for one in await asyncio.gather(*asked)]


def greet(story: Story, line: str) -> None:
    """Let the inventory say what the service greets with."""
    file = story.ground.repository("hello") / "hosts-hot.ini"
    kept = file.read_text().split("# hot")[0]
    file.write_text(f"{kept}# hot\n[all:vars]\n{line}\n")


async def test_a_changed_variable_is_shown_brought_in_and_refused_without_a_restart(ground: Ground) -> None:
    story = await a_fleet(ground, "hot").given_stable("1.0.0")
    who = f"systemctl show {story.env.upstream} -p MainPID --value"
    pids = await on_each(story, who)
    greet(story, "greeting=Welcome")
    told = await story.gopub("diff", "hot")
    assert told.code == 0, told.complaint
    assert "+greeting: Welcome" in told.text
    assert "way: config" in told.text
    shown = json.loads((await story.gopub("diff", "hot", "--json")).text)
    assert [(one["changes"], one["way"]) for one in shown["hosts"]] == [(True, "config")] * len(story.names)
    done = await story.gopub("deploy", "--config-only", "-e", "hot")
    assert done.code == 0, done.complaint
    ask = f"curl -s http://127.0.0.1:{story.env.port}/"
    assert all("Welcome" in said for said in await on_each(story, ask))
    assert await on_each(story, who) == pids, "nothing was restarted"
    assert "none of" in (await story.gopub("diff", "hot")).text
    greet(story, 'greeting="[broken"')
    bad = await story.gopub("deploy", "--config-only", "-e", "hot")
    assert bad.code == 4, (bad.code, bad.text, bad.complaint)
    assert "GP556" in bad.complaint + bad.text
    assert all("Welcome" in said for said in await on_each(story, ask))
    assert await on_each(story, who) == pids
    assert story.known().stable_version == "1.0.0"
    assert not story.known().quarantine
