"""`gopub rollback` with nothing but hosts, edges and the kit: store, Prefect, Prometheus and the journal are away."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gopub.lab.faults import unplugged, without_prometheus
from gopub.lab.lab import Lab
from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Ground

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY
DEAD = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}


@contextmanager
def away(*paths: Path) -> Iterator[None]:
    """These files are not there as long as the block lasts."""
    for path in paths:
        path.rename(path.with_name(f"{path.name}.away"))
    try:
        yield
    finally:
        for path in paths:
            path.with_name(f"{path.name}.away").rename(path)


@contextmanager
def journal_down(story: Story) -> Iterator[None]:
    """A file that is no database lies where the journal was."""
    journal = Path(story.settings()["GOPUB_JOURNAL"])
    with away(*journal.parent.glob("journal.db*")):
        journal.write_text("the disk ate it\n" * 1000)
        try:
            yield
        finally:
            for left in journal.parent.glob("journal.db*"):
                if not left.name.endswith(".away"):
                    left.unlink()


async def on_the_new_one(ground: Ground) -> Story:
    story = await a_fleet(ground, "patient").given_releases("1.1.0").given_stable("1.0.0")
    return await story.given_stable("1.1.0")


async def test_back_to_the_release_before_and_to_a_named_one_with_everything_else_down(ground: Ground, lab: Lab):
    story = await on_the_new_one(ground)
    assert "signed by key" in (await story.gopub("route", "show", "--env", "patient")).text
    async with ground.believed(), without_prometheus(lab), story.traffic(80):
        with away(ground.folder / "state" / "gopub" / "store"):
            back = await story.gopub("rollback", "--env", "patient", "--reason", "night", **DEAD)
            assert back.code == 0, back.complaint
            await story.then_every_host_runs("1.0.0")
            forth = await story.gopub("rollback", "--env", "patient", "--to", "1.1.0", "--json", **DEAD)
            assert forth.code == 0, forth.complaint
            assert json.loads(forth.text)["owed"] == []
        shown = json.loads((await story.gopub("route", "show", "--env", "patient", "--json")).text)["edges"][0][
            "signing"
        ]
        assert (shown["key"], shown["believed"]) == (ground.table_key.public_key().fingerprint, True), (
            "by the kit alone"
        )
        anew = await story.gopub("route", "sign", "--env", "patient")
        assert anew.code == 0, anew.complaint
    await story.then_every_host_runs("1.1.0").then_no_request_was_lost()
    nowhere = await story.gopub("rollback", "--env", "patient", "--to", "7.7.7", **DEAD)
    assert (nowhere.code, "GP725" in nowhere.complaint) == (2, True)


async def test_with_the_journal_down_a_canary_is_taken_back_and_the_journal_adopts_it(ground: Ground):
    story = await a_fleet(ground, "patient").given_a_stable_one()
    driver = ground.driver()
    async with story.traffic(80):
        story.begin(driver, story.other, lease=3.0)
        await story.reached()
        driver.kill()
        with journal_down(story):
            back = await story.gopub("rollback", "--env", "patient", "--json", **DEAD)
            assert back.code == 0, back.complaint
            assert any("journal is down" in alarm for alarm in json.loads(back.text)["alarms"])
            await story.whole({story.stable})
        assert story.known().active, "the journal knows nothing of it yet"
        recovered = await story.gopub("recover", "--env", "patient", **DEAD)
        assert recovered.code == 0, recovered.complaint
        assert "adopted 1" in recovered.complaint
    await story.then_every_host_runs(story.stable).then_no_request_was_lost()


async def test_a_locked_journal_does_not_keep_a_canary_in_traffic(ground: Ground):
    story = await a_fleet(ground, "patient").given_a_stable_one()
    driver = ground.driver()
    async with story.traffic(80):
        story.begin(driver, story.other, lease=3.0)
        await story.reached()
        driver.kill()
        with closing(sqlite3.connect(story.settings()["GOPUB_JOURNAL"])) as somebody:
            somebody.execute("BEGIN EXCLUSIVE")
            back = await story.gopub("rollback", "--env", "patient", "--json", **DEAD)
            somebody.rollback()
        assert back.code == 0, back.complaint
        assert any("locked" in alarm for alarm in json.loads(back.text)["alarms"])
        await story.whole({story.stable})
        recovered = await story.gopub("recover", "--env", "patient", **DEAD)
        assert (recovered.code, "adopted 1" in recovered.complaint) == (0, True), recovered.complaint
    await story.then_every_host_runs(story.stable).then_no_request_was_lost()


async def owed(ground: Ground, lab: Lab) -> Story:
    """The canary was out of reach while the rollout was taken back: it runs ``other`` still, out of the pool."""
    story = await a_fleet(ground, "patient").given_a_stable_one()
    driver = ground.driver()
    story.begin(driver, story.other, lease=3.0)
    await story.reached()
    driver.kill()
    canary, stable = story.names
    async with unplugged(lab, canary):
        back = await story.gopub("rollback", "--env", "patient", "--json", **DEAD)
        assert back.code == 5, back.complaint
        assert json.loads(back.text)["owed"] == [canary]
        table = await story.table()
        assert [peer["host"] for peer in table["stable"]["peers"]] == [stable]
        assert table["canary"] is None
    story.allow(story.other)
    return story


async def test_a_host_that_is_down_is_owed_and_the_next_rollout_brings_it_in(ground: Ground, lab: Lab):
    story = await owed(ground, lab)
    await story.when_releasing(story.other, hurry=True).then_it_was("promoted").then_every_host_runs(story.other)


async def test_a_host_that_comes_back_on_what_was_taken_back_goes_to_stable_when_the_next_is_aborted(
    ground: Ground, lab: Lab
):
    story = await owed(ground, lab)
    canary = story.names[0]
    seen = await story.hosts()
    assert seen[canary].digest == story.digest(story.other), "control: it runs what was taken back"
    driver = ground.driver()
    async with story.traffic(80):
        order = story.begin(driver, story.other)
        await story.reached()
        aborted = await story.gopub("abort", story.known().active, "--reason", "not tonight")
        assert aborted.code == 0, aborted.complaint
        story.take(await driver.answer(order))
    await story.then_it_was("withdrawn").then_every_host_runs(story.stable).then_no_request_was_lost()
    table = await story.table()
    assert sorted(peer["host"] for peer in table["stable"]["peers"]) == sorted(story.names)
