"""Forms of an app on a real server: who orders, steers what is under way, or presses Cancel, as the page sends it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.lint import load_deployments
from deployments.setup.forms import Asked, ensure_forms
from gopub.journal.reading import asked
from gopub.plan.model import Outcome
from gopub.usecases.ask import ask
from gopub.views.forms import Choices, renewed
from tests.flows.held.approvals import LOGIN, PROXY, pressed_through_the_proxy
from tests.flows.held.shown import Shown
from tests.flows.serverkit import AGAIN, CLOCK, PLAIN, ROOT, until

ENV, FROZEN = "steered", "waits-ordered"
PROJECTS = (
    "apps:\n  hello: {{repository: {0}/git, project: {0}, envs: [{1}]}}\ntokens: {{ci: {{secret: {{env: T}}}}}}\n"
)
BY = "login at the proxy, X-Forwarded-User"
ANN = f"ann ({LOGIN}, {BY})"
TRIES = 5


async def with_forms(shown: Shown, folder: Path) -> None:
    """The forms of the app, as a set-up makes them and a worker fills them in; they roll out in memory."""
    envs = [ENV, FROZEN]
    file = folder / "orders.yaml"
    file.write_text(PROJECTS.format(folder, ", ".join(envs)))
    with temporary_settings({PREFECT_API_URL: shown.stack.server.url}):
        async with get_client() as client:
            await ensure_forms(client, load_deployments(ROOT), Asked("orders", {"hello": envs}))
    for env in envs:
        one = await shown.stack.deployment(f"order/deploy hello to {env}")
        variables = {**one["job_variables"]}
        variables["env"] = {**variables.get("env", {}), "GOPUB_PROJECTS": str(file)}
        offered = renewed("hello", env, one["parameter_openapi_schema"], Choices(("2",), ("linux/amd64",)))
        face = {"entrypoint": "tests/flows/memory.py:order", "job_variables": variables,
                "parameter_openapi_schema": offered}  # fmt: skip
        await shown.stack.ask("PATCH", f"/deployments/{one['id']}", json=face)


async def sent(shown: Shown, form: str, login: str = "", **entered: Any) -> httpx.Response:
    """A form that is filled in, through the proxy where somebody is logged in; gives what the server says."""
    one = await shown.stack.deployment(form)
    headers = {"X-Forwarded-User": login, "X-Gopub-Proxy": PROXY} if login else {}
    body = {"parameters": entered, "enforce_parameter_schema": True}

    async def answered() -> httpx.Response | None:
        async with httpx.AsyncClient(verify=PLAIN, trust_env=False, timeout=120.0, headers=headers) as http:
            answer = await http.post(f"{shown.stack.server.url}/deployments/{one['id']}/create_flow_run", json=body)
        return None if answer.status_code in AGAIN else answer

    end = CLOCK.now() + 400.0
    while (answer := await answered()) is None:
        assert CLOCK.now() < end, f"the server has no time for {form}"
        await CLOCK.sleep(1.0)
    return answer


async def begun(shown: Shown, form: str, login: str = "", **entered: Any) -> str:
    """The run that it starts."""
    answer = await sent(shown, form, login, **entered)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


async def steered(shown: Shown, decision: str, login: str = "", **entered: Any) -> dict[str, Any]:
    """What the form `steer hello` came to."""
    run = await begun(shown, "steer/steer hello", login, env=ENV, decision=decision, **entered)
    return await shown.stack.ended(run)


async def a_form_orders_once_and_the_other_form_steers_it_to_the_end(shown: Shown):
    form = f"order/deploy hello to {ENV}"
    await with_forms(shown, shown.bad.parent)
    for wrong, why in (
        ({"version": "9.9.9"}, "'9.9.9' is not one of ['2']"),
        ({"version": "2", "target": "linux/mips"}, "'linux/mips' is not one of"),
        ({"version": "2", "env": "elsewhere"}, "'elsewhere' is not one of"),
    ):
        answer = await sent(shown, form, LOGIN, **wrong)
        assert (answer.status_code, why in answer.json()["detail"]) == (409, True), answer.text
    assert await shown.stack.runs_of(form) == [], "control: none of them began a run"
    twice = await asyncio.gather(*(begun(shown, form, LOGIN, version="2", reason="due") for _ in range(2)))
    refused = await one_is_refused(shown, twice)
    assert shown.state(ENV).by == "ann", "for the house that wants four eyes: the login under the form, on the worker"
    ask(shown.journal, f"r-{ENV}", "hold", "lunch", actor="bob", clock=CLOCK)
    await shown.held(ENV)
    still = await steered(shown, "promote", LOGIN)
    assert (still["state_type"], still["state"]["message"][:6]) == ("FAILED", "GP745 "), still["state"]
    assert (await steered(shown, "resume", name="bob"))["state_type"] == "COMPLETED"
    assert (await steered(shown, "promote", LOGIN, reason="good"))["state_type"] == "COMPLETED"

    async def grown() -> bool:
        return 1 in shown.state(ENV).reached

    await until("it has grown", grown)
    ask(shown.journal, f"r-{ENV}", "promote:2", "", actor="ann", clock=CLOCK)
    assert (await shown.closed(ENV)).outcome is Outcome.PROMOTED
    [other] = set(twice) - {refused}
    await shown.named(other, "Promoted")
    said = {one.what: (one.actor, one.verified) for one in asked(shown.journal, f"r-{ENV}")}
    assert said["promote:1"] == (f"{LOGIN} ({BY})", BY), said
    assert said["resume"] == ("bob (typed in Prefect, not verified)", ""), said


async def one_is_refused(shown: Shown, twice: list[str]) -> str:
    """Of two that were sent at once the one that came second, which ended in words; the first bakes."""

    async def ended() -> list[dict[str, Any]]:
        return [run for run in [await shown.run(one) for one in twice] if run["state_type"] == "FAILED"]

    [run] = await until("one is refused", ended)
    assert run["state"]["message"].startswith(("GP707 ", "GP708 ")), run["state"]
    return str(run["id"])


async def a_form_into_a_frozen_env_waits_in_words_and_can_be_taken_back(shown: Shown):
    """Its forms are those of the story before, which is told before it or beside it."""
    form = f"order/deploy hello to {FROZEN}"

    async def there() -> bool:
        wanted = {"deployments": {"name": {"any_": [f"deploy hello to {FROZEN}"]}}}
        found = await shown.stack.ask("POST", "/deployments/filter", json=wanted)
        return [one["entrypoint"] for one in found] == ["tests/flows/memory.py:order"]

    await until("the form is there", there)
    run = await begun(shown, form, version="2", name="bob")
    found = await shown.named(run, "Waiting")
    assert "waits for the window 00:00-00:01 UTC" in found["state"]["message"]
    ask(shown.journal, f"r-{FROZEN}", "abort", "no longer", actor="ann", clock=CLOCK)
    assert (await shown.closed(FROZEN)).outcome is Outcome.WITHDRAWN
    await shown.named(run, "Withdrawn")


async def a_cancel_of_somebody_logged_in_is_the_journals_word_for_it(shown: Shown):
    """A server that has no time to keep who it was cancels all the same: then another one is cancelled."""
    for number in range(TRIES):
        env = f"cancelled-by-{number}"
        run = await shown.baking(env)
        await pressed_through_the_proxy(shown, f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
        closed = await shown.closed(env)
        assert (closed.outcome, "its flow run was cancelled" in closed.reason) == (Outcome.WITHDRAWN, True)
        await shown.stack.ended(run)
        if said := [one for one in asked(shown.journal, f"r-{env}") if one.verified]:
            break
    [word] = said
    assert (word.what, word.actor, word.verified) == ("abort", ANN, BY)
    assert closed.reason == f"aborted: its flow run was cancelled by {ANN}"


STORIES = [
    a_form_orders_once_and_the_other_form_steers_it_to_the_end,
    a_form_into_a_frozen_env_waits_in_words_and_can_be_taken_back,
    a_cancel_of_somebody_logged_in_is_the_journals_word_for_it,
]
