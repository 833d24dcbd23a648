"""Who is logged in is believed from the proxy alone, and sealed into the answer; nothing else is changed on its way."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from deployments.logins import Ambiguous, Logins, Message, Receive, Scope, Send, Trust, login_of
from gopub.clock import ManualClock
from gopub.usecases.seal import FIELD, opened
from tasks.answers import Decision
from tasks.approving import TAG

KEY, SECRET = "k" * 32, "s" * 32
TRUST = Trust("X-Forwarded-User", ("127.0.0.1", "10.0.0.0/30"), SECRET, KEY)
RUN = "0b6bb1f0-0000-4000-8000-00000000000a"
ANSWER = {"decision": "approve", "name": "bob", "reason": ""}
SHOWN = (b"x-gopub-proxy", SECRET.encode())
ANN = (b"x-forwarded-user", b"ann@corp.example")


def scope(*headers: tuple[bytes, bytes], client: Any = ("127.0.0.1", 1)) -> Scope:
    return {"type": "http", "method": "POST", "path": f"/api/flow_runs/{RUN}/resume", "headers": list(headers),
            "client": client}  # fmt: skip


def test_the_proxy_is_believed():
    assert login_of(scope(SHOWN, ANN), TRUST) == "ann@corp.example"
    assert login_of(scope(SHOWN, ANN, client=("::ffff:10.0.0.2", 1)), TRUST) == "ann@corp.example"
    assert login_of(scope(SHOWN, (b"X-Forwarded-User", "jürgen".encode())), TRUST) == "jürgen"


@pytest.mark.parametrize(
    "sent",
    [
        scope(ANN),
        scope(SHOWN),
        scope((b"x-gopub-proxy", b"s"), ANN),
        scope((b"x_gopub_proxy", SECRET.encode()), ANN),
        scope(SHOWN, SHOWN, ANN),
        scope(SHOWN, ANN, client=("10.0.0.4", 1)),
        scope(SHOWN, ANN, client=None),
        scope(SHOWN, ANN, client=("", 0)),
        scope(SHOWN, ANN, (b"x-forwarded-for", b"127.0.0.1"), client=("192.0.2.1", 1)),
    ],
)
def test_everybody_else_has_no_login(sent: Scope):
    assert login_of(sent, TRUST) == ""


@pytest.mark.parametrize(
    "named",
    [
        (ANN, (b"x-forwarded-user", b"eve")),
        (ANN, (b"x_forwarded_user", b"eve")),
        ((b"x_forwarded_user", b"eve"),),
        ((b"X_Forwarded-User", b"eve"), ANN),
        ((b"x-forwarded-user", b"ann,eve"),),
        ((b"x-forwarded-user", b"ann eve"),),
        ((b"x-forwarded-user", b"ann\xff"),),
        ((b"x-forwarded-user", "ann\u202e".encode()),),
        ((b"x-forwarded-user", "ann\u00a0".encode()),),
        ((b"x-forwarded-user", b"a" * 201),),
    ],
)
def test_what_is_not_plain_is_nobody(named: tuple[tuple[bytes, bytes], ...]):
    with pytest.raises(Ambiguous):
        login_of(scope(SHOWN, *named), TRUST)


class Prefect:
    """The application as far as answers need it; keeps what it was given last."""

    def __init__(self) -> None:
        self.run: dict[str, Any] = {
            "tags": [TAG], "parameters": {"rollout": "r-1", "step": 2}, "idempotency_key": "approval:r-1:2:before",
        }  # fmt: skip
        self.form: dict[str, Any] = Decision.model_json_schema()
        self.heard: tuple[Scope, bytes] = ({}, b"")
        self.login = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"])
        status, said = 200, self.form if scope["path"].endswith("/input/approval-schema") else self.run
        if self.login and given.get(b"authorization", b"").decode() != self.login:
            status = 401
        if scope["method"] == "POST":
            body, more = b"", True
            while more:
                message: Message = await receive()
                body, more = body + message["body"], message["more_body"]
            self.heard = (scope, body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


async def answered(prefect: Prefect, path: str = f"/api/flow_runs/{RUN}/resume", method: str = "POST", *,
                   body: bytes | None = None, client: str = "127.0.0.1", **more: str) -> int:  # fmt: skip
    """Answer through the proxy; gives the status."""
    around = Logins(prefect, TRUST, ManualClock())
    headers = {"X-Gopub-Proxy": SECRET, "X-Forwarded-User": "ann"} | {
        name.replace("_", "-"): value for name, value in more.items()
    }
    inside = httpx.ASGITransport(app=around, client=(client, 1))
    async with httpx.AsyncClient(transport=inside, base_url="http://x") as http:
        content = json.dumps({"run_input": ANSWER}).encode() if body is None else body
        return (await http.request(method, path, content=content, headers=headers)).status_code


def sealed(prefect: Prefect) -> str:
    """The login that what arrived is vouched for by; empty where nothing vouches."""
    try:
        answer = json.loads(prefect.heard[1])["run_input"]
        now = ManualClock().now()
        return opened(KEY, answer[FIELD], run=RUN, rollout="r-1", step=2, answer=answer, now=now).login
    except (KeyError, TypeError, ValueError):
        return ""


@pytest.mark.parametrize("path", [f"/api/flow_runs/{RUN}/resume", f"/base/api/flow_runs/{RUN.upper()}/resume/"])
async def test_an_answer_through_the_proxy_is_sealed_and_the_application_sees_no_word_of_the_proxys(path: str):
    prefect = Prefect()
    prefect.login = "Basic abc"
    assert await answered(prefect, path, authorization="Basic abc", x_forwarded_for="192.0.2.9") == 200
    assert sealed(prefect) == "ann"
    given, body = prefect.heard
    names = {name.lower() for name, _ in given["headers"]}
    assert not names & {b"x-forwarded-user", b"x-gopub-proxy"}
    assert dict(given["headers"])[b"content-length"] == str(len(body)).encode()
    assert json.loads(body)["run_input"].items() >= ANSWER.items()


async def test_a_seal_that_a_client_sends_is_replaced():
    prefect = Prefect()
    await answered(prefect)
    old = json.loads(prefect.heard[1])["run_input"][FIELD]
    record = json.loads(base64.urlsafe_b64decode(old.partition(".")[0]))
    assert record["login"] == "ann"
    await answered(prefect, body=json.dumps({"run_input": {**ANSWER, FIELD: "eve"}}).encode())
    assert sealed(prefect) == "ann"
    await answered(prefect, client="192.0.2.1", body=json.dumps({"run_input": {**ANSWER, FIELD: "eve"}}).encode())
    assert json.loads(prefect.heard[1])["run_input"][FIELD] == "eve", "past the proxy it goes through, and is no seal"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"run_input": null}', b'{"run_input": {}}',
        b'{"run_input": {"decision": "abort", "decision": "approve", "name": "x"}}',
        b'{"run_input": {"decision": {"__prefect_kind": "jinja", "template": "approve"}, "name": "x"}}',
    ],
)  # fmt: skip
async def test_what_is_no_plain_answer_goes_through_as_it_came(body: bytes):
    prefect = Prefect()
    assert await answered(prefect, body=body) == 200
    assert prefect.heard[1] == body


async def test_a_run_that_is_no_form_or_a_form_of_before_is_not_touched():
    another: dict[str, Any] = {"parameters": {"rollout": "r-2", "step": 2}}  # changed since it was made
    twelfth: dict[str, Any] = {"idempotency_key": "approval:r-1:21"}
    asked = ({"tags": ["other"]}, {"parameters": {}}, {"parameters": {"rollout": "r-1", "step": "2"}}, another, twelfth)
    for change in asked:
        prefect = Prefect()
        prefect.run |= change
        assert await answered(prefect) == 200
        assert json.loads(prefect.heard[1]) == {"run_input": ANSWER}
    before = Prefect()
    before.form["additionalProperties"] = False
    assert await answered(before) == 200
    assert json.loads(before.heard[1]) == {"run_input": ANSWER}, "its form would refuse seal and answer"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (f"/api/flow_runs/{RUN}/set_state", "POST"), (f"/api/flow_runs/{RUN}/input", "POST"),
        (f"/api/flow_runs/{RUN}/resume", "PUT"), ("/api/flow_runs/x/resume", "POST"),
    ],
)  # fmt: skip
async def test_nothing_but_an_answer_is_vouched_for(path: str, method: str):
    prefect = Prefect()
    await answered(prefect, path, method)
    assert sealed(prefect) == ""


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"sec_fetch_site": "cross-site"}, 403), ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200), ({"X_Forwarded_User": "ann, eve"}, 403),
    ],
)  # fmt: skip
async def test_another_sites_page_answers_nothing_under_the_login_of_whoever_looks(more: dict[str, str], status: int):
    prefect = Prefect()
    assert await answered(prefect, **more) == status
    assert bool(prefect.heard[1]) == (status == 200)


async def test_an_answer_has_an_end():
    prefect = Prefect()
    assert await answered(prefect, body=b" " * 70_000) == 413
    assert prefect.heard[1] == b""
