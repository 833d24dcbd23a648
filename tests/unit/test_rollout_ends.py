"""Rules on the ends of rollouts: what a journal tells starts its run once, whoever reads it and whenever."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deployments.api.pauses import LONGEST_PAUSE
from deployments.api.starting import GIVE_UP_AFTER, Starting
from deployments.ends import Ends, keep_looking
from deployments.hooks.ends import ROLLOUT
from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError
from gopub.journal import events as ev
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import env_stream, stream_of
from gopub.plan.model import Outcome
from gopub.usecases.refuse_following import refuse_following
from tests.support.rollout_world import World, chart
from tests.unit.apikit import TOKENS, Kit, make_kit
from tests.unit.views_world import went_back

PROJECTS = """
apps:
  hello:
    repository: https://gitlab.example/trade/hello.git
    project_ref: refs/heads/main
    envs: [lab, prod, audit]
    rules:
      - when: {source: gopub, type: rollout.promoted, match: {env: lab, payload.version: ["1*", "2*"]}}
        env: prod
        reason: "{payload.version} was good in {env}"
      - {when: {source: gopub, type: rollout.rolled-back, match: {env: lab}}, env: audit}
tokens: {ci: {secret: {env: T}}, oncall: {secret: {env: U}}}
"""
STREAM, AUDIT = env_stream("hello", "lab"), env_stream("hello", "audit")
TOKEN = {"Authorization": f"Bearer {TOKENS['oncall']}"}


@pytest.fixture
def kit(tmp_path: Path, journal: Journal):
    made = with_journal(tmp_path, journal)
    yield made
    made.parts.deliveries.close()


def with_journal(folder: Path, journal: Journal) -> Kit:
    """A kit whose turn it is as this journal says."""
    return replace_downgrade(make_kit(folder, {}, PROJECTS, partial(refuse_following, journal)))


def replace_downgrade(kit: Kit, stable: str = "") -> Kit:
    """A journal in which everything may go everywhere, or this version is stable."""

    def check(app: str, env: str, version: str) -> None:
        if stable:
            raise RefusedError("GP730", f"{app} {version} is older than {stable}, which is stable in {env}")

    kit.parts = replace(kit.parts, downgrade=check)
    return kit


@pytest.fixture
def journal(tmp_path: Path, clock: ManualClock):
    with closing(open_journal(str(tmp_path / "journal.db"), clock)) as made:
        yield made


@pytest.fixture
def clock():
    """That of whoever writes the journal."""
    return ManualClock()


def taken_back(journal: Journal, rollout: str, *, closed: bool = True) -> None:
    """A rollout into lab that begins and is taken back."""
    version = journal.versions(STREAM).get(STREAM, 0)
    journal.append(STREAM, version, [ev.EnvOpened(rollout, "b" * 64)], actor="ann")
    journal.append(stream_of(rollout), 0, went_back(rollout, "hello", "lab"), actor="ann")
    if closed:
        journal.append(STREAM, version + 1, [ev.EnvClosed(rollout, Outcome.ROLLED_BACK)], actor="ann")


async def asked(kit: Kit, rollout: str) -> Any:
    """What the API tells of a rollout that was taken back."""
    found = await kit.client.get(f"/v1/deliveries/gopub:{rollout}:rollout.rolled-back", headers=TOKEN)
    return found.json()


async def test_what_was_promoted_goes_into_the_next_environment_once(tmp_path: Path, kit: Kit):
    world = World(tmp_path)
    Ends(kit.parts, world.journal).look()
    run = world.driver()
    await chart(run, "good")
    assert run.state.closed.outcome is Outcome.PROMOTED
    ends = Ends(kit.parts, world.journal)
    assert [ends.look() for _ in range(3)] == [1, 0, 0]
    await kit.settle()
    (order,) = kit.starter.orders
    assert (order.deployment, order.app, order.env) == (ROLLOUT, "hello", "prod")
    assert order.key == f"gopub:{run.rollout}:rollout.promoted:hello:prod"
    assert order.parameters == {
        "app": "hello", "env": "prod", "version": run.state.release_version, "project": ".",
        "reason": f"{run.state.release_version} was good in lab", "actor": f"gopub:{run.rollout}", "automatic": True,
    }  # fmt: skip
    told = kit.parts.deliveries.find(f"gopub:{run.rollout}:rollout.promoted")
    assert told is not None
    assert told.outcome == {"runs": [{"id": "run-1", "name": "hello-prod", "app": "hello", "env": "prod"}]}


def test_what_ended_before_the_rules_were_there_starts_nothing_and_what_ends_later_does(kit: Kit, journal: Journal):
    taken_back(journal, "r-1")
    assert Ends(kit.parts, journal).look() == 0
    taken_back(journal, "r-2")
    assert Ends(kit.parts, journal).look() == 1
    assert [order.env for row in kit.parts.deliveries.waiting() for order in row.orders] == ["audit"]


def test_one_that_is_under_way_starts_nothing_yet(kit: Kit, journal: Journal):
    ends = Ends(kit.parts, journal)
    ends.look()
    taken_back(journal, "r-1", closed=False)
    assert ends.look() == 0
    journal.append(STREAM, 1, [ev.EnvClosed("r-1", Outcome.ROLLED_BACK)], actor="ann")
    assert ends.look() == 1


async def test_an_end_that_came_while_nobody_looked_is_found(tmp_path: Path, kit: Kit, journal: Journal):
    Ends(kit.parts, journal).look()
    taken_back(journal, "r-1")
    again = with_journal(tmp_path, journal)  # another process, the same file
    with closing(again.parts.deliveries):
        await again.clock.sleep(GIVE_UP_AFTER - 3600)
        assert Ends(again.parts, journal).look() == 1
        await again.settle()
        assert [order.after for order in again.starter.orders] == ["r-1"]


@pytest.mark.parametrize("longer", [1.0, 6 * 86400.0, 90 * 86400.0])
async def test_what_ended_more_than_a_day_ago_is_told_and_starts_nothing(
    kit: Kit, journal: Journal, clock: ManualClock, caplog, longer: float
):
    Ends(kit.parts, journal).look()
    taken_back(journal, "r-1")
    await kit.clock.sleep(GIVE_UP_AFTER + longer)
    assert Ends(kit.parts, journal).look() == 1
    assert await kit.settle() == 0
    assert kit.starter.orders == []
    assert (await asked(kit, "r-1"))["status"] == "given_up"
    assert "gave up on delivery gopub:r-1:rollout.rolled-back after a day" in caplog.text
    await clock.sleep(kit.clock.now() - clock.now())
    taken_back(journal, "r-2")
    Ends(kit.parts, journal).look()
    await kit.settle()
    assert [order.after for order in kit.starter.orders] == ["r-2"], "control: what ends now is started"


async def test_a_process_killed_between_row_and_place_writes_nothing_twice(kit: Kit, journal: Journal):
    ends = Ends(kit.parts, journal)
    ends.look()
    taken_back(journal, "r-1")
    assert ends.look() == 1
    await kit.settle()
    kit.parts.deliveries.keep_place(STREAM, 0)  # what it had written down last
    assert Ends(kit.parts, journal).look() == 0
    await kit.settle()
    assert [order.key for order in kit.starter.orders] == ["gopub:r-1:rollout.rolled-back:hello:audit"]


async def test_of_thirty_ends_that_wait_for_one_environment_the_last_is_started_and_each_is_told(
    kit: Kit, journal: Journal
):
    Ends(kit.parts, journal).look()
    names = [f"r-{n}" for n in range(30)]
    for name in names:
        taken_back(journal, name)
    assert Ends(kit.parts, journal).look() == 30
    for _ in range(3):
        assert await kit.settle() == 0
    assert [order.parameters["actor"] for order in kit.starter.orders] == ["gopub:r-29"]
    for name in names[:-1]:
        told = await asked(kit, name)
        assert (told["status"], told["refused"][0]["code"]) == ("refused", "GP737")
        assert told["refused"][0]["detail"].startswith(f"{name} waited to be followed into audit, and r-29 ended since")


async def test_it_waits_for_the_rollout_that_is_active_there_and_goes_on_after_it(kit: Kit, journal: Journal, caplog):
    Ends(kit.parts, journal).look()
    journal.append(AUDIT, 0, [ev.EnvOpened("r-busy", "c" * 64)], actor="ann")
    taken_back(journal, "r-1")
    Ends(kit.parts, journal).look()
    for _ in range(5):
        assert await kit.settle() == 1
        await kit.clock.sleep(LONGEST_PAUSE)
    told = await asked(kit, "r-1")
    assert (told["status"], told["runs"]) == ("queued", [])
    assert told["waits_for"].startswith("rollout r-busy of hello in audit is active")
    taken_back(journal, "r-2")  # the one that waits is no longer what stands in lab
    Ends(kit.parts, journal).look()
    assert await kit.settle() == 1
    assert (await asked(kit, "r-1"))["refused"][0]["code"] == "GP737"
    assert kit.starter.orders == [], "control: it is busy"
    journal.append(AUDIT, 1, [ev.EnvClosed("r-busy", Outcome.PROMOTED)], actor="ann")
    assert await kit.settle() == 0
    assert [order.after for order in kit.starter.orders] == ["r-2"]


async def test_what_is_busy_for_long_is_told_once(kit: Kit, journal: Journal, caplog):
    Ends(kit.parts, journal).look()
    journal.append(AUDIT, 0, [ev.EnvOpened("r-busy", "c" * 64)], actor="ann")
    taken_back(journal, "r-1")
    Ends(kit.parts, journal).look()
    starting = Starting(kit.parts)
    for _ in range(5):
        await starting.look()
        await starting.idle()
        await kit.clock.sleep(LONGEST_PAUSE)
    assert caplog.text.count("still waits to be started in audit: GP708") == 1


async def test_a_run_that_was_started_there_and_has_not_begun_yet_is_waited_for(kit: Kit, journal: Journal):
    """Its process takes seconds; the journal knows nothing of it until then, and the second would be refused."""
    Ends(kit.parts, journal).look()
    for name in ("r-1", "r-2"):
        taken_back(journal, name)
        Ends(kit.parts, journal).look()
        await kit.settle()
    assert [order.after for order in kit.starter.orders] == ["r-1"]
    assert (await asked(kit, "r-2"))[
        "waits_for"
    ] == "the run hello-audit into audit of hello, started before, is not over"
    kit.starter.over.add("run-1")
    await kit.settle()
    assert [order.after for order in kit.starter.orders] == ["r-1", "r-2"]


async def test_what_was_taken_back_where_it_was_promoted_goes_no_further(tmp_path: Path):
    world = World(tmp_path)
    kit = with_journal(tmp_path / "serve", world.journal)
    Ends(kit.parts, world.journal).look()
    run = world.driver()
    await chart(run, "good")
    Ends(kit.parts, world.journal).look()
    release, version = run.state.release, len(world.journal.read(STREAM))
    opened = ev.Opened("r-back", "hello", "lab", release, "2", "too slow", ".")
    world.journal.append("rollout/r-back", 0, [opened], actor="ann")
    world.journal.append(STREAM, version, [ev.EnvOpened("r-back", release)], actor="ann")
    assert await kit.settle() == 1
    key = f"/v1/deliveries/gopub:{run.rollout}:rollout.promoted"
    assert (await kit.client.get(key, headers=TOKEN)).json()["waits_for"].startswith("rollout r-back of hello 2 in lab")
    back = ev.EnvClosed("r-back", Outcome.ROLLED_BACK, stable="a" * 64, stable_version="1", quarantined=release)
    world.journal.append(STREAM, version + 1, [back], actor="ann")
    assert await kit.settle() == 0
    told = (await kit.client.get(key, headers=TOKEN)).json()
    assert (told["status"], told["refused"][0]["code"]) == ("refused", "GP737")
    assert told["refused"][0]["detail"].endswith(f"was promoted in lab by {run.rollout} and rolled back there since")
    assert kit.starter.orders == []


async def test_nothing_older_than_what_is_stable_is_sent_on(kit: Kit, journal: Journal):
    replace_downgrade(kit, "3.0.0")
    Ends(kit.parts, journal).look()
    taken_back(journal, "r-1")
    Ends(kit.parts, journal).look()
    await kit.settle()
    row = kit.parts.deliveries.find("gopub:r-1:rollout.rolled-back")
    assert row is not None
    assert row.outcome is not None
    assert [one["code"] for one in row.outcome["refused"]] == ["GP730"]
    assert kit.starter.orders == []


def test_a_journal_that_was_put_back_is_told_and_starts_nothing_old(kit: Kit, journal: Journal, caplog):
    taken_back(journal, "r-1")
    kit.parts.deliveries.keep_place(STREAM, 400)
    assert Ends(kit.parts, journal).look() == 0
    assert "it was put back, or is another one" in caplog.text
    taken_back(journal, "r-2")
    assert Ends(kit.parts, journal).look() == 1


def test_a_rollout_whose_entries_are_damaged_holds_up_no_other(kit: Kit, journal: Journal, caplog):
    Ends(kit.parts, journal).look()
    journal.append(STREAM, 0, [ev.EnvOpened("r-1", "b" * 64)], actor="ann")
    journal.append(stream_of("r-1"), 0, [ev.Closed(Outcome.PROMOTED), ev.Closed(Outcome.PROMOTED)], actor="ann")
    journal.append(STREAM, 1, [ev.EnvClosed("r-1", Outcome.ROLLED_BACK)], actor="ann")
    taken_back(journal, "r-2")
    assert Ends(kit.parts, journal).look() == 1
    assert "the end of r-1 starts nothing" in caplog.text


async def test_a_journal_that_is_away_is_asked_again_and_nothing_is_lost(kit: Kit, journal: Journal):
    Ends(kit.parts, journal).look()
    taken_back(journal, "r-1")
    answers = [GopubError("GP701", "the journal cannot be opened"), OSError("away")]

    def opened() -> Journal:
        if answers:
            raise answers.pop()
        return journal

    parts = replace(kit.parts, journal=opened)
    looking = asyncio.create_task(keep_looking(parts))
    await asyncio.wait_for(parts.fresh.wait(), 60)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert answers == []
    assert [row.key for row in kit.parts.deliveries.waiting()] == ["gopub:r-1:rollout.rolled-back"]
