"""Approvals: a run of its own, paused with a form, decides; the rollout's run guards its canary meanwhile."""

from __future__ import annotations

from typing import Any

from gopub.journal import events as ev
from gopub.journal.reading import asked
from gopub.plan.model import Outcome
from gopub.usecases.ask import ask
from tests.flows.held.shown import Shown
from tests.flows.serverkit import CLOCK, until


async def form_of(shown: Shown, env: str) -> dict[str, Any]:
    """The paused run with the form for this env's rollout, once it is there."""

    async def there() -> Any:
        runs = await shown.stack.runs_of("approve/approve")
        return next((one for one in runs if one["parameters"]["env"] == env and one["state_type"] == "PAUSED"), None)

    found: dict[str, Any] = await until(f"{env} asks for an approval", there, within=150)
    return found


async def artifact_events(shown: Shown, run: str, what: str) -> list[str]:
    related = {"resources_in_roles": [[f"prefect.flow-run.{run}", "flow-run"]]}
    wanted = {"filter": {"event": {"name": [f"prefect.artifact.{what}"]}, "related": related}}
    return [one["event"] for one in (await shown.stack.ask("POST", "/events/filter", json=wanted))["events"]]


async def fill_in(shown: Shown, form: dict[str, Any], **given: str) -> dict[str, Any]:
    """Resume it with these answers, as the page does; gives what the server says."""
    answer: dict[str, Any] = await shown.stack.ask("POST", f"/flow_runs/{form['id']}/resume", json={"run_input": given})
    return answer


async def who_approves_in_the_form_lets_it_go_on_and_is_marked_unverified(shown: Shown):
    run = await shown.baking("asks-yes")
    form = await form_of(shown, "asks-yes")
    assert (form["name"], form["state"]["name"]) == ("approve-hello-asks-yes-2-step-2", "Approval needed")
    await until("control: an artifact's events are found", lambda: artifact_events(shown, run, "created"), within=60)
    assert not await artifact_events(shown, run, "updated"), "a page that is drawn again floods no feed"
    assert (await shown.run(run))["state_type"] == "RUNNING", "the rollout's own run never pauses: it guards"
    for wrong in ({"decision": "maybe", "name": "ann"}, {"decision": "approve"}, {"decision": "approve", "name": ""}):
        assert (await fill_in(shown, form, **wrong))["status"] == "REJECT", wrong
    assert asked(shown.journal, "r-asks-yes") == (), "control: a form that is not filled in decides nothing"
    assert (await fill_in(shown, form, decision="approve", name="ann", reason="looks good"))["status"] == "ACCEPT"
    assert (await shown.closed("asks-yes", within=150)).outcome is Outcome.PROMOTED
    [said] = asked(shown.journal, "r-asks-yes")
    assert (said.what, said.reason, said.actor) == ("promote:1", "looks good", "ann (typed in Prefect, not verified)")
    assert any(
        "ann (typed in Prefect" in event.by for event in shown.events("asks-yes") if isinstance(event, ev.StepPassed)
    )
    await shown.named(form["id"], "Completed")


async def who_aborts_in_the_form_takes_it_back(shown: Shown):
    await shown.baking("asks-no")
    form = await form_of(shown, "asks-no")
    await fill_in(shown, form, decision="abort", name="bob", reason="not today")
    closed = await shown.closed("asks-no", within=150)
    assert (closed.outcome, "not today" in closed.reason) == (Outcome.WITHDRAWN, True)


async def a_form_that_nobody_needs_any_more_is_ended_and_its_cancel_is_no_abort(shown: Shown):
    await shown.baking("asks-else")
    form = await form_of(shown, "asks-else")
    await shown.set_state(form["id"], "CANCELLED", "Cancelled")
    await CLOCK.sleep(4.0)
    assert shown.state("asks-else").back is None, "who closes a form decides nothing"
    ask(shown.journal, "r-asks-else", "promote:1", "", actor="ann", clock=CLOCK)
    assert (await shown.closed("asks-else", within=150)).outcome is Outcome.PROMOTED
    one = await shown.stack.deployment("approve/approve")
    made = await shown.stack.ask(
        "POST", f"/deployments/{one['id']}/create_flow_run", json={"parameters": form["parameters"]}
    )
    ended = await shown.named(made["id"], "Failed", within=150)
    assert ended["state"]["message"].startswith("GP970 "), "one that is started by hand decides nothing"
