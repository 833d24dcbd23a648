"""What a real Prefect server shows of a rollout, and what its Pause, Suspend and Resume do to it."""

from __future__ import annotations

import logging
import os
import signal
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.plan.model import Outcome
from gopub.usecases.approvers import Word
from gopub.usecases.ask import ask, standing_hold
from gopub.views.notices import notices
from tasks import marks
from tasks.announcing import UNDER_WAY, send_lost
from tasks.presses import word_of
from tests.flows.held.approvals import LOGIN, PROXY, pressed_through_the_proxy
from tests.flows.held.beside import Beside, Story
from tests.flows.held.orders import STORIES as ORDERS
from tests.flows.held.shown import Shown
from tests.flows.held.watching import STORIES as WATCHING
from tests.flows.memory import PRESSED
from tests.flows.serverkit import CLOCK, PATIENCE, PLAIN, until

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


async def test_what_runs_inside_a_run_that_has_ended_is_marked_and_nothing_else(shown: Shown, monkeypatch):
    """Before the stories, for what it marks, it marks on the whole server."""
    monkeypatch.setattr(marks, "SETTLED", -5.0)
    with temporary_settings({PREFECT_API_URL: shown.stack.server.url}):
        dead, alive = await family(shown, "CRASHED"), await family(shown, "RUNNING")
        assert await marks.sweep() >= 3
    assert [await shown.kind(what, which) for what, which in dead] == ["CRASHED"] * 4
    assert [await shown.kind(what, which) for what, which in alive] == ["RUNNING"] * 4


async def test_who_presses_a_button_through_the_proxy_is_kept_beside_the_run_and_on_its_page(shown: Shown):
    [flow] = await shown.stack.ask("POST", "/flows/filter", json={"flows": {"name": {"any_": ["promote"]}}})
    made = await shown.stack.ask("POST", "/flow_runs/", json={"flow_id": flow["id"], "state": {"type": "RUNNING"}})
    by = "login at the proxy, X-Forwarded-User"
    suspend = {"state": {"type": "PAUSED", "name": "Suspended"}, "force": True}

    async def pressed() -> Word | None:
        await pressed_through_the_proxy(shown, f"/flow_runs/{made['id']}/set_state", suspend)
        async with get_client() as client:
            word = word_of(await client.read_flow_run(UUID(made["id"])), "suspend")
        return word if word.verified else None  # the server had no time to keep it: it is pressed again

    with temporary_settings({PREFECT_API_URL: shown.stack.server.url}):
        word = await until("it is kept", pressed)
    assert word == Word(f"ann ({LOGIN}, {by})", by)
    run = await shown.run(made["id"])
    assert (run["state"]["name"], run["state"]["message"]) == ("Suspended", f"suspended by {LOGIN} ({by})")
    headers = {"X-Forwarded-User": LOGIN, "X-Gopub-Proxy": PROXY}
    async with httpx.AsyncClient(verify=PLAIN, trust_env=False, timeout=30.0, headers=headers) as http:
        engine = await http.delete(f"{shown.stack.server.url}/flow_runs/{made['id']}")
    assert (engine.status_code, "operators alone" in engine.text) == (403, True)


async def test_an_event_that_was_lost_is_sent_again_and_one_that_is_there_is_not(shown: Shown):
    """As a driver leaves it that died before Prefect had what it told."""
    events: list[ev.Event] = [ev.Opened("r-lost", "hello", "lost", "a" * 64, "2"), ev.Refused(("not signed",)),
                              ev.Closed(Outcome.REFUSED, "not signed")]  # fmt: skip
    env: list[ev.Event] = [ev.EnvOpened("r-lost", "a" * 64), ev.EnvClosed("r-lost", Outcome.REFUSED)]
    shown.journal.append_all([("env/hello/lost", 0, env), ("rollout/r-lost", 0, events)], actor="ann")
    soon = CLOCK.now() + UNDER_WAY + 1
    with temporary_settings({PREFECT_API_URL: shown.stack.server.url}):
        async with get_client() as client:
            assert await send_lost(client, shown.journal, CLOCK.now()) == 0, "it may be under way"
            lost = await send_lost(client, shown.journal, soon)
            assert lost >= 2
            await until("they are there", lambda: shown.told("r-lost"))

            async def none_is_lost() -> bool:
                return await send_lost(client, shown.journal, soon) == 0

            await until("none is lost any more", none_is_lost)
    assert await shown.told("r-lost") == ["gopub.rollout.opened", "gopub.rollout.refused"], "one of each"


async def family(shown: Shown, kind: str) -> list[tuple[str, str]]:
    """A flow run in this state with a subflow that runs, and a task that runs in that: outermost first."""
    flow = await shown.stack.ask("POST", "/flows/", json={"name": "family"})

    async def flow_run(parent: str | None, tags: list[str]) -> str:
        body = {"flow_id": flow["id"], "tags": tags, "parent_task_run_id": parent, "state": {"type": "RUNNING"}}
        made = await shown.stack.ask("POST", "/flow_runs/", json=body)
        return str(made["id"])

    async def task_run(inside: str) -> str:
        body = {"flow_run_id": inside, "task_key": "t", "dynamic_key": "0", "state": {"type": "RUNNING"}}
        made = await shown.stack.ask("POST", "/task_runs/", json=body)
        return str(made["id"])

    root = await flow_run(None, ["gopub"])
    stand_in = await task_run(root)
    inner = await flow_run(stand_in, [])
    baking = await task_run(inner)
    if kind != "RUNNING":
        await shown.set_state(root, kind, kind.capitalize())
    return [("flow_runs", root), ("task_runs", stand_in), ("flow_runs", inner), ("task_runs", baking)]


async def what_nobody_holds_is_promoted_and_its_run_bears_its_tags(shown: Shown):
    """The control of all that follows."""
    run = await shown.baking("plain")
    while_it_baked = await shown.described(run, "hello-plain-rollout", "bakes, ")
    assert (await shown.closed("plain")).outcome is Outcome.PROMOTED
    ended = await shown.stack.ended(run)
    assert ended["state"]["name"] == "Promoted"
    (trace,) = (tag for tag in ended["tags"] if tag.startswith("trace:"))
    assert set(ended["tags"]) == {"gopub", "app:hello", "env:plain", "rollout:r-plain", trace}
    tasks = await shown.stack.ask("POST", "/task_runs/filter", json={"flow_runs": {"id": {"any_": [run]}}})
    assert {tag for one in tasks for tag in one["tags"]} == set()
    await its_log_tells_the_story(shown, run)
    await its_events_are_on_the_server(shown)
    await its_page_is_one_that_was_drawn_again_and_again(shown, run, while_it_baked)


async def its_page_is_one_that_was_drawn_again_and_again(shown: Shown, run: str, while_it_baked: str) -> None:
    wanted = {"flow_runs": {"id": {"any_": [run]}}, "artifacts": {"key": {"like_": "hello-plain-%"}}}
    found = await shown.stack.ask("POST", "/artifacts/filter", json=wanted)
    # A busy server may make one twice, when the client asks again: the newest is the one that is drawn.
    kept = {one["key"]: one for one in sorted(found, key=lambda one: str(one["created"]))}
    assert set(kept) == {"hello-plain-plan", "hello-plain-rollout", "hello-plain-progress"}, "one of each"
    page = kept["hello-plain-rollout"]
    assert page["description"].startswith("hello 2 in plain: promoted at "), page["description"]
    assert page["data"].startswith("## promoted at ")
    assert f"of {PRESSED:g}s observed" in while_it_baked, "control: the same page said something else before"
    assert float(kept["hello-plain-progress"]["data"]) == 100


async def its_events_are_on_the_server(shown: Shown) -> None:
    async def all_of_them() -> bool:
        return "gopub.rollout.promoted" in await shown.told("r-plain")

    await until("its end is told", all_of_them)
    names = await shown.told("r-plain")
    kept = shown.journal.read(stream_of("r-plain"))
    assert sorted(names) == sorted(one.name for one in notices(kept)), "each once"
    assert {"gopub.rollout.opened", "gopub.host.switched", "gopub.rollout.step", "gopub.rollout.verdict"} <= set(names)


async def its_log_tells_the_story(shown: Shown, run: str) -> None:
    """The same words as the command line prints, in order; what only repeats is not there at every look."""
    lines = await shown.logged(run, "promoted")
    told = [text for text, level in lines if level == logging.INFO]
    first = ["rollout r-plain: hello 2 into plain", "admitted: ", "plan (", "staged on ", "step 1 reached", "step 1: "]
    places = [next(place for place, text in enumerate(told) if text.startswith(begin)) for begin in first]
    assert places == sorted(places)
    assert told[-1].startswith("promoted") or any(text.startswith("promoted") for text in told)
    assert not [text for text, level in lines if level > logging.INFO], "control: nothing was wrong"
    looks = sum(isinstance(event, ev.Judged) for event in shown.events("plain"))
    bakes = [text for text in told if text.startswith("step 1: ")]
    assert len(bakes) < looks


async def suspend_holds_and_resume_goes_on(shown: Shown):
    run = await shown.baking("suspended")
    await shown.set_state(run, "PAUSED", "Suspended")
    held = await shown.held("suspended")
    assert held.by == "somebody (in Prefect, not verified)"
    assert "was suspended in Prefect" in held.reason
    await shown.not_passed("suspended")
    assert (await shown.run(run))["state"]["name"] == "Suspended"
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("suspended")).outcome is Outcome.PROMOTED
    assert any(isinstance(event, ev.Resumed) for event in shown.events("suspended"))
    await shown.named(run, "Promoted", "Gone on with")


async def suspend_as_prefects_own_command_does_it_holds_and_resume_goes_on(shown: Shown):
    """Such a run is scheduled again when it is resumed: the same run, in another process."""
    run = await shown.baking("rescheduled")
    body = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}}
    await shown.stack.ask("POST", f"/flow_runs/{run}/set_state", json=body)
    await shown.held("rescheduled")
    await shown.not_passed("rescheduled")
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("rescheduled")).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted")


async def pause_holds_and_resume_goes_on_in_the_same_process(shown: Shown):
    run = await shown.baking("paused")
    await shown.set_state(run, "PAUSED", "Paused")
    await shown.held("paused")
    await shown.not_passed("paused")
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("paused")).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted")
    assert sum(isinstance(event, ev.SeatTaken) for event in shown.events("paused")) == 1


async def a_suspended_run_takes_a_bad_canary_back(shown: Shown):
    run = await shown.baking("bad")
    await shown.set_state(run, "PAUSED", "Suspended")
    await shown.held("bad")
    (shown.bad / "bad").touch()
    assert (await shown.closed("bad")).outcome is Outcome.ROLLED_BACK
    ended = await shown.named(run, "Rolled back")
    assert ended["state_type"] == "FAILED", "whoever manages releases looks for red"
    lines = await shown.logged(run, "rolled back: ")
    assert [level for text, level in lines if text.startswith("going back")] == [logging.ERROR]
    await not_driven_again(shown, run)


async def not_driven_again(shown: Shown, run: str) -> None:
    """Retry of a run whose rollout is over ends as it did, and begins no second one.

    Also where nothing on the server says which that was: the server was away when the run began.
    """
    before, opened = len(shown.events("bad")), len(shown.journal.read("env/hello/bad"))
    await shown.stack.ask("PATCH", f"/flow_runs/{run}", json={"tags": ["gopub"]})
    await shown.set_state(run, "SCHEDULED", "AwaitingRetry")
    await until("it was tried again", lambda: shown.run_count(run, 2))
    await shown.named(run, "Rolled back")
    assert len(shown.events("bad")) == before
    assert len(shown.journal.read("env/hello/bad")) == opened


async def a_hold_by_command_stands_on_the_runs_page(shown: Shown):
    run = await shown.baking("asked")
    ask(shown.journal, "r-asked", "hold", "lunch", actor="ann", clock=CLOCK)
    found = await shown.named(run, "Held")
    assert "held by ann since" in found["state"]["message"]
    assert ": lunch" in found["state"]["message"]
    assert found["state_type"] == "RUNNING"
    ask(shown.journal, "r-asked", "resume", "", actor="ann", clock=CLOCK)
    assert (await shown.closed("asked")).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted")


async def what_waits_is_not_over_and_ends_with_its_rollout(shown: Shown):
    run = await shown.baking("waits")
    found = await shown.named(run, "Waiting")
    assert found["state_type"] == "PAUSED"
    assert "waits for the window 00:00-00:01 UTC" in found["state"]["message"]
    assert standing_hold(shown.journal, "r-waits") is None
    ask(shown.journal, "r-waits", "abort", "no longer", actor="ann", clock=CLOCK)
    assert (await shown.closed("waits")).outcome is Outcome.WITHDRAWN
    await shown.named(run, "Withdrawn")


async def a_killed_run_leaves_nothing_running_and_both_runs_are_linked(shown: Shown):
    run = await shown.baking("killed")
    [seat] = [event for event in shown.events("killed") if isinstance(event, ev.SeatTaken)]
    assert seat.run == run
    os.kill(int(seat.driver.rpartition(":")[2]), signal.SIGKILL)
    assert (await shown.closed("killed", within=3 * PATIENCE)).outcome is Outcome.PROMOTED
    runs = list(dict.fromkeys(event.run for event in shown.events("killed") if isinstance(event, ev.SeatTaken)))
    assert runs[0] == run
    assert len(runs) > 1, "another took over"

    async def all_linked() -> bool:
        return all([await linked(shown, one, runs) for one in runs])

    await until("each of the runs leads to the others", all_linked)

    async def crashed() -> bool:
        return str((await shown.run(run))["state_type"]) == "CRASHED"

    async def none_runs() -> bool:
        wanted = {"flow_runs": {"id": {"any_": [run]}}, "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        return not await shown.stack.ask("POST", "/task_runs/filter", json=wanted)

    await until("the killed run does not run for ever", crashed)
    await until("no task of the killed run runs", none_runs)


async def linked(shown: Shown, run: str, to: list[str]) -> bool:
    """Whether the run's newest page of runs names all of these, and the run bears its rollout's tag."""
    wanted = {"flow_runs": {"id": {"any_": [run]}}, "artifacts": {"key": {"any_": ["hello-killed-runs"]}}}
    pages = sorted(await shown.stack.ask("POST", "/artifacts/filter", json=wanted), key=lambda one: str(one["created"]))
    return bool(pages) and all(one in pages[-1]["data"] for one in to) and (
        "rollout:r-killed" in (await shown.run(run))["tags"]
    )  # fmt: skip


STORIES = [
    what_nobody_holds_is_promoted_and_its_run_bears_its_tags,
    suspend_holds_and_resume_goes_on,
    suspend_as_prefects_own_command_does_it_holds_and_resume_goes_on,
    pause_holds_and_resume_goes_on_in_the_same_process,
    a_suspended_run_takes_a_bad_canary_back,
    a_hold_by_command_stands_on_the_runs_page,
    what_waits_is_not_over_and_ends_with_its_rollout,
    a_killed_run_leaves_nothing_running_and_both_runs_are_linked,
    *ORDERS,
    *WATCHING,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story(told: Beside[Shown], story: Story[Shown]):
    told.end_of(story)
