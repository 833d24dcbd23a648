"""Who pressed a button in Prefect's page is the proxy's login under the server's key; else it is somebody."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Paused

from deployments.logins import Logins, Receive, Scope, Send, Trust
from deployments.presses import button_of, says_who
from gopub.clock import ManualClock
from gopub.usecases.approvers import SOMEBODY, claimed, typed
from gopub.usecases.pressing import LABEL, NEAR, Button, Pressed, about, label, pressed
from gopub.usecases.seal import Sealed, answer_digest, seal
from tasks import presses

KEY, SECRET = "k" * 32, "s" * 32
RUN = "0b6bb1f0-0000-4000-8000-00000000000a"
AT = ManualClock().now()
ANN = Pressed("cancel", RUN, "ann@corp.example", "X-Forwarded-User", AT)
BY = "login at the proxy, X-Forwarded-User"
WORD = f"ann (ann@corp.example, {BY})"
HOUSE = """
schema: gopub-people/v1
people: {ann: {login: [ann@corp.example]}}
proxy: {secret: {file: proxy.secret}, seal: {file: seal.key}}
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("people.yaml", HOUSE), ("proxy.secret", SECRET), ("seal.key", KEY)):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("GOPUB_PEOPLE", str(tmp_path / "people.yaml"))
    return tmp_path


def test_a_label_vouches_for_one_button_of_one_run() -> None:
    assert pressed(KEY, label(KEY, ANN), "cancel", RUN) == ANN
    start = replace(ANN, button="start", run="gopub:1", about=about({"env": "prod"}))
    assert pressed(KEY, label(KEY, start), "start", "gopub:1", about({"env": "prod"})) == start
    assert pressed(KEY, label(KEY, start), "start", "gopub:1", about({"env": "test"})) is None


def moved(to: str) -> dict[str, Any]:
    return {LABEL + to: label(KEY, ANN)[f"{LABEL}cancel"]}


@pytest.mark.parametrize(
    "labels",
    [
        lambda: label("j" * 32, ANN),
        lambda: label(KEY, replace(ANN, run=RUN[:-1] + "b")),
        lambda: label(KEY, replace(ANN, about="x")),
        lambda: moved("suspend"),
        lambda: {f"{LABEL}cancel": seal(KEY, Sealed(RUN, "r", 1, "ann", "x", AT, answer_digest({})))},
        lambda: {f"{LABEL}cancel": "ann"}, lambda: {f"{LABEL}cancel": 3}, lambda: {f"{LABEL}cancel": "\ud800.é"},
        dict,
    ],
)  # fmt: skip
@pytest.mark.parametrize("button", ["cancel", "suspend"])
def test_a_copy_and_what_another_made_vouch_for_nothing(labels: Callable[[], dict[str, Any]], button: Button) -> None:
    assert pressed(KEY, labels(), button, RUN) is None


def a_run(state: Any, labels: dict[str, Any], at: float = AT) -> FlowRun:
    one = state(timestamp=datetime.fromtimestamp(at, UTC))
    return FlowRun(id=UUID(RUN), flow_id=UUID(RUN), state=one, labels=labels)


def suspended(at: float) -> dict[str, str]:
    return label(KEY, replace(ANN, button="suspend", at=at))


@pytest.mark.usefixtures("house")
def test_a_worker_tells_the_person_behind_the_login_and_somebody_where_nothing_vouches() -> None:
    word = presses.word_of(a_run(Cancelling, label(KEY, ANN)), "cancel")
    assert (word.actor, word.verified) == (WORD, BY)
    assert presses.word_of(a_run(Cancelling, {}), "cancel").actor == SOMEBODY
    assert presses.word_of(None, "cancel").actor == SOMEBODY
    assert presses.word_of(a_run(Paused, suspended(AT)), "suspend").actor == WORD
    old = presses.word_of(a_run(Paused, suspended(AT - NEAR - 1)), "suspend")
    assert old.actor == SOMEBODY, "what ann suspended before was resumed; whoever suspended it now is not ann"
    resumed = a_run(Paused, label(KEY, replace(ANN, button="resume")))
    assert presses.word_of(resumed, "resume", since=AT - 5).actor == WORD
    assert presses.word_of(resumed, "resume", since=AT + NEAR + 1).actor == SOMEBODY, "it ended another hold"


@pytest.mark.parametrize("broken", ["people: [", HOUSE.replace("seal.key", "away.key")])
def test_a_house_that_is_broken_keeps_nobody_from_going_back(house: Path, broken: str) -> None:
    (house / "people.yaml").write_text(broken)
    assert presses.word_of(a_run(Cancelling, label(KEY, ANN)), "cancel").actor == SOMEBODY


@pytest.mark.usefixtures("house")
def test_who_filled_in_a_form_is_known_by_the_key_of_the_run_and_what_was_entered() -> None:
    given = {"app": "orders", "env": "prod", "version": "1.4.0"}
    by = label(KEY, replace(ANN, button="start", run="gopub:1", about=about(given)))
    made = {"idempotency_key": "gopub:1", "parameters": given, "created": datetime.fromtimestamp(AT + 1, UTC)}
    run = a_run(Cancelling, by).model_copy(update=made)
    word = presses.started_by(run)
    assert word is not None
    assert word.actor == WORD
    assert presses.started_by(run.model_copy(update={"parameters": {**given, "env": "test"}})) is None
    assert presses.started_by(run.model_copy(update={"idempotency_key": "gopub:2"})) is None
    again = datetime.fromtimestamp(AT + NEAR + 1, UTC)
    assert presses.started_by(run.model_copy(update={"created": again})) is None, "hers was deleted, and copied"
    form, other = uuid4(), uuid4()
    bound = label(KEY, replace(ANN, button="start", run="gopub:1", about=about(given, str(form))))
    bound_run = a_run(Cancelling, bound).model_copy(update={**made, "deployment_id": form})
    mine = presses.started_by(bound_run)
    assert mine is not None and mine.actor == WORD
    moved = bound_run.model_copy(update={"deployment_id": other})
    assert presses.started_by(moved) is None, "hers is of another form that asks for the same things"


class Prefect:
    """The application; keeps what it was sent, and refuses labels where it is told to."""

    def __init__(self, labels: int = 204) -> None:
        self.labels, self.sent = labels, list[tuple[str, str, Any]]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, status, said = scope["method"], 200, b"{}"
        if method == "GET":
            kept = {
                "id": RUN,
                "labels": {"gopub.kind": "form"},
                "enforce_parameter_schema": True,
                "parameters": {"app": "orders"},
            }
            said = json.dumps(kept).encode()
        else:
            body = bytes((await receive())["body"])
            self.sent.append((method, scope["path"], json.loads(body) if body else None))
            status = self.labels if method == "PATCH" else 200
            if not status:
                raise OSError("database is locked")
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"a/json")]})
        await send({"type": "http.response.body", "body": said})


async def asked(
    prefect: Prefect, path: str, body: Any, login: str = "ann@corp.example", shown: str = SECRET,
    clock: ManualClock | None = None,
) -> int:  # fmt: skip
    trust = Trust("X-Forwarded-User", ("127.0.0.1",), SECRET, KEY)
    around = Logins(prefect, trust, clock or ManualClock(), lambda: None)
    inside = httpx.ASGITransport(app=around, client=("127.0.0.1", 1))
    headers = {"X-Gopub-Proxy": shown, **({"X-Forwarded-User": login} if login else {})}
    async with httpx.AsyncClient(transport=inside, base_url="http://x") as http:
        return (await http.post(path, json=body, headers=headers)).status_code


SET = f"/api/flow_runs/{RUN}/set_state"
CANCEL = {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": True}


@pytest.mark.parametrize(
    ("kind", "name", "button", "did"),
    [
        ("CANCELLING", "Cancelling", "cancel", "cancelled"), ("CANCELLED", "Cancelled", "cancel", "cancelled"),
        ("PAUSED", "Suspended", "suspend", "suspended"), ("SCHEDULED", "AwaitingRetry", "retry", "retried"),
    ],
)  # fmt: skip
async def test_the_login_is_written_beside_the_run_before_and_on_its_page(
    kind: str, name: str, button: Button, did: str
) -> None:
    prefect = Prefect()
    assert await asked(prefect, SET, {"state": {"type": kind, "name": name, "message": "no\nmore"}}) == 200
    (_, labelled, labels), (_, path, body) = prefect.sent
    assert (labelled, path) == (f"/api/flow_runs/{RUN}/labels", SET)
    found = pressed(KEY, labels, button, RUN)
    assert found is not None
    assert found.login == "ann@corp.example"
    assert body["state"]["message"] == f"{did} by ann@corp.example ({BY}): no\\nmore"
    assert (body["state"]["type"], body["state"]["name"]) == (kind, name)


async def test_a_resume_that_is_no_answer_is_written_down_as_well() -> None:
    prefect = Prefect()
    assert await asked(prefect, f"/api/flow_runs/{RUN}/resume", {}) == 200
    (_, _, labels), (_, path, _) = prefect.sent
    assert path.endswith("/resume")
    assert pressed(KEY, labels, "resume", RUN)


@pytest.mark.parametrize(("login", "shown"), [("", SECRET), ("ann,eve", SECRET), ("ann", "wrong")])
async def test_who_is_not_known_cancels_all_the_same_and_nothing_vouches_for_it(login: str, shown: str) -> None:
    prefect = Prefect()
    assert await asked(prefect, SET, CANCEL, login, shown) == 200
    assert prefect.sent == [("POST", SET, CANCEL)]


@pytest.mark.parametrize(("labels", "tries", "waited"), [(503, 5, 3.75), (500, 1, 0), (404, 1, 0), (0, 1, 0)])
async def test_a_server_that_keeps_no_label_cancels_all_the_same(labels: int, tries: int, waited: float) -> None:
    """0: it raises, as Prefect's does in its process where SQLite is locked, after it has answered.

    A long write locks others out for longer than five tries take: they are further and further apart.
    """
    prefect, clock = Prefect(labels), ManualClock()
    assert await asked(prefect, SET, CANCEL, clock=clock) == 200
    assert clock.now() - AT == waited
    assert [path for _, path, _ in prefect.sent] == [f"/api/flow_runs/{RUN}/labels"] * tries + [SET]


async def test_a_form_that_is_sent_bears_the_login_bound_to_what_was_entered() -> None:
    prefect, path = Prefect(), f"/api/deployments/{RUN}/create_flow_run"
    for _ in range(2):
        assert await asked(prefect, path, {"parameters": {"env": "prod"}}) == 200
    (first, second) = (body for _, _, body in prefect.sent)
    assert first["idempotency_key"] != second["idempotency_key"], "who sends it twice orders twice"
    entered = about({"app": "orders", "env": "prod"}, RUN)
    assert pressed(KEY, first["labels"], "start", first["idempotency_key"], entered)
    assert pressed(KEY, first["labels"], "start", second["idempotency_key"], entered) is None


def test_what_is_no_button_has_nobody_written_on_it() -> None:
    for body in (b"", b"[]", b'{"state": 1}', b'{"state": {"type": "RUNNING"}}', b'{"state": {"type": ["PAUSED"]}}'):
        assert button_of(body) is None
        assert says_who(body, "cancel", "ann", "X") == body or b"RUNNING" in body or b"PAUSED" in body


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"ann (ann@corp.example, {BY})", f"ann [ann@corp.example, {BY}]"),
        ("ann\n(at the proxy)\x1b[31m", "ann [at the proxy] [31m"),
        ("ann（proxy）\u202eeve", "ann[proxy] eve"),
        ("a" * 500, "a" * 100), ("token:ci", "token:ci"), ("ann@host:12", "ann@host:12"), (" \n", ""),
    ],
)  # fmt: skip
def test_what_nothing_vouches_for_is_one_plain_line_that_looks_like_no_login(said: str, kept: str) -> None:
    assert claimed(said) == kept
    assert typed(said) == f"{kept or 'somebody'} (typed in Prefect, not verified)"
