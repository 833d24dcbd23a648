"""What people do to a rollout under way: a second one, status, abort, promote, approve; and what is refused."""

from __future__ import annotations

import asyncio
import json
import time

from gopub.journal import events as ev
from gopub.lab.lab import Lab
from tests.e2e.story import STORY, Story, a_fleet
from tests.e2e.story_ground import Env, Ground, until

pytest_plugins = ("tests.e2e.story_fixtures",)
pytestmark = STORY


async def patient(ground: Ground, env: str = "patient") -> Story:
    return await a_fleet(ground, env).given_a_stable_one()


async def test_a_second_rollout_is_told_who_holds_the_seat_and_abort_takes_the_first_back(ground: Ground):
    story = await patient(ground)
    before, other, driver = story.stable, story.other, ground.engine
    order = story.begin(driver, other)
    await story.reached()
    active = story.known().active

    second = await story.gopub("rollout", other, "--env", "patient")
    assert second.code == 6
    assert "GP708" in second.complaint
    assert active in second.complaint
    assert f":{driver.pid} holds the seat" in second.complaint

    status = json.loads((await story.gopub("status", "--json", "--verify")).text)
    [row] = status["envs"]
    assert (row["stable"], row["active"]["rollout"], row["active"]["driver_alive"]) == (before, active, True)
    assert row["active"]["driver"].endswith(f":{driver.pid}")
    assert status["entries_verified"] > 0

    elsewhere = await story.gopub("rollback", "--env", "patient", "--to", other)
    assert (elsewhere.code, "GP726" in elsewhere.complaint) == (2, True), "refused, and the driver keeps its seat"

    aborted = await story.gopub("abort", active, "--reason", "not today")
    assert aborted.code == 0, aborted.complaint
    story.take(await driver.answer(order))
    await story.then_it_was("withdrawn").then_every_host_runs(before)
    assert "not today" in story.result["reason"]
    assert story.release_id(other) not in story.known().quarantine


async def test_promote_ends_a_bake(ground: Ground):
    story = await patient(ground)
    other = story.other
    order = story.begin(ground.engine, other)
    await story.reached()
    asked = await story.gopub("promote", "last", "--reason", "seen enough")
    assert asked.code == 0, asked.complaint
    story.take(await ground.engine.answer(order))
    await story.then_it_was("promoted").then_every_host_runs(other)
    [passed] = story.events(ev.StepPassed)
    assert "seen enough" in passed.by
    again = await story.gopub("rollout", other, "--env", "patient", "--json")
    assert (again.code, json.loads(again.text)["outcome"]) == (0, "nothing to do")


async def test_a_step_waits_for_its_approval(ground: Ground):
    story = await patient(ground, "gate")
    other = story.other
    order = story.begin(ground.engine, other)
    async with story.traffic(80):

        async def would_go_on() -> bool:
            return bool(story.known().active) and any(one.kind == "PROMOTE" for one in story.events(ev.Judged))

        await until(would_go_on, "the first step's verdict is PROMOTE")
        await asyncio.sleep(1.5)
        assert not story.events(ev.StepPassed)
        approved = await story.gopub("promote", "last", "--reason", "on call says yes")
        assert approved.code == 0, approved.complaint
        story.take(await ground.engine.answer(order))
    await story.then_it_was("promoted", 7).then_every_host_runs(other).then_no_request_was_lost()


async def test_a_replaced_machine_is_refused_owed_and_out_of_the_pool(ground: Ground, lab: Lab):
    story = await patient(ground)
    before, other = story.stable, story.other
    first, second = story.names
    order = story.begin(ground.engine, other)
    await story.reached()
    kept = (await lab.exec(second, ("cat", "/etc/machine-id"))).text
    try:
        await lab.exec(second, ("sh", "-c", f"echo {'f' * 32} >/etc/machine-id"))
        assert (await story.gopub("promote", "last")).code == 0
        story.take(await ground.engine.answer(order))
        assert story.result["owed"] == [second], story.result
        assert {peer["host"] for peer in (await story.table())["stable"]["peers"]} == {first}
    finally:
        await lab.exec(second, ("sh", "-c", f"echo {kept} >/etc/machine-id"))
    assert story.result["outcome"] == "withdrawn"
    await story.whole({before})
    await story.when_releasing(other, hurry=True).then_it_was("promoted").then_every_host_runs(other)


async def test_unknown_names_are_named(ground: Ground):
    story = await a_fleet(ground, "patient").given_releases("1.1.0")
    wrong_env = await story.gopub("rollout", "1.1.0", "--env", "nowhere")
    assert (wrong_env.code, "'nowhere'" in wrong_env.complaint, "patient" in wrong_env.complaint) == (2, True, True)
    wrong_version = await story.gopub("rollout", "9.9.9", "--env", "patient")
    assert wrong_version.code != 0 and "GP321" in wrong_version.complaint
    wrong_rollout = await story.gopub("abort", "nothing-like-it")
    assert (wrong_rollout.code, "no rollout" in wrong_rollout.complaint) == (2, True)


async def test_a_rollout_waits_for_its_window_without_a_driver(ground: Ground):
    """It opens as long after now as this machine takes for some releases, so that all is seen that comes before."""
    begun = time.monotonic()
    await a_fleet(ground, "patient").given_releases("1.4.0")
    opens = (int(time.time() + 15 + 5 * (time.monotonic() - begun)) // 60 + 1) * 60
    text = f"{time.strftime('%H:%M', time.gmtime(opens))}-{time.strftime('%H:%M', time.gmtime(opens + 1800))} UTC"
    ground.envs["window"] = Env(
        "window",
        18120,
        more={"hosts": '"role=app,zone=a"', "rollout": f'{{window: ["{text}"], steps: [{{bake: 1s}}]}}'},
    )
    story = await a_fleet(ground, "window").given_releases("1.5.0")
    started = await story.gopub("rollout", "1.5.0", "--env", "window", "--json")
    assert (started.code, json.loads(started.text)["outcome"]) == (0, "waiting"), started.complaint
    assert text in json.loads(started.text)["reason"]
    went_on, waits, hosts = await story.run("promote"), story.state().waiting, await story.hosts()
    if time.time() < opens:
        assert (went_on, bool(waits), {one.current for one in hosts.values()}) == ([], True, {""})
    second = await story.gopub("rollout", "1.5.0", "--env", "window")
    assert second.code == 6
    await asyncio.sleep(max(0.0, opens - time.time()) + 0.5)
    [done] = await story.run("promote")
    assert done["outcome"] == "promoted", done
    await story.then_every_host_runs("1.5.0")
