"""Approvals: a run of its own, paused with a form, decides; the rollout's run guards its canary meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gopub.journal import events as ev
from gopub.journal.reading import asked
from gopub.plan.model import Outcome
from gopub.usecases.ask import ask
from tests.flows.held.shown import Shown
from tests.flows.serverkit import CLOCK, until

PROXY, LOGIN = "proxy-" + "s" * 26, "ann@corp.example"
HOUSE = """
schema: gopub-people/v1
people: {ann: {login: [ann@corp.example]}, bob: {login: [bob@corp.example]}}
groups: {ops: [ann]}
verified: [asks-login]
four_eyes: [steered]
proxy: {secret: {file: proxy.secret}, seal: {file: seal.key}}
"""


def a_house(folder: Path) -> Path:
    """people.yaml with what it names, for server and worker."""
    for name, text in (("people.yaml", HOUSE), ("proxy.secret", PROXY), ("seal.key", "k" * 32)):
        (folder / name).write_text(text)
    return folder / "people.yaml"


async def form_of(shown: Shown, env: str) -> dict[str, Any]:
    """The paused run with the form for this env's rollout, once it is there."""

    async def there() -> Any:
        runs = await shown.stack.runs_of("approve/approve")
        return next((one for one in runs if one["parameters"]["env"] == env and one["state_type"] == "PAUSED"), None)

    found: dict[str, Any] = await until(f"{env} asks for an approval", there)
    return found


async def artifact_events(shown: Shown, run: str, what: str) -> list[str]:
    related = {"resources_in_roles": [[f"prefect.flow-run.{run}", "flow-run"]]}
    wanted = {"filter": {"event": {"name": [f"prefect.artifact.{what}"]}, "related": related}}
    return [one["event"] for one in (await shown.stack.ask("POST", "/events/filter", json=wanted))["events"]]


async def leads_to(shown: Shown, run: str, env: str, form: str) -> bool:
    """Whether the page of this run's rollout has a link to the run with the form."""
    wanted = {"flow_runs": {"id": {"any_": [run]}}, "artifacts": {"key": {"any_": [f"hello-{env}-rollout"]}}}
    pages = await shown.stack.ask("POST", "/artifacts/filter", json=wanted)
    return any(f"/runs/flow-run/{form})" in one["data"] for one in pages)


async def fill_in(shown: Shown, form: dict[str, Any], **given: str) -> dict[str, Any]:
    """Resume it with these answers, as the page does; gives what the server says."""
    answer: dict[str, Any] = await shown.stack.ask("POST", f"/flow_runs/{form['id']}/resume", json={"run_input": given})
    return answer


async def through_the_proxy(shown: Shown, form: dict[str, Any], login: str, **given: str) -> None:
    """The same as a proxy gives it on, with who is logged in."""
    headers = {"X-Forwarded-User": login, "X-Gopub-Proxy": PROXY, "X-Forwarded-For": "192.0.2.1"}
    await shown.stack.ask("POST", f"/flow_runs/{form['id']}/resume", json={"run_input": given}, headers=headers)


async def pressed_through_the_proxy(shown: Shown, path: str, body: dict[str, Any]) -> None:
    """A button of the page, as a proxy gives it on with who is logged in."""
    headers = {"X-Forwarded-User": LOGIN, "X-Gopub-Proxy": PROXY}
    await shown.stack.ask("POST", path, json=body, headers=headers)


async def a_login_at_the_proxy_approves_and_a_typed_name_does_not(shown: Shown):
    """Past the proxy anybody can say that he is ann; through it only she can. What is refused opens another form."""
    await shown.baking("asks-login")
    said = {"decision": "approve", "name": "ann"}
    past = await form_of(shown, "asks-login")
    await fill_in(shown, past, **said)
    ended = await shown.named(past["id"], "Failed")
    assert ended["state"]["message"].startswith("GP991 ")
    assert asked(shown.journal, "r-asks-login") == ()
    form = await form_of(shown, "asks-login")
    twice = (through_the_proxy(shown, form, LOGIN, **said, reason=str(number)) for number in range(2))
    await asyncio.gather(*twice, return_exceptions=True)  # one of them is refused, in whichever way
    assert (await shown.closed("asks-login")).outcome is Outcome.PROMOTED
    [one] = asked(shown.journal, "r-asks-login")
    by = "login at the proxy, X-Forwarded-User"
    assert (one.what, one.actor, one.verified, one.allowed) == ("promote:1", f"ann ({LOGIN}, {by}), for ops", by, "ops")


async def who_approves_in_the_form_lets_it_go_on_and_is_marked_unverified(shown: Shown):
    run = await shown.baking("asks-yes")
    form = await form_of(shown, "asks-yes")
    assert (form["name"], form["state"]["name"]) == ("approve-hello-asks-yes-2-step-2", "Approval needed")
    await until("control: an artifact's events are found", lambda: artifact_events(shown, run, "created"))
    assert not await artifact_events(shown, run, "updated"), "a page that is drawn again floods no feed"
    assert (await shown.run(run))["state_type"] == "RUNNING", "the rollout's own run never pauses: it guards"
    await shown.logged(form["id"], "hello 2 into asks-yes waits for an approval of step 2: press Resume")
    await until("its page leads to the form", lambda: leads_to(shown, run, "asks-yes", form["id"]))
    for wrong in ({"decision": "maybe", "name": "ann"}, {"decision": "approve"}, {"decision": "approve", "name": ""}):
        assert (await fill_in(shown, form, **wrong))["status"] == "REJECT", wrong
    assert asked(shown.journal, "r-asks-yes") == (), "control: a form that is not filled in decides nothing"
    assert (await fill_in(shown, form, decision="approve", name="ann", reason="looks good"))["status"] == "ACCEPT"
    assert (await shown.closed("asks-yes")).outcome is Outcome.PROMOTED
    [said] = asked(shown.journal, "r-asks-yes")
    assert (said.what, said.reason, said.actor) == (
        "promote:1",
        "looks good",
        "ann (typed in Prefect, not verified), for ops",
    )
    assert any(
        "ann (typed in Prefect" in event.by for event in shown.events("asks-yes") if isinstance(event, ev.StepPassed)
    )
    await shown.named(form["id"], "Completed")


async def who_aborts_in_the_form_takes_it_back(shown: Shown):
    await shown.baking("asks-no")
    form = await form_of(shown, "asks-no")
    await fill_in(shown, form, decision="abort", name="bob", reason="not today")
    closed = await shown.closed("asks-no")
    assert (closed.outcome, "not today" in closed.reason) == (Outcome.WITHDRAWN, True)


async def a_form_that_nobody_needs_any_more_is_ended_and_its_cancel_is_no_abort(shown: Shown):
    await shown.baking("asks-else")
    form = await form_of(shown, "asks-else")
    await shown.set_state(form["id"], "CANCELLED", "Cancelled")
    await CLOCK.sleep(4.0)
    assert shown.state("asks-else").back is None, "who closes a form decides nothing"
    ask(shown.journal, "r-asks-else", "promote:1", "", actor="ann", clock=CLOCK)
    assert (await shown.closed("asks-else")).outcome is Outcome.PROMOTED
    one = await shown.stack.deployment("approve/approve")
    made = await shown.stack.ask(
        "POST", f"/deployments/{one['id']}/create_flow_run", json={"parameters": form["parameters"]}
    )
    ended = await shown.named(made["id"], "Failed")
    assert ended["state"]["message"].startswith("GP970 "), "one that is started by hand decides nothing"
