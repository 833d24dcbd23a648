"""Through the proxy people do what Prefect's page is for; nothing that says what a worker runs, and nothing unknown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.server.api.server import create_api_app

from deployments.logins import Logins, Message, Receive, Scope, Send, Trust
from deployments.reach import for_operators, may_listen, not_offered, refused, refused_body
from gopub.spec.people import parse_people
from tasks.answers import Decision
from tasks.approving import TAG

ID = "0b6bb1f0-0000-4000-8000-00000000000a"
SECRET = "s" * 32
THROUGH = {"X-Gopub-Proxy": SECRET, "X-Forwarded-User": "mallory"}
WRITES = {
    "DELETE /flow_runs/{id}",
    "DELETE /deployments/{id}/schedules/{schedule_id}",
    "DELETE /saved_searches/{id}",
    "PATCH /deployments/{id}",
    "PATCH /deployments/{id}/schedules/{schedule_id}",
    "PATCH /work_pools/{name}",
    "PATCH /work_pools/{work_pool_name}/queues/{name}",
    "PATCH /work_queues/{id}",
    "POST /deployments/{id}/create_flow_run",
    "POST /deployments/{id}/pause_deployment",
    "POST /deployments/{id}/resume_deployment",
    "POST /deployments/{id}/schedules",
    "POST /flow_runs/bulk_delete",
    "POST /flow_runs/bulk_set_state",
    "POST /flow_runs/{id}/resume",
    "POST /flow_runs/{id}/set_state",
    "PUT /saved_searches/",
}
READS = re.compile(
    r".*/(filter|count|paginate|history|lateness|validate|concurrency_status|get_scheduled_flow_runs|get_runs"
    r"|next-runs|count-deployments|count-task-runs|counts|count-by/\{countable\})"
)


def through(call: str, value: str) -> bool:
    method, template = call.split(" ")
    return not refused(method, "/api" + re.sub(r"\{[^}]*\}", value, template))


def engine_call(call: str) -> tuple[str, str]:
    method, template = call.split(" ")
    return method, "/api" + re.sub(r"\{[^}]*\}", ID, template)


def test_of_all_that_prefects_api_has_these_writes_alone_go_through() -> None:
    paths = create_api_app().openapi()["paths"]
    every = {f"{method.upper()} {path}" for path, ways in paths.items() for method in ways if method != "get"}
    assert len(every) > 100, "control: that is the whole API"
    let = {one for one in every if through(one, ID)}
    assert {one for one in let if not READS.fullmatch(one.split(" ", 1)[1])} == WRITES
    assert not let & {"POST /deployments/get_scheduled_flow_runs", "POST /events", "PUT /admin/storage"}
    everybodys = {one for one in let & WRITES if not for_operators(*engine_call(one), b"{}")}
    assert everybodys == {
        "POST /flow_runs/{id}/resume", "POST /deployments/{id}/create_flow_run",
        "PUT /saved_searches/", "DELETE /saved_searches/{id}",
    }  # fmt: skip
    for value in ("flow_runs", "deployments", "api", "filter", "resume", "work_pools", "queues", "ui"):
        odd = {one for one in every - let if through(one, value)}
        assert odd == set(), f"a name like a path opens {odd}"


STARTED = f"/api/deployments/{ID}/create_flow_run"
SET = f"/api/flow_runs/{ID}/set_state"


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("POST", STARTED, {"job_variables": {"command": "cp /etc/gopub/seal.key /tmp"}}, "job_variables"),
        ("POST", STARTED, {"parameters": {}, "idempotency_key": "approval:r-1:2"}, "idempotency_key"),
        ("POST", STARTED, {"parameters": {}, "tags": ["gopub-approval"]}, "gopub-"),
        ("POST", STARTED, {"state": {"type": "SCHEDULED", "data": {"type": "x"}}}, "data"),
        ("POST", SET, {"state": {"type": "COMPLETED", "data": 1}, "force": True}, "data"),
        ("PATCH", f"/api/deployments/{ID}", {"paused": True, "entrypoint": "/tmp/x.py:x"}, "entrypoint"),
        ("PATCH", f"/api/deployments/{ID}", {"pull_steps": [{"run_shell_script": {}}]}, "pull_steps"),
        ("PATCH", "/api/work_pools/gopub", {"base_job_template": {"x": 1}}, "base_job_template"),
        ("POST", SET, {"state": {"state_details": {"run_input_keyset": {"response": "x"}}}}, "run_input_keyset"),
        ("POST", STARTED, {"state": {"type": "COMPLETED", "name": "Promoted"}}, "begins otherwise"),
        ("POST", STARTED, {"parameters": {}, "tags": ["rollout:r-1"]}, "rollout:"),
        ("POST", "/api/block_documents/filter", {"include_secrets": True}, "secrets"),
        ("POST", STARTED, [], "object"),
    ],
)  # fmt: skip
def test_what_would_reach_a_workers_keys_does_not_go_through(method: str, path: str, body: Any, why: str) -> None:
    assert refused(method, path) == "", "control: it is the body"
    assert why in refused_body(method, path, json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"job_variables": {}, "job_variables": {"command": "x"}}',
        '{"job_variables": {"command": "x"}}'.encode("utf-16"),
        b'\xef\xbb\xbf{"job_variables": {"command": "x"}}',
        b'{"job_variables": NaN}',
    ],
)
def test_a_body_that_two_readers_could_read_differently_does_not_go_through(body: bytes) -> None:
    assert "plain JSON" in refused_body("POST", STARTED, body)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", STARTED, {"parameters": {"version": "1"}, "job_variables": {}, "tags": ["x"], "labels": None}),
        ("POST", SET, {"state": {"type": "CANCELLING", "state_details": {"pause_timeout": None}}, "force": False}),
        ("PATCH", f"/api/deployments/{ID}/", {"paused": True}),
        ("PATCH", "/api/work_pools/gopub/queues/urgent", {"is_paused": False}),
        ("PATCH", f"/base/api/work_queues/{ID}", {"is_paused": False}),
        ("POST", f"/api/flow_runs/{ID}/resume", {"run_input": {"decision": "abort"}}),
        ("POST", "/api/block_documents/filter", {"include_secrets": False}),
    ],
)  # fmt: skip
def test_what_the_page_is_for_goes_through(method: str, path: str, body: Any) -> None:
    assert (refused(method, path), refused_body(method, path, json.dumps(body).encode())) == ("", "")


@pytest.mark.parametrize(
    ("query", "let"),
    [
        ("", True), ("include_secrets=false", True), ("limit=3&include_secrets=0", True),
        ("include_secrets=true", False), ("include_secrets=False&include_secrets=1", False),
        ("include%5Fsecrets=yes", False),
    ],
)  # fmt: skip
def test_a_look_shows_no_secrets(query: str, let: bool) -> None:
    assert (refused("GET", f"/api/block_documents/{ID}", query) == "") is let


@pytest.mark.parametrize("enabled", [True, False])
def test_an_automation_is_switched_by_nobody_through_the_proxy(enabled: bool) -> None:
    """The watchdog, switched off and on again, marks every living run as crashed: setup makes it anew instead."""
    assert "is not done" in refused("PATCH", f"/api/automations/{ID}"), enabled


def state(kind: Any, name: Any = None, **more: Any) -> dict[str, Any]:
    return {"state": {"type": kind, "name": name, **more}}


@pytest.mark.parametrize(
    ("method", "path", "body", "everybodys"),
    [
        ("POST", SET, state("CANCELLING", "Cancelling"), True),
        ("POST", SET, {**state("CANCELLED", "Cancelled"), "force": True}, True),
        ("POST", SET, state("PAUSED", "Suspended", state_details={"pause_reschedule": True}), True),
        ("POST", SET, state("SCHEDULED", "AwaitingRetry", message="Retry from the UI"), True),
        ("POST", SET, state("CANCELLED"), True),
        ("POST", SET, state("COMPLETED", "Promoted"), False),
        ("POST", SET, state("CRASHED"), False),
        ("POST", SET, state("RUNNING"), False),
        ("POST", SET, state("PAUSED", "Waiting"), False),
        ("POST", SET, state("CANCELLED", "Promoted"), False),
        ("POST", SET, state(["CANCELLING"]), False),
        ("POST", SET, state("CANCELLING", ["Cancelling"]), False),
        ("POST", SET, {}, False),
        ("POST", "/api/flow_runs/bulk_set_state", {"flow_runs": {}, **state("CANCELLING")}, False),
        ("POST", "/api/flow_runs/bulk_delete", {"flow_runs": {}}, False),
        ("DELETE", f"/api/flow_runs/{ID}", {}, False),
        ("POST", STARTED, {"parameters": {}, "enforce_parameter_schema": True}, True),
        ("POST", STARTED, {"parameters": {"actor": "ann"}, "enforce_parameter_schema": False}, False),
        ("POST", STARTED, {"parameters": {}, "enforce_parameter_schema": None}, False),
        ("PATCH", f"/api/deployments/{ID}", {"paused": True}, False),
        ("POST", f"/api/deployments/{ID}/pause_deployment", {}, False),
        ("POST", f"/api/deployments/{ID}/schedules", [{"schedule": {"interval": 60}}], False),
        ("PATCH", "/api/work_pools/gopub/queues/urgent", {"is_paused": True}, False),
        ("PATCH", "/api/work_pools/gopub", {"concurrency_limit": 0}, False),
    ],
)  # fmt: skip
def test_the_buttons_of_a_run_are_everybodys_and_the_engine_is_the_operators(
    method: str, path: str, body: Any, everybodys: bool
) -> None:
    told = json.dumps(body).encode()
    assert (refused(method, path), refused_body(method, path, told)) == ("", ""), "control: it goes through"
    assert (for_operators(method, path, told) == "") is everybodys


@pytest.mark.parametrize(
    ("deployed", "everybodys"),
    [
        ({"labels": {"gopub.kind": "form"}, "enforce_parameter_schema": True}, True),
        ({"labels": {"gopub.kind": "form"}, "enforce_parameter_schema": False}, False),
        ({"labels": {"gopub.kind": "rule"}, "enforce_parameter_schema": True}, False),
        ({"labels": None, "enforce_parameter_schema": True}, False),
        ({"labels": ["gopub.kind"]}, False), (None, False), ([], False),
    ],
)  # fmt: skip
def test_what_projects_yaml_offers_as_a_form_is_everybodys_to_start_and_nothing_else(deployed: Any, everybodys: bool):
    assert (not_offered(deployed) == "") is everybodys


OWN = {"env": {"DO_NOT_TRACK": "1"}, "stream_output": False}
"""What the deployment is deployed with."""


class Behind:
    """The application; keeps what it was given."""

    def __init__(self, labels: Any = None) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        self.labels = {"gopub.kind": "form"} if labels is None else labels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            one = {"job_variables": OWN, "labels": self.labels, "enforce_parameter_schema": True}
            await send({"type": "http.response.body", "body": json.dumps(one).encode()})
            return
        body = b"" if scope["type"] == "websocket" else bytes((await receive())["body"])
        self.heard.append((scope["type"], scope["path"], body))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})


HOUSE = """
schema: gopub-people/v1
people: {olga: {login: [olga@corp.example]}, ann: {}}
groups: {platform: [olga]}
proxy: {secret: {env: A}, seal: {env: B}, operators: [platform]}
"""


def a_server(labels: Any = None, house: str = HOUSE) -> tuple[Behind, Logins]:
    behind, trust = Behind(labels), Trust("X-Forwarded-User", ("127.0.0.1",), SECRET, "k" * 32)
    return behind, Logins(behind, trust, people=lambda: parse_people(house, "people.yaml"))


async def sent(
    path: str, body: Any, *, method: str = "POST", labels: Any = None, house: str = HOUSE, client: str = "127.0.0.1",
    **headers: str,
) -> tuple[int, list[tuple[str, str, bytes]]]:  # fmt: skip
    behind, around = a_server(labels, house)
    inside = httpx.ASGITransport(app=around, client=(client, 1))
    async with httpx.AsyncClient(transport=inside, base_url="http://x") as http:
        answer = await http.request(method, path, json=body, headers=headers)
    return answer.status_code, behind.heard


OLGA = {**THROUGH, "X-Forwarded-User": "olga@corp.example"}
ENGINE = (
    ("PATCH", f"/api/work_queues/{ID}", {"is_paused": True}),
    ("POST", SET, {"state": {"type": "COMPLETED", "name": "Promoted"}}),
    ("DELETE", f"/api/flow_runs/{ID}", None),
    ("POST", f"/api/deployments/{ID}/pause_deployment", None),
)


@pytest.mark.parametrize(("method", "path", "body"), ENGINE)
async def test_the_engine_is_an_operators_by_login_and_nobody_elses(method: str, path: str, body: Any) -> None:
    async def status(house: str = HOUSE, client: str = "127.0.0.1", **headers: str) -> int:
        return (await sent(path, body, method=method, house=house, client=client, **headers))[0]

    assert await status(**OLGA) == 200
    assert await status(**THROUGH) == 403
    assert await status(**{**OLGA, "X-Forwarded-User": "olga"}) == 403, "her name here is no login of hers"
    assert await status(**{"X-Gopub-Proxy": SECRET}) == 403, "nobody is logged in"
    assert await status(**{**OLGA, "X-Gopub-Proxy": "wrong"}) == 403
    assert await status(**OLGA, client="192.0.2.1") == 403, "the header from elsewhere"
    assert await status(**OLGA, house=HOUSE.replace(", operators: [platform]", "")) == 403, "none are named"
    assert await status(**OLGA, house="people: [") == 403, "a broken file names nobody"
    assert await status() == 200, "control: past the proxy, as `gopub setup` comes"


async def test_a_general_flow_is_an_operators_to_start_since_its_parameters_name_the_project() -> None:
    """With another repository as the project somebody brings hosts, key and steps without approval of his own."""
    body = {"parameters": {"repository": "https://git.example/evil", "project_ref": "main", "env": "prod"}}
    assert await sent(STARTED, body, labels={}, **THROUGH) == (403, [])
    assert (await sent(STARTED, body, labels={}, **OLGA))[0] == 200
    assert (await sent(STARTED, body, **THROUGH))[0] == 200, "control: a form, whose schema refuses these"


async def test_what_is_let_through_arrives_whole_and_what_is_not_does_not_arrive() -> None:
    plain, evil = {"parameters": {"env": "prod"}}, {"job_variables": {"command": "x"}}
    status, [(_, path, body)] = await sent(STARTED, plain, **THROUGH)
    assert (status, path, json.loads(body)) == (200, STARTED, plain)
    assert await sent(STARTED, evil, **THROUGH) == (403, [])
    assert await sent("/api/deployments/", evil, **THROUGH) == (403, [])
    status, heard = await sent(STARTED, evil)
    assert (status, len(heard)) == (200, 1), "control: a worker, which comes past the proxy, does all"


async def test_the_job_variables_that_the_page_fills_in_are_the_deployments_and_no_others() -> None:
    """Prefect's page sends along those of the deployment; what somebody added to them is refused."""
    plain = {"parameters": {"env": "prod"}}
    status, [(_, _, body)] = await sent(STARTED, {**plain, "job_variables": OWN}, **THROUGH)
    assert (status, json.loads(body)) == (200, plain), "the deployment's own count, as they are then"
    assert await sent(STARTED, {**plain, "job_variables": {**OWN, "command": "x"}}, **THROUGH) == (403, [])
    assert await sent(STARTED, {**plain, "job_variables": {"env": OWN["env"]}}, **THROUGH) == (403, [])


@pytest.mark.parametrize("shown", [{"X_Gopub_Proxy": "x"}, {"X-Gopub-Proxy": "wrong"}, {"x-gopub-proxy": ""}])
async def test_who_spoils_what_the_proxy_shows_gains_nothing(shown: dict[str, str]) -> None:
    assert await sent(STARTED, {"job_variables": {"command": "x"}}, **shown) == (403, [])


async def test_another_sites_page_starts_and_cancels_nothing() -> None:
    for path, body in ((STARTED, {}), (SET, state("CANCELLING", "Cancelling"))):
        assert await sent(path, body, **THROUGH, **{"Sec-Fetch-Site": "cross-site"}) == (403, [])
        assert (await sent(path, body, **THROUGH, **{"Sec-Fetch-Site": "same-origin"}))[0] == 200


@pytest.mark.parametrize(
    ("path", "let"),
    [
        ("/api/events/out", True), ("/api/logs/out", True), ("/api/events/in", False),
        ("/api/task_runs/subscriptions/scheduled", False), ("/api/work_pools/gopub/workers/connect", False),
    ],
)  # fmt: skip
async def test_people_hear_what_the_page_hears_and_take_no_work(path: str, let: bool) -> None:
    behind, around = a_server()
    said: list[Message] = []

    async def hear() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "websocket", "path": path, "headers": [(b"x-gopub-proxy", SECRET.encode())]}
    await around(scope, hear, send)
    assert (len(behind.heard), [one["type"] for one in said]) == ((1, []) if let else (0, ["websocket.close"]))
    await around({**scope, "headers": []}, hear, send)
    assert len(behind.heard) == (2 if let else 1), "control: past the proxy"
    assert may_listen(path) is let


def test_what_the_guide_lets_a_program_send_goes_through_and_is_an_answer_to_the_form() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "approvals.md").read_text("utf-8")
    part = guide.partition("### By a program")[2].partition("\n### ")[0]
    calls = re.findall(r"https://prefect\.corp\.example(/\S+).*\\\n +-d '(.+)'", part)
    assert [path for path, _ in calls] == ["/api/flow_runs/filter", "/api/flow_runs/$ID/resume"]
    for path, body in calls:
        where = path.replace("$ID", ID)
        assert (refused("POST", where), refused_body("POST", where, body.encode())) == ("", "")
        assert for_operators("POST", where, body.encode()) == ""
    assert TAG in json.loads(calls[0][1])["flow_runs"]["tags"]["all_"]
    FlowRunFilter.model_validate(json.loads(calls[0][1])["flow_runs"])
    assert Decision.model_validate(json.loads(calls[1][1])["run_input"]).decision == "approve"
