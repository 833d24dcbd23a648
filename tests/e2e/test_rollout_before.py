"""A service that was on hosts before gopub, as the command line meets it: told, adopted, taken over, brought back."""

from __future__ import annotations

import asyncio

from gopub.journal import events as ev
from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY

BY_HAND = """
mkdir -p /opt/{it}/current/bin && cp /bin/sleep /opt/{it}/current/bin/old
printf '[Service]\\nExecStart=/opt/{it}/current/bin/old 1000\\n[Install]\\nWantedBy=multi-user.target\\n' \
    >/etc/systemd/system/{it}.service
systemctl daemon-reload && systemctl enable -q --now {it}
"""
LOOK = "readlink /proc/$(systemctl show {it} -p MainPID --value)/exe; systemctl show {it} -p InvocationID --value"


async def on_each(story: Story, script: str) -> list[str]:
    words = ("sh", "-c", script.format(it=story.env.upstream))
    return [(await story.ground.lab.exec(name, words)).text for name in story.names]


async def test_an_old_service_is_told_adopted_taken_over_and_brought_back(ground: Ground) -> None:
    story = await a_fleet(ground, "old").given_releases("1.0.0")
    await on_each(story, BY_HAND)
    before = await on_each(story, LOOK)
    for words in (("rollout", "1.0.0", "--dry-run"), ("rollout", "1.0.0")):
        told = await story.gopub(*words, "--env", "old")
        assert (told.code, told.complaint.count("GP454")) == (2, 1), told.complaint
        assert f"{', '.join(story.names)}: there already" in told.complaint
        assert "gopub host adopt -e old" in told.complaint
    assert story.journal().streams("rollout/") == [], "no rollout began"
    assert await on_each(story, "ls /opt/{it}") == ["current"] * len(story.names), "nothing was staged"

    asked = await story.gopub("host", "adopt", "-e", "old")
    assert (asked.code, "GP458" in asked.complaint) == (2, True)
    assert f"/opt/{story.env.upstream}/current is moved to" in asked.text
    assert (await story.gopub("host", "adopt", "-e", "old", "--dry-run")).code == 0
    assert (await story.gopub("rollout", "1.0.0", "--env", "old", "--dry-run")).code == 2, "control: looking is no word"
    done = await story.gopub("host", "adopt", "-e", "old", "--yes", "--reason", "ours from now on")
    assert done.code == 0, done.complaint
    assert await on_each(story, LOOK) == before, "it was not touched"

    order = story.begin(ground.engine, "1.0.0")
    await story.reached()
    assert (await story.gopub("abort", "last", "--reason", "not today")).code == 0
    story.take(await ground.engine.answer(order))
    await story.then_it_was("withdrawn")
    assert story.result["owed"] == []
    assert [one.split()[0] for one in await on_each(story, LOOK)] == [one.split()[0] for one in before]
    await story.release("1.0.0", hurry=True)
    await story.then_it_was("promoted").then_every_host_runs("1.0.0")
    kept = [event for event in await asyncio.to_thread(env_events, story) if isinstance(event, ev.HostsAdopted)]
    assert [(event.hosts, event.reason) for event in kept] == [(tuple(story.names), "ours from now on")]


def env_events(story: Story) -> list[ev.Event]:
    return [entry.event for entry in story.journal().read(f"env/{story.env.app}/{story.env.name}")]
