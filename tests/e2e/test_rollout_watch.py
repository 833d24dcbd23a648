"""A release that is watched after its last step, on real hosts, edges and traffic: brought back, left, or promoted.

Nothing that a way back must not need is there when it begins: the store is away from before the breach on.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from gopub.journal import events as ev
from gopub.journal.transitions import Phase
from gopub.judge.after import Finding
from gopub.lab.faults import unplugged
from gopub.lab.lab import Lab
from gopub.usecases.recover import orphans
from tests.e2e.story import STORY
from tests.e2e.story_ground import Ground, until
from tests.e2e.test_rollout_back import away
from tests.e2e.watch_ground import Watched
from tests.support.rooms import room

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
LEASE = 3.0


def store_of(ground: Ground) -> Path:
    return ground.folder / "state" / "gopub" / "store"


async def on(ground: Ground, env: str = "watched") -> Watched:
    return await Watched(ground, env).given_moody()


async def test_a_release_that_goes_bad_after_its_promotion_is_brought_back_without_a_store(ground: Ground):
    story = await on(ground)
    before, other, driver = story.stable, story.other, ground.engine
    async with story.traffic(80):
        order = story.begin(driver, other)
        rollout = await story.watches()
        await story.whole({other})
        assert (await story.table())["canary"] is None, "it is stable on the edges by now"
        await story.found(lambda one: one.finding == Finding.GOOD, "it is found good")
        with away(store_of(ground)):
            await story.mood(0.5)
            story.take(await driver.answer(order))
    assert (story.result["outcome"], story.result["owed"], story.result["owed_edges"]) == ("rolled back", [], [])
    assert "while the promoted release was watched" in story.result["reason"]
    await story.whole({before})
    await story.agreed()
    known = story.known()
    assert (known.stable_version, known.quarantine) == (before, {story.release_id(other)})
    assert story.state(rollout).watched.finding == Finding.BREACH
    assert story.counts.lost == 0, story.counts.lost_by


async def test_killed_in_the_watch_and_again_on_the_way_back_recover_goes_on(ground: Ground):
    """Each time SIGKILL; from the first one on there is no store either."""
    story = await on(ground)
    before, other, dying = story.stable, story.other, ground.driver()
    async with story.traffic(80):
        story.begin(dying, other, lease=LEASE)
        rollout = await story.watches()
        await story.found(lambda one: one.finding == Finding.GOOD, "it is found good")
        dying.kill()
        with away(store_of(ground)):
            await nobody_drives(story)
            assert story.state(rollout).phase is Phase.WATCHING
            dying = ground.driver()
            dying.order("recover", {"app": "hello", "env": "watched"}, story.settings(), lease=LEASE)
            await until(lambda: driven_by(story, dying.pid), "recover drives it", dying.log)
            await story.mood(0.5)
            await until(lambda: goes_back(story, rollout), "it goes back", dying.log)
            dying.kill()
            assert story.state(rollout).closed is None, "control: it was killed in the middle"
            await nobody_drives(story)
            await story.run("recover")
            assert not story.error, f"{story.error}\n{ground.engine.log()}"
    closed = await story.over(rollout)
    assert (closed.outcome.value, closed.owed, closed.owed_edges) == ("rolled back", (), ())
    await story.whole({before})
    await story.agreed()
    assert story.counts.lost == 0, story.counts.lost_by


async def nobody_drives(story: Watched) -> None:
    async def lapsed() -> bool:
        return bool(orphans(story.journal()))

    await until(lapsed, "the dead driver's lease ends")


async def driven_by(story: Watched, pid: int) -> bool:
    seated = story.journal().seated("hello", "watched")
    return bool(seated and seated[1] and seated[0].holder.endswith(f":{pid}"))


async def goes_back(story: Watched, rollout: str) -> bool:
    return story.state(rollout).back is not None


async def test_another_rollout_ends_the_watch_and_rollback_takes_that_one_back_in_its_own(ground: Ground):
    story = await on(ground)
    before, other, beside = story.stable, story.other, ground.driver()
    async with story.traffic(80):
        order = story.begin(ground.engine, other)
        first = await story.watches()
        again = await story.gopub("rollout", other, "--env", "watched", "--json")
        assert (again.code, json.loads(again.text)["reason"]) == (0, "it is promoted on all hosts, and watched")
        story.begin(beside, before)
        story.take(await ground.engine.answer(order))
        assert story.result["outcome"] == "promoted"
        assert story.state(first).closed.reason == f"the watch was ended by story: {before} is rolled out"
        second = await story.watches()
        assert second != first
        with away(store_of(ground)):
            back = await story.gopub("rollback", "--env", "watched", "--reason", "users complain", "--json")
        assert back.code == 0, back.complaint
        beside.kill()
    assert (await story.over(second)).outcome.value == "rolled back"
    known = story.known()
    assert (known.stable_version, known.quarantine) == (other, {story.release_id(before)})
    await story.whole({other})
    await story.agreed()
    await story.then_no_request_was_lost()


async def test_what_was_as_bad_before_is_left_and_promote_ends_the_watch(ground: Ground):
    story = await on(ground)
    other = story.other
    await story.mood(0.1)
    async with story.traffic(80):
        order = story.begin(ground.engine, other)
        hurrying = story.in_a_hurry()
        rollout = await story.watches()
        hurrying.cancel()
        told = await story.found(lambda one: one.finding == Finding.OUTSIDE, "it burns, and is not the release's")
        assert "it was so before: the release before had" in told.says
        said = await story.gopub("promote", "last", "--reason", "known")
        assert said.code == 0, said.complaint
        story.take(await ground.engine.answer(order))
    assert story.result["outcome"] == "promoted", (story.result, story.error)
    assert story.state(rollout).closed.reason.startswith("the watch was ended by ")
    await story.mood(0)
    await story.whole({other})
    await story.agreed()


async def test_silence_of_edges_hosts_and_the_journal_brings_nothing_back_and_status_says_what_is_known(
    ground: Ground, lab: Lab
):
    story = await on(ground)
    other, driver = story.other, ground.engine
    async with story.traffic(80):
        order = story.begin(driver, other, lease=LEASE)
        rollout = await story.watches()
        await story.found(lambda one: one.finding == Finding.GOOD, "it is found good")
        await its_words(story)
    async with unplugged(lab, lab.edges[0].name):
        await story.found(lambda one: one.finding == Finding.BLIND, "no data")
        for name in story.names:
            async with unplugged(lab, name):
                await still_watched(story, rollout)
    with closing(sqlite3.connect(story.settings()["GOPUB_JOURNAL"])) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        lapsed = float(somebody.execute("SELECT max(lease_until) FROM seats").fetchone()[0])
        await until(lambda: past(lapsed), "the lease is over meanwhile")
        somebody.rollback()
    await until(lambda: driven_by(story, driver.pid), "its driver holds the seat again", driver.log)
    await story.found(lambda one: one.finding == Finding.GOOD, "it is found good again")
    assert (await story.gopub("promote", "last")).code == 0
    story.take(await driver.answer(order))
    assert story.result["outcome"] == "promoted", (story.result, story.error)
    await story.whole({other})
    await story.agreed()


async def its_words(story: Watched) -> None:
    status = (await story.gopub("status", "--env", "watched")).text
    assert "promoted, and watched until " in status, status
    assert " of 10m, good: 0 of " in status, status
    explained = (await story.gopub("explain", "--env", "watched")).text
    assert "watched" in explained, explained


async def still_watched(story: Watched, rollout: str) -> None:
    """For some looks."""
    seen = len(story.looks(rollout))
    await asyncio.sleep(3.0)
    state = story.state(rollout)
    assert (state.phase, state.back) == (Phase.WATCHING, None), (seen, state.watched)


async def past(moment: float) -> bool:
    return time.time() > moment


async def test_a_good_one_ends_its_watch_by_itself_and_one_that_is_only_told_of_is_told_of(
    ground: Ground, tmp_path: Path
):
    with room() as told:
        story = await on_told(ground, tmp_path, told.address)
        async with story.traffic(80):
            story.take(await ground.engine.answer(story.begin(ground.engine, story.other)))
            rollout = story.result["rollout"]
            assert (story.result["outcome"], story.state(rollout).closed.reason) == ("promoted", "")
            assert {one.finding for one in story.looks(rollout)} <= {Finding.GOOD, Finding.QUIET}
            story = await on_told(ground, tmp_path, told.address)
            order = story.begin(ground.engine, story.other)
            await story.watches()
            await story.mood(0.6)
            story.take(await ground.engine.answer(order))
        await story.mood(0)
    assert story.result["outcome"] == "promoted", (story.result, story.error)
    assert "at its end: the error budget burns too fast" in story.state().closed.reason
    kinds = [type(entry.event) for entry in story.entries()]
    assert ev.SwitchIntended not in kinds[kinds.index(ev.WatchBegun) :]
    await story.whole({story.other})
    await story.agreed()
    texts = [post.json["message"] for post in told.came]
    assert sum("watched, and left there: the error budget burns too fast" in text for text in texts) == 1, texts


async def on_told(ground: Ground, folder: Path, address: str) -> Watched:
    """Of the env that only alarms, and tells a room at this address."""
    (folder / "url").write_text(f"json://{address}/room\n")
    line = f"room: {{kind: apprise, url: {{file: {folder / 'url'}}}}}\n"
    connections = folder / "connections.yaml"
    connections.write_text(ground.lab.connections.read_text() + line)
    story = Watched(ground, "alarmed")
    story.more = {"GOPUB_CONNECTIONS": str(connections)}
    return await story.given_moody()
