"""How `gopub doctor` looks: in a bounded time, whatever hangs or fails, and without writing anything."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gopub.clock import ManualClock, SystemClock
from gopub.errors import GopubError
from gopub.fleet.backends.ssh import Ssh
from gopub.journal import events as ev
from gopub.journal.store import open_journal
from gopub.process import Result, base_environment, run
from gopub.spec.kinds import Connection
from gopub.spec.references import Reference
from gopub.usecases.doctor_facts import Clock, Connected, Facts, JournalSeen, Unseen
from gopub.usecases.doctor_here import by_date, journal_look, packages, project_looks, receiver_look
from gopub.usecases.doctor_looking import Look, left_behind, look_at, together

ROOT = Path(__file__).parents[2]
SPEC = """
app: orders
publish: {store: packages}
environments:
  prod:
    inventory: h.ini
    hosts: role=app
    health: http://127.0.0.1:8080/healthz
    traffic: {router: edge}
  other: {inventory: none.ini, hosts: all, health: http://127.0.0.1:8080/healthz}
"""
CONNECTIONS = """
packages: {{kind: directory, path: {folder}/store}}
metrics: {{kind: prometheus, url: '{url}'}}
edge: {{kind: nginx, inventory: h.ini, hosts: role=edge, metrics: metrics}}
"""
HOSTS = "w1 ansible_host=127.0.0.1 ansible_port=1 role=app\ne1 ansible_host=127.0.0.1 ansible_port=1 role=edge\n"


async def failing() -> Facts:
    raise GopubError("GP342", "the bucket is denied", hint="give the right")


async def good() -> Facts:
    return Facts("", connections=(Connected("well", "s3"),))


def test_one_that_blocks_and_one_that_fails_hold_up_no_other_and_the_end_is_bounded() -> None:
    over, waited = threading.Event(), []

    async def blocks() -> Facts:
        await asyncio.to_thread(lambda: waited.append(over.wait(120)))
        return Facts("")

    try:
        looks = [Look("silent", 0.5, blocks), Look("minio", 9.0, failing, connection=True), Look("well", 9.0, good)]
        seen = look_at([*looks, Look("odd", 9.0, failing)], Facts("1.0.0"))
        assert not waited, "it was left behind"
    finally:
        over.set()
    assert seen.gopub == "1.0.0"
    assert seen.unseen == (
        Unseen("silent", "no answer within 0.5 s", late=True),
        Unseen("odd", "GP342 the bucket is denied"),
    )
    assert seen.connections == (
        Connected("minio", "", "", "GP342 the bucket is denied", "give the right"),
        Connected("well", "s3"),
    )
    assert left_behind(seen)
    assert not left_behind(look_at([Look("well", 9.0, good)], Facts("")))


def test_what_is_not_there_twice_is_kept_from_whoever_has_it() -> None:
    one = together(Facts("1.0.0"), Facts("", journal=JournalSeen("/j"), workers=()))
    both = together(one, Facts("", clocks=(Clock("x", 1.0),)))
    assert (both.gopub, both.journal, both.workers, both.clocks) == ("1.0.0", JournalSeen("/j"), (), (Clock("x", 1.0),))


def test_a_date_is_compared_with_the_middle_of_the_question() -> None:
    said = format_datetime(datetime.fromtimestamp(1_000_042, UTC), usegmt=True)
    assert by_date("store", said, 1_000_000, 1_000_001) == Clock("store", 42.0, 1.0)
    assert by_date("store", "soon", 1, 2) is None
    assert by_date("store", None, 1, 2) is None


def test_what_is_pinned_is_what_is_installed_here() -> None:
    assert {one.name: one.fits for one in packages()} == {"prefect": True, "fastapi": True, "sqlalchemy": True}


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "none" / "journal.db"))
    seen = look_at([journal_look()], Facts("")).journal
    assert seen is not None
    assert (seen.trouble, seen.left, seen.there, seen.named) == ("", (), False, True)
    assert seen.free is not None
    assert list(tmp_path.iterdir()) == []


def test_a_rollout_that_nobody_drives_is_seen_with_the_end_of_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    journal = open_journal(str(tmp_path / "journal.db"), ManualClock())
    parts: list[tuple[str, int, list[ev.Event]]] = [
        ("env/hello/prod", 0, [ev.EnvOpened("r-1", "b" * 64)]),
        ("rollout/r-1", 0, [ev.Opened("r-1", "hello", "prod", "b" * 64, "2", "", "/p")]),
    ]
    journal.append_all(parts, actor="me")
    seen = look_at([journal_look()], Facts("")).journal
    assert seen is not None
    assert [(one.rollout, one.app, one.env, one.waits) for one in seen.left] == [("r-1", "hello", "prod", False)]
    assert seen.left[0].since > 180
    assert seen.size > 0


def test_a_journal_that_somebody_holds_is_seen_and_let_go_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only reads is let in by SQLite, so it looked well while no rollout could write."""
    file = tmp_path / "journal.db"
    monkeypatch.setenv("GOPUB_JOURNAL", str(file))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    open_journal(str(file), ManualClock()).close()
    with closing(sqlite3.connect(file, isolation_level=None)) as holds:
        holds.execute("BEGIN IMMEDIATE")
        held = look_at([journal_look()], Facts("")).journal
        holds.execute("ROLLBACK")
    well = look_at([journal_look()], Facts("")).journal
    assert held and well
    assert held.unwritable.startswith("GP701 ")
    assert held.hint.endswith(f"fuser -v {file}")
    assert (well.unwritable, well.there, well.size > 0) == ("", True, True), "control"


def test_a_journal_that_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_JOURNAL", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    seen = look_at([journal_look()], Facts("")).journal
    assert seen is not None
    assert seen.trouble.startswith("GP701 ")


class Api(BaseHTTPRequestHandler):
    """Something that answers as `gopub serve` and as a Prometheus, an hour ahead."""

    def do_GET(self) -> None:
        ahead = datetime.fromtimestamp(SystemClock().now() + 3600, UTC)
        self.send_response_only(200)
        self.send_header("Date", format_datetime(ahead, usegmt=True))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.answer())

    def __getattr__(self, name: str) -> Callable[[], None]:
        """HEAD and POST are answered likewise."""
        if name in {"do_HEAD", "do_POST"}:
            return self.do_GET
        raise AttributeError(name)

    def answer(self) -> bytes:
        if self.path == "/healthz":
            return b'{"status": "ok", "waiting": 2}'
        value = {"metric": {}, "value": [SystemClock().now(), "1"]}
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": [value]}}).encode()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def api() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_the_receiver_answers_or_says_why_not() -> None:
    with api() as url:
        well = look_at([receiver_look(url)], Facts("")).receiver
    gone = look_at([receiver_look(url)], Facts("")).receiver
    odd = look_at([receiver_look("file:///etc/passwd")], Facts("")).receiver
    assert well and gone and odd
    assert (well.trouble, well.waiting) == ("", 2)
    assert "refused" in gone.trouble
    assert odd.trouble == "this is no http or https address"


async def doctor(folder: Path, **environment: str) -> tuple[Result, dict[str, dict[str, str]]]:
    """The command in that folder: how it ended, and its findings by what they say."""
    extra = {
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "-m", "gopub.cli.main", "doctor", "--json"]
    done = await run(argv, cwd=folder, env=base_environment(extra=extra | environment), timeout=200, check=False)
    assert done.out, done.complaint
    told = json.loads(done.text)
    assert told["schema_version"] == 1
    return done, {one["says"]: one for one in told["findings"]}


async def test_the_connections_of_a_project_are_tried_and_a_clock_that_is_off_is_seen(tmp_path: Path) -> None:
    (tmp_path / "gopub.yaml").write_text(SPEC)
    (tmp_path / "h.ini").write_text(HOSTS)
    with api() as url:
        (tmp_path / "connections.yaml").write_text(CONNECTIONS.format(folder=tmp_path, url=url))
        done, said = await doctor(tmp_path)
    assert said["directory packages answers"]["seen"] == "0 version(s) of orders are published"
    assert said["prometheus metrics answers"]["severity"] == "ok"
    [clock] = [one for says, one in said.items() if says.startswith("the clock of metrics is 3")]  # 3600 s, or nearly
    assert (clock["severity"], clock["says"].endswith(" s ahead of this machine's")) == ("broken", True)
    for name in ("environment other", "host w1", "host e1"):
        assert said[f"{name} cannot be used"]["seen"].startswith("GP"), said
        assert said[f"{name} cannot be used"]["do"]
    assert done.code == 1
    assert not (tmp_path / "store").exists(), "nothing is written"


async def test_the_control_a_prometheus_that_is_gone_and_a_file_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "gopub.yaml").write_text(SPEC)
    (tmp_path / "h.ini").write_text(HOSTS)
    (tmp_path / "connections.yaml").write_text(CONNECTIONS.format(folder=tmp_path, url="http://127.0.0.1:1"))
    _, said = await doctor(tmp_path)
    assert said["prometheus metrics cannot be used"]["severity"] == "broken"
    (tmp_path / "gopub.yaml").write_text("app: [")
    done, said = await doctor(tmp_path)
    assert (done.code, said["gopub.yaml cannot be used"]["severity"]) == (1, "broken")


async def test_a_server_that_accepts_and_says_nothing_costs_a_bounded_time_and_no_other_finding(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://bob:hunter2222@127.0.0.1:{silent.getsockname()[1]}/api"
        began = SystemClock().now()
        done, said = await doctor(tmp_path, PREFECT_API_URL=url)
        assert SystemClock().now() - began < 100
    assert (done.code, b"hunter2222" in done.out + done.err) == (1, False), said
    assert "no answer within" in said["the Prefect server does not answer"]["seen"]
    assert said["there is no journal yet: the first rollout makes it"]["severity"] == "ok"


class ServerHas:
    """A way to hosts that no file of the project gives; its key of orders is not there."""

    def words(self) -> str:
        return "a server"

    async def find(self, reference: Reference) -> Connection | None:
        way = Ssh.model_validate({"user": "gopub", "sign": {"key": "/nowhere/gopub.key"}})
        return way if reference.name == "ssh" else None


async def _done(look: Look) -> Facts:
    return await look.work()


def test_hosts_are_asked_with_the_key_that_a_server_names(tmp_path: Path) -> None:
    """Without it every enrolled host would be told as one that cannot be used."""
    (tmp_path / "gopub.yaml").write_text(SPEC)
    (tmp_path / "connections.yaml").write_text(CONNECTIONS.format(folder=tmp_path, url="http://127.0.0.1:1"))
    (tmp_path / "h.ini").write_text(HOSTS)
    looks = {look.what: look for look in project_looks(tmp_path, ServerHas())}
    with pytest.raises(GopubError, match="GP300 /nowhere"):
        asyncio.run(_done(looks["hosts"]))
