"""With nothing set up, a command starts a Prefect server for its own flows, and leaves none behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from deployments.server import Server, answering, descendants, launch_own, stop
from gopub.clock import SystemClock
from gopub.journal.store import open_journal
from gopub.process import base_environment, run, spawn
from tests.flows.serverkit import ROOT, go_repository, run_sync, until

SPEC = "app: small\nenvironments:\n  lab: {inventory: nowhere.ini, hosts: all, health: http://127.0.0.1:8080/healthz}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a repository ``small`` in it, and room for gopub's state."""
    run_sync(go_repository(tmp_path / "small", SPEC))
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    """No server is set up here; state and cache are the test's."""
    own = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("STATE", "CONFIG", "CACHE")}
    kept = ["GOPUB_CACHE"]
    return base_environment(keep=kept, extra={**own, "PYTHONPATH": str(ROOT)})


def command(home: Path) -> list[str]:
    """Release the repository."""
    return [sys.executable, "-m", "gopub.cli.main", "release", "v1.4.0", "--repository", str(home / "small")]


def servers(home: Path) -> list[int]:
    """The Prefect servers that run on that state."""
    wanted = f"PREFECT_HOME={home}/state/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                is_server = b"deployments.prefect_server" in (entry / "cmdline").read_bytes()
                if is_server and wanted in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked
    return found


def test_it_ends_with_its_command(home: Path) -> None:
    # The proxy is one that nobody runs: the server listens on loopback, so its command must not ask there.
    behind = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    done = run_sync(run(command(home), env=environment(home) | behind, cwd=home, timeout=300))
    assert "small 1.4.0" in done.text
    (database,) = home.glob("state/gopub/prefect-*/prefect.db")
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT name, state_type FROM flow_run").fetchall() == [("release-small-v1.4.0", "COMPLETED")]
        boxes = [name for (name,) in db.execute("SELECT name FROM task_run WHERE state_type = 'COMPLETED'")]
    assert {"checkout", "publish"} <= set(boxes)
    assert servers(home) == []


async def told_to(server: Server, auth: tuple[str, str] | None) -> int:
    """What it answers to whoever asks for its runs."""
    async with httpx.AsyncClient(trust_env=False, timeout=120.0, auth=auth) as http:
        return (await http.post(f"{server.url}/flow_runs/count", json={})).status_code


def test_nobody_else_on_the_machine_can_tell_it_anything(tmp_path: Path) -> None:
    """Who could, could cancel a rollout: loopback is everybody's."""
    server = launch_own(tmp_path / "prefect")

    async def asked() -> list[int]:
        await answering(server)
        user, _, word = server.login.partition(":")
        return [await told_to(server, auth) for auth in (None, (user, "guessed"), (user, word))]

    try:
        assert run_sync(asked()) == [401, 401, 200]
        assert server.login.partition(":")[2] not in repr(server)
    finally:
        run_sync(stop(server.running))
    assert oct((tmp_path / "prefect").stat().st_mode & 0o777) == "0o700"


def test_each_version_of_the_engine_keeps_a_database_of_its_own(home: Path) -> None:
    """A wheel and a checkout of one user may bring different ones: the older cannot open what the newer migrated."""
    newer = home / "state/gopub/prefect-99.0.0"
    newer.mkdir(parents=True)
    migrated_by_a_newer_one(newer / "prefect.db")
    done = run_sync(run(command(home), env=environment(home), cwd=home, timeout=300))
    assert "small 1.4.0" in done.text
    assert (home / "state/gopub" / f"prefect-{version('prefect')}" / "prefect.db").is_file()


def test_a_database_of_a_newer_engine_is_named_as_the_cause(home: Path) -> None:
    migrated_by_a_newer_one(home / "prefect.db")
    chosen = environment(home) | {"PREFECT_HOME": str(home)}
    done = run_sync(run(command(home), env=chosen, cwd=home, timeout=300, check=False))
    said = done.err.decode()
    assert (done.code, "GP917" in said, "Traceback" in said) == (1, True, False), said
    assert f"a newer Prefect used the database in {home}" in said


def migrated_by_a_newer_one(database: Path) -> None:
    """A database whose alembic revision this engine does not know."""
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        db.execute("INSERT INTO alembic_version VALUES ('ffffffffffff')")


def test_it_ends_with_its_command_even_when_that_is_killed(home: Path) -> None:
    pid = spawn(command(home), log=home / "log", env=environment(home), cwd=home)

    async def there() -> bool:
        return bool(servers(home))

    async def gone() -> bool:
        return not servers(home)

    try:
        run_sync(until("a server runs", there))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    run_sync(until("the server is gone", gone))


SLOW = """package main

import (
	"testing"
	"time"
)

func TestSlow(t *testing.T) { time.Sleep(10 * time.Minute) }
"""


def programs_under_test(pid: int) -> list[int]:
    """The programs with the repository's own tests, which a build runs: what `tests.sh` kept, below that process."""
    found = []
    for child in descendants(pid):
        with suppress(OSError):  # it ended while we looked
            if Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0].endswith(b"/program"):
                found.append(child)
    return found


def there(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def test_ctrl_c_during_the_build_of_a_deploy_ends_it_and_rolls_nothing_out(tmp_path: Path) -> None:
    run_sync(go_repository(tmp_path / "small", SPEC, SLOW))
    deploy = [sys.executable, "-m", "gopub.cli.main", "deploy", "v1.4.0"]
    pid = spawn(deploy, log=tmp_path / "log", env=environment(tmp_path), cwd=tmp_path / "small")

    tests: list[int] = []

    async def builds() -> bool:
        tests[:] = programs_under_test(pid)
        return bool(tests)

    async def ended() -> bool:
        return not any(map(there, tests)) and not servers(tmp_path)

    run_sync(until("its tests run", builds))
    os.kill(pid, signal.SIGINT)
    _, status = os.waitpid(pid, 0)
    said = (tmp_path / "log").read_text()
    assert os.waitstatus_to_exitcode(status) == 130, said
    assert "GP952" in said and "Traceback" not in said, said
    run_sync(until("nothing is left of it", ended))
    journal = open_journal(str(tmp_path / "state/gopub/journal.db"), SystemClock())
    (build,) = journal.streams("")
    assert [getattr(entry.event, "outcome", "") for entry in journal.read(build)] == ["", "failed"], "and no rollout"
