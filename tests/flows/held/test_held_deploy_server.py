"""What Pause, Suspend, Resume and Cancel do to a rollout inside `deploy`, and to one whose process is gone."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.engine import PrefectStarter
from gopub.cli.engine import run_deployment
from gopub.journal import events as ev
from gopub.plan.model import Outcome
from gopub.usecases.ask import ask
from tests.flows.held.approvals import (
    a_form_that_nobody_needs_any_more_is_ended_and_its_cancel_is_no_abort,
    a_login_at_the_proxy_approves_and_a_typed_name_does_not,
    who_aborts_in_the_form_takes_it_back,
    who_approves_in_the_form_lets_it_go_on_and_is_marked_unverified,
)
from tests.flows.held.beside import Beside, Story
from tests.flows.held.shown import Shown
from tests.flows.serverkit import CLOCK, until

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


async def inner(shown: Shown, run: str, env: str) -> dict[str, Any]:
    """The run of `rollout` inside a run of `deploy`, once it bears its tags."""
    wanted = {"flow_runs": {"tags": {"all_": ["gopub", "app:hello", f"env:{env}", f"rollout:r-{env}"]}}}

    async def there() -> list[dict[str, Any]]:
        found = await shown.stack.ask("POST", "/flow_runs/filter", json=wanted)
        return [one for one in found if one["parent_task_run_id"] and one["id"] != run]

    [one] = await until(f"a run of rollout inside {run}", there)
    return dict(one)


async def gone(shown: Shown, env: str) -> None:
    """Kill the process that drives, and wait until its lease has lapsed."""
    seat = [event for event in shown.events(env) if isinstance(event, ev.SeatTaken)][-1]
    os.kill(int(seat.driver.rpartition(":")[2]), signal.SIGKILL)


def test_a_command_that_started_a_run_does_not_wait_for_its_window(shown: Shown):
    with temporary_settings({PREFECT_API_URL: shown.stack.server.url}):
        parameters = {"app": "hello", "env": "waits-for-ever", "version": "2", "project": "/nowhere"}
        assert run_deployment("rollout/rollout", parameters) == "Waiting"


async def suspend_of_the_deploy_around_it_holds_and_resume_goes_on(shown: Shown):
    await suspended_and_resumed(shown, "parent", reschedule=False)


async def suspend_of_it_as_prefects_own_command_does_it_holds_and_resume_goes_on(shown: Shown):
    await suspended_and_resumed(shown, "parent-again", reschedule=True)


async def suspended_and_resumed(shown: Shown, env: str, *, reschedule: bool) -> None:
    run = await shown.baking(env, "deploy")
    details = {"pause_reschedule": reschedule}
    body = {"state": {"type": "PAUSED", "name": "Suspended", "state_details": details}, "force": True}
    await shown.stack.ask("POST", f"/flow_runs/{run}/set_state", json=body)
    held = await shown.held(env)
    assert "was suspended in Prefect" in held.reason
    await shown.not_passed(env)
    assert (await shown.run(run))["state"]["name"] == "Suspended"
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed(env)).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted", "Gone on with")


async def the_rollout_inside_a_deploy_is_known_by_the_run_that_somebody_started(shown: Shown):
    """By the journal: the tag, which is for whoever looks, may be late or lost."""
    run = await shown.baking("inside", "deploy")
    assert [event.run for event in shown.events("inside") if isinstance(event, ev.SeatTaken)] == [run]
    within = (await inner(shown, run, "inside"))["id"]
    for one in (run, within):
        await shown.stack.ask("PATCH", f"/flow_runs/{one}", json={"tags": ["gopub", "app:hello", "env:inside"]})
    with temporary_settings({PREFECT_API_URL: shown.stack.server.url}):
        known, control = await PrefectStarter().run(run), await PrefectStarter().run(within)
    assert known and control
    assert (known.rollout, known.outcome, known.final) == ("r-inside", "active", False)
    assert control.rollout == "", "nobody started the inner run"
    await shown.closed("inside")


async def pause_of_the_deploy_around_it_holds_and_both_runs_end_by_name(shown: Shown):
    run = await shown.baking("around", "deploy")
    await shown.set_state(run, "PAUSED", "Paused")
    await shown.held("around")
    await shown.not_passed("around")
    assert (await inner(shown, run, "around"))["state"]["name"] == "Held"
    await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    assert (await shown.closed("around")).outcome is Outcome.PROMOTED
    await shown.named(run, "Promoted")
    assert (await inner(shown, run, "around"))["state"]["name"] == "Promoted"


async def a_deploy_that_waits_shows_it_on_both_runs_and_its_cancel_takes_it_back(shown: Shown):
    """A run that waits has no process: Prefect calls it Cancelled at once, and tells nobody."""
    run = await shown.baking("waits-inside", "deploy")
    await shown.named(run, "Waiting")
    within = await inner(shown, run, "waits-inside")
    assert (within["state_type"], within["state"]["name"]) == ("PAUSED", "Waiting")
    await shown.stack.ask("POST", f"/flow_runs/{run}/set_state", json={"state": {"type": "CANCELLING"}})
    assert (await shown.run(run))["state_type"] == "CANCELLED"
    closed = await shown.closed("waits-inside")
    assert closed.outcome is Outcome.WITHDRAWN
    assert "was cancelled" in closed.reason
    await shown.named(within["id"], "Withdrawn", "Cancelled")  # Prefect cancels what is inside as well


async def cancel_of_a_suspended_run_takes_it_back_whoever_holds(shown: Shown):
    run = await shown.baking("cancelled")
    ask(shown.journal, "r-cancelled", "hold", "lunch", actor="ann", clock=CLOCK)
    await shown.held("cancelled")
    await shown.set_state(run, "PAUSED", "Suspended")
    await shown.set_state(run, "CANCELLED", "Cancelled")
    closed = await shown.closed("cancelled")
    assert (closed.outcome, "was cancelled" in closed.reason) == (Outcome.WITHDRAWN, True)
    assert (await shown.run(run))["state"]["name"] == "Cancelled"


async def a_suspended_run_that_is_killed_is_guarded_by_another_and_resume_ends_it(shown: Shown):
    run = await shown.baking("killed-held")
    await shown.set_state(run, "PAUSED", "Suspended")
    await shown.held("killed-held")
    await gone(shown, "killed-held")

    async def guarded() -> bool:
        return len({event.run for event in shown.events("killed-held") if isinstance(event, ev.SeatTaken)}) == 2

    await until("recover guards", guarded)
    await shown.not_passed("killed-held")
    other = [event.run for event in shown.events("killed-held") if isinstance(event, ev.SeatTaken)][-1]
    assert (await shown.run(other))["state"]["name"] == "Held"
    before = (await shown.run(run))["state_type"]
    if before == "PAUSED":
        await shown.stack.ask("POST", f"/flow_runs/{run}/resume", json={})
    else:
        ask(shown.journal, "r-killed-held", "resume", "", actor="ann", clock=CLOCK)
    assert (await shown.closed("killed-held")).outcome is Outcome.PROMOTED
    assert (await shown.run(run))["state_type"] in {"COMPLETED", "CRASHED"}
    await shown.named(other, "Promoted")


async def a_run_that_is_deleted_from_the_page_is_promoted_and_leaves_no_word(shown: Shown):
    run = await shown.baking("deleted", "deploy")
    await shown.stack.ask("DELETE", f"/flow_runs/{run}")
    within = [event.run for event in shown.events("deleted") if isinstance(event, ev.SeatTaken)]
    assert within
    assert (await shown.closed("deleted")).outcome is Outcome.PROMOTED


STORIES = [
    a_login_at_the_proxy_approves_and_a_typed_name_does_not,
    who_approves_in_the_form_lets_it_go_on_and_is_marked_unverified,
    who_aborts_in_the_form_takes_it_back,
    a_form_that_nobody_needs_any_more_is_ended_and_its_cancel_is_no_abort,
    suspend_of_the_deploy_around_it_holds_and_resume_goes_on,
    suspend_of_it_as_prefects_own_command_does_it_holds_and_resume_goes_on,
    the_rollout_inside_a_deploy_is_known_by_the_run_that_somebody_started,
    pause_of_the_deploy_around_it_holds_and_both_runs_end_by_name,
    a_deploy_that_waits_shows_it_on_both_runs_and_its_cancel_takes_it_back,
    cancel_of_a_suspended_run_takes_it_back_whoever_holds,
    a_suspended_run_that_is_killed_is_guarded_by_another_and_resume_ends_it,
    a_run_that_is_deleted_from_the_page_is_promoted_and_leaves_no_word,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story(told: Beside[Shown], story: Story[Shown]):
    told.end_of(story)
