"""Automations that may be missed, on a real server: made once, fired by an event, removed; those of others stay."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.engine import PrefectStarter, attended
from deployments.setup.asides import asides_of, ensure_asides
from deployments.starter import RunOrder
from gopub.errors import GopubError
from gopub.spec.projects import Projects, parse_projects
from gopub.usecases.doctor import POOL
from tests.flows.serverkit import Stack, run_sync, start, until
from tests.support.rooms import room

HEAD = """apps:
  orders:
    repository: /srv/orders
    project: /srv/orders
    envs: [staging, prod]
    may_be_missed:
"""
OWED = """      - when: {source: gopub, type: host.owed, match: {env: prod, payload.host: "web*"}}
        run: ops/page
        parameters: {text: "{payload.host} of {app} in {env}: {payload.why}"}
"""
GONE = "      - {when: {source: gopub, type: host.failed}, run: ops/nowhere}\n"
FAILED = "      - {when: {source: gopub, type: host.failed}, run: ops/page}\n"
TOLD = """      - when: {source: gopub, type: host.owed, match: {env: prod}}
        notify: custom-webhook/ops
        text: "{payload.host} of {app}: {payload.why}"
"""
TAIL = "tokens: {ci: {secret: {env: T}}}\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made: Stack = run_sync(start(tmp_path_factory.mktemp("asides")))
    try:
        yield made
    finally:
        run_sync(made.stop())


def projects(*asides: str) -> Projects:
    listed = "".join(asides) or "      []\n"
    return parse_projects(HEAD + listed + TAIL, "projects.yaml")


async def ensured(found: Projects, owner: str = "us") -> list[tuple[str, str]]:
    """What was done, by the name without its digest."""
    async with get_client() as client:
        made = await ensure_asides(client, found, owner)
    return sorted((one.did, one.name.partition(" (")[0]) for one in made)


async def named(stack: Stack) -> list[str]:
    return sorted(one["name"] for one in await stack.ask("POST", "/automations/filter", json={}))


async def somebodys(name: str) -> None:
    """An automation that a person made."""
    body = {"name": name, "trigger": {"type": "event", "expect": ["theirs"], "posture": "Reactive", "threshold": 1},
            "actions": [{"type": "do-nothing"}]}  # fmt: skip
    async with get_client() as client:
        await client.create_automation(AutomationCore.model_validate(body))


def owed(host: str, why: str) -> dict[str, Any]:
    resource = {"prefect.resource.id": "gopub.rollout.r-1", "prefect.resource.name": "r-1", "gopub.app": "orders",
                "gopub.env": "prod"}  # fmt: skip
    related = [{"prefect.resource.id": f"gopub.host.{host}", "prefect.resource.role": "host"}]
    return {"id": str(uuid.uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": "gopub.host.owed",
            "resource": resource, "related": related, "payload": {"host": host, "why": why}}  # fmt: skip


async def story(stack: Stack) -> None:
    flow = (await stack.ask("POST", "/flows/", json={"name": "ops"}))["id"]
    await stack.ask("POST", "/deployments/",
                    json={"name": "page", "flow_id": flow, "enforce_parameter_schema": False})  # fmt: skip
    (failed,) = asides_of(projects(FAILED))
    await somebodys("their own")
    await somebodys(failed)

    done = await ensured(projects(OWED, FAILED, GONE))
    assert done == [
        ("created", "gopub: orders: ops/page at host.owed"),
        ("left", "gopub: orders: ops/nowhere at host.failed"),
        ("left", "gopub: orders: ops/page at host.failed"),
    ]
    assert [did for did, _ in await ensured(projects(OWED))] == ["unchanged"]
    assert [did for did, _ in await ensured(projects(OWED), "another gopub")] == ["left"]

    await stack.ask("POST", "/events", json=[owed("db1", "not meant"), owed("web1", "{{ 7 * 7 }}")])
    runs = await until("the automation started a run", lambda: stack.runs_of("ops/page"))
    assert [one["parameters"] for one in runs] == [{"text": "web1 of orders in prod: {{ 7 * 7 }}"}]

    await people_are_told(stack)
    assert ("removed", "gopub: orders: custom-webhook/ops at host.owed") in await ensured(projects(OWED))
    before = await named(stack)
    assert await ensured(projects()) == [("removed", "gopub: orders: ops/page at host.owed")]
    assert set(before) - set(await named(stack)) == set(asides_of(projects(OWED)))
    assert {"their own", failed} <= set(await named(stack))


async def people_are_told(stack: Stack) -> None:
    """By a block of the server, which fills in the text and runs nothing of it."""
    with room() as there:
        hook = CustomWebhookNotificationBlock(
            name="ops", url=f"http://{there.address}/", json_data={"says": "{{body}}"}
        )
        await hook.asave("ops")
        assert ("created", "gopub: orders: custom-webhook/ops at host.owed") in await ensured(projects(OWED, TOLD))
        await stack.ask("POST", "/events", json=[owed("db2", "{{ 7 * 7 }}")])

        async def came() -> bool:
            return bool(there.came)

        await until("the automation told people", came)
        assert [post.json for post in there.came] == [{"says": "db2 of orders: {{ 7 * 7 }}"}]


def test_an_automation_is_made_once_fires_and_goes_and_those_of_others_stay(stack: Stack) -> None:
    with temporary_settings({PREFECT_API_URL: stack.server.url}):
        asyncio.run(story(stack))


async def workers_come_and_go(stack: Stack) -> None:
    assert not await attended(), "nobody has set it up"
    await stack.ask("POST", "/work_pools/", json={"name": POOL, "type": "process"})
    assert not await attended(), "no worker was ever there"
    await stack.ask(
        "POST", f"/work_pools/{POOL}/workers/heartbeat", json={"name": "w", "heartbeat_interval_seconds": 3600}
    )
    assert await attended()
    await stack.ask("PATCH", f"/work_pools/{POOL}", json={"is_paused": True})
    assert not await attended(), "it takes up nothing"


def test_the_server_says_whether_a_worker_takes_up_runs(stack: Stack) -> None:
    with temporary_settings({PREFECT_API_URL: stack.server.url}):
        asyncio.run(workers_come_and_go(stack))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}), pytest.raises(GopubError) as told:
        asyncio.run(attended())
    assert told.value.code == "GP918"


async def an_alert_starts_it(stack: Stack) -> None:
    flow = (await stack.ask("POST", "/flows/", json={"name": "look"}))["id"]
    await stack.ask("POST", "/deployments/",
                    json={"name": "look", "flow_id": flow, "enforce_parameter_schema": False})  # fmt: skip
    order = RunOrder("orders", "", "alert:0@1.000:firing:look/look", {"text": "{{ 7 * 7 }}"}, "look/look")
    first, again = await PrefectStarter().start(order), await PrefectStarter().start(order)
    assert first.id == again.id
    (run,) = await stack.runs_of("look/look")
    assert (run["parameters"], run["tags"]) == ({"text": "{{ 7 * 7 }}"}, ["app:orders"])


def test_somebodys_deployment_is_started_once_for_an_alert_and_is_none_of_ours(stack: Stack) -> None:
    with temporary_settings({PREFECT_API_URL: stack.server.url}):
        asyncio.run(an_alert_starts_it(stack))
