"""A real Alertmanager as one who is told of rollouts: what fires there, for how long, and what is refused."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gopub.clock import ManualClock, SystemClock
from gopub.errors import GopubError
from gopub.notify.backends.alertmanager import APART, LONGEST, TRIAL, Alertmanager, AlertmanagerNotifier
from gopub.notify.message import About, Message, Tone
from gopub.notify.protocol import Answer
from gopub.spec.connections import parse_connections
from gopub.wiring.backends import BACKENDS
from tests.contracts.alertmanager_server import Server, alertmanager
from tests.contracts.test_notify_contract import NotifyContract, NotifyGround, connected
from tests.contracts.tls_server import Authority
from tests.support.rooms import Room, room

TOKEN = "s3cretT0kenOfAlerts"
ABOUT = About("hello", "prod", "r-1", "2.0.0", "stuck", "stuck/2", holds=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with alertmanager(tmp_path) as found:
        yield found


@pytest.fixture
def web() -> Iterator[Room]:
    with room() as found:
        yield found


def to(url: str, folder: Path, more: str = "") -> Alertmanager:
    made = connected(f"{{kind: alertmanager, url: '{url}'{more}}}", folder)
    assert isinstance(made, Alertmanager)
    return made


def send(connection: Alertmanager, about: About = ABOUT, tone: Tone = Tone.WARNING, within: float = 60.0) -> Answer:
    notifier = AlertmanagerNotifier(connection, within=within)
    return asyncio.run(notifier.send(Message("hello 2.0.0 in prod: stuck", "why\nNext: x", tone, about)))


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class TestAlertmanager(NotifyContract):
    KIND = "alertmanager"

    @pytest.fixture
    def ground(self, server: Server, tmp_path: Path) -> NotifyGround:
        def texts() -> list[str]:
            gone = server.process.poll() is not None
            return [] if gone else [
                f"{one['annotations']['summary']}\n{one['annotations']['description']}" for one in server.alerts()
            ]  # fmt: skip

        return NotifyGround(to(server.url, tmp_path), texts, server.leave)


def test_what_holds_fires_under_its_labels_once_however_often_it_is_sent_and_ends_when_it_is_told(
    server: Server, tmp_path: Path
) -> None:
    connection = to(server.url, tmp_path, ", labels: {team: trade}")
    since = SystemClock().now() - 600
    fires = replace(ABOUT, since=since)
    assert send(connection, fires).taken
    assert send(connection, fires).taken
    (alert,) = server.alerts()
    assert alert["labels"] == {
        "alertname": "GopubStuck", "app": "hello", "env": "prod", "rollout": "r-1", "event": "stuck",
        "notice": "stuck/2", "severity": "warning", "team": "trade",
    }  # fmt: skip
    assert alert["annotations"] == {"summary": "hello 2.0.0 in prod: stuck", "description": "why\nNext: x"}
    assert moment(alert["startsAt"]) == pytest.approx(since, abs=0.01)
    assert moment(alert["endsAt"]) - since > LONGEST, "until somebody says that it is over"
    assert send(connection, replace(fires, key="stuck/3")).taken
    assert len(server.alerts()) == 2, "control: another one is another alert"
    assert send(connection, replace(fires, over=SystemClock().now())).taken
    assert [one["labels"]["notice"] for one in server.alerts()] == ["stuck/3"]


def test_one_that_is_over_before_it_was_taken_never_fires(server: Server, tmp_path: Path) -> None:
    now = SystemClock().now()
    assert send(to(server.url, tmp_path), replace(ABOUT, since=now - 900, over=now - 300)).taken
    assert server.alerts() == []


def sent(web: Room, about: About, tone: Tone, clock: ManualClock, connection: Alertmanager) -> dict[str, Any]:
    asyncio.run(AlertmanagerNotifier(connection, clock).send(Message("t", "b", tone, about)))
    (alert,) = web.came[-1].json
    assert isinstance(alert, dict)
    return alert


def test_what_has_happened_fires_from_when_it_is_sent_and_a_trial_for_minutes(web: Room, tmp_path: Path) -> None:
    clock, connection = ManualClock(), to(f"http://{web.address}/am/", tmp_path, ", lasts: 2h")
    ended = About("hello", "prod", "r-1", "2.0.0", "rolled-back", "ended", since=clock.now() - 7200)
    alert = sent(web, ended, Tone.BAD, clock, connection)
    assert web.came[-1].path == "/am/api/v2/alerts"
    assert alert["labels"]["severity"] == "critical"
    assert moment(alert["startsAt"]) == clock.now() - 7200
    assert moment(alert["endsAt"]) == clock.now() + 7200, "also where it could not be told for so long"
    trial = sent(web, About("hello", "prod", event="test", key="test"), Tone.INFO, clock, connection)
    assert moment(trial["endsAt"]) == clock.now() + TRIAL
    assert "rollout" not in trial["labels"] and trial["labels"]["alertname"] == "GopubTest"


def test_an_end_lies_behind_also_where_clocks_differ_and_never_before_its_beginning(web: Room, tmp_path: Path) -> None:
    clock, connection = ManualClock(), to(f"http://{web.address}", tmp_path)
    now = clock.now()
    long = sent(web, replace(ABOUT, since=now - 900, over=now - 10), Tone.WARNING, clock, connection)
    assert moment(long["endsAt"]) == now - 10 - APART
    short = sent(web, replace(ABOUT, since=now - 5, over=now + 3), Tone.WARNING, clock, connection)
    assert moment(short["endsAt"]) == moment(short["startsAt"]) == now - 5


def test_the_login_goes_to_this_server_alone_and_into_no_text(web: Room, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    connection = to(f"http://{web.address}", tmp_path, ", token: {file: token}")
    with room() as other:
        web.status, web.headers = 307, {"Location": f"http://{other.address}/api/v2/alerts"}
        answer = send(connection)
        assert not answer.taken and "307" in answer.says
        assert other.came == []
    web.status, web.headers, web.answer = 401, {}, f"who is {TOKEN}?".encode()
    answer = send(connection)
    assert not answer.taken and "401" in answer.says
    web.status = 503
    answer = send(connection)
    assert not answer.taken and "503" in answer.says and TOKEN not in answer.says
    (tmp_path / "token").unlink()
    assert "cannot be read" in send(connection).says


def test_one_that_hangs_or_drips_for_ever_is_given_up(web: Room, tmp_path: Path) -> None:
    web.pours = 1 << 20
    answer = send(to(f"http://{web.address}", tmp_path))
    assert answer.taken, "no more of it is read than anybody looks at"
    assert web.poured < 1 << 10
    web.pours = 0
    web.hangs = threading.Event()
    try:
        assert send(to(f"http://{web.address}", tmp_path), within=0.5) == Answer(False, "no answer within 0.5s")
    finally:
        web.hangs.set()


def test_tls_is_that_of_the_authority_that_is_named(tmp_path: Path) -> None:
    authority = Authority.new(tmp_path)
    certificate, key = authority.sign("127.0.0.1")
    settings = {"tls_server_config": {"cert_file": str(certificate), "key_file": str(key)},
                "basic_auth_users": {}}  # fmt: skip
    (tmp_path / "web.yml").write_text(json.dumps(settings))
    with alertmanager(tmp_path, flags=(f"--web.config.file={tmp_path / 'web.yml'}",)) as server:
        url = server.url.replace("http://", "https://")
        assert send(to(url, tmp_path, f", ca: {authority.ca}")).taken
        assert "authority that is not known" in send(to(url, tmp_path)).says
        assert "speaks TLS" in send(to(server.url, tmp_path)).says


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (", user: am", "GP115"),
        (", token: {env: A}, user: am, password: {env: B}", "GP134"),
        (", user: 'a:m', password: {env: B}", "GP129"),
        (", labels: {rollout: mine}", "GP134"),
        (", labels: {a-b: c}", "GP120"),
        (", token: plain", "GP143"),
    ],
)
def test_what_is_wrong_with_a_connection_is_told(more: str, code: str) -> None:
    with pytest.raises(GopubError) as told:
        parse_connections(f"n: {{kind: alertmanager, url: 'http://am'{more}}}\n", "c.yaml", Path(), BACKENDS)
    assert told.value.code == code
