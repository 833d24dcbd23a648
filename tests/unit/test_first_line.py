"""A command is quick to its first line: what it says comes before the engine starts, what it refuses starts none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gopub.journal.seat import Seat
from gopub.wiring import settings
from tests.support.admission_world import Shop

ROOT = Path(__file__).parents[2]
STARTED = 77
"""The exit code that stands for "here a server would have started"."""

WATCHED = """
import atexit, os, sys

def heard(event, given):
    if event == "subprocess.Popen" and "deployments.prefect_server" in given[1]:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(77)

def told():
    engine = sorted({"prefect", "fastapi", "uvicorn"} & set(sys.modules))
    print("\\nMODULES", len(sys.modules), *engine, file=sys.stderr)

sys.addaudithook(heard)
atexit.register(told)
from gopub.cli.main import run
run()
"""
"""The command as it is, but it ends where it would start a server; at its own end it tells what it has imported."""


def gopub(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    around = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    argv = [sys.executable, "-c", WATCHED, *words]
    return subprocess.run(argv, cwd=cwd, env=around, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A project with hello 1.0.0 published, and an empty journal."""
    return Shop(tmp_path, monkeypatch)


def test_a_rollout_says_what_it_does_before_a_server_starts(shop: Shop) -> None:
    done = gopub("rollout", "1.0.0", cwd=shop.project)
    assert done.returncode == STARTED, done.stderr
    assert done.stderr[8:] == "  rolling 1.0.0 out into lab\n"
    assert done.stdout == ""


def test_a_release_and_a_deployment_say_it_too(shop: Shop) -> None:
    said = [gopub(*words, cwd=shop.project) for words in (("release", "v1"), ("deploy", "v1"))]
    assert [one.returncode for one in said] == [STARTED, STARTED]
    assert [one.stderr[10:22] for one in said] == ["releasing v1"] * 2


def test_with_a_server_set_up_none_starts_and_the_engine_is_seen(shop: Shop) -> None:
    """Control of what comes below as well: where the engine is imported its modules are counted."""
    done = gopub("rollout", "1.0.0", cwd=shop.project, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode != STARTED
    assert done.stderr[8:].startswith("  rolling 1.0.0 out into lab\n")
    count, *engine = modules(done)
    assert "prefect" in engine and int(count) > 1500


def seated(_shop: Shop) -> None:
    held = Seat("hello", "lab", 1, "t", "somebody@elsewhere:1")
    settings.journal().take_seat(held, rollout="r0", lease=3600.0)


def unsigned(shop: Shop) -> None:
    shop.forge(lambda manifest: manifest.update(created="2001-01-01T00:00:00Z"), shop.stranger)


def nothing(_shop: Shop) -> None: ...


@pytest.mark.parametrize(
    ("words", "before", "code", "refused"),
    [
        (("9.9.9",), nothing, "GP321", 2),
        (("1.0.0", "--env", "nosuch"), nothing, "GP942", 2),
        (("1.0.0",), seated, "GP707", 6),
        (("1.0.0",), unsigned, "GP311", 3),
    ],
    ids=["no such version", "no such env", "held seat", "another's key"],
)
def test_what_is_refused_starts_no_server(
    words: tuple[str, ...], before: Callable[[Shop], None], code: str, refused: int, shop: Shop
) -> None:
    before(shop)
    done = gopub("rollout", *words, cwd=shop.project)
    assert (done.returncode, done.stderr.splitlines()[0].split()[:2]) == (refused, ["error:", code]), done.stderr
    assert "rolling" not in done.stderr


def test_a_store_that_is_away_for_a_moment_is_no_refusal(shop: Shop) -> None:
    """The rollout itself asks it again, with patience."""
    (shop.project / "connections.yaml").write_text(
        "artifacts: {kind: s3, endpoint: '127.0.0.1:9', secure: false, bucket: b, "
        "access_key: {env: A}, secret_key: {env: A}}\n"
    )
    done = gopub("rollout", "1.0.0", cwd=shop.project, A="a")
    assert done.returncode == STARTED, done.stderr


WITHOUT_RUNS = {
    "help": ("--help",),
    "version": ("--version",),
    "status": ("status",),
    "history": ("history",),
    "explain": ("explain",),
    "check": ("check",),
    "dry run": ("rollout", "1.0.0", "--dry-run"),
    "refused": ("rollout", "9.9.9"),
    "verify": ("verify", "1.0.0"),
    "recover": ("recover",),
    "rollback": ("rollback", "hello", "-e", "lab"),
    "abort": ("abort",),
    "promote": ("promote",),
    "hold": ("hold",),
    "resume": ("resume",),
    "route": ("route", "explain", "/"),
}


def modules(done: subprocess.CompletedProcess[str]) -> list[str]:
    """How many modules the command had imported at its end, and which of the engine's."""
    return done.stderr.rpartition("\nMODULES ")[2].split()


MOST = {"version": 260, "help": 450, "status": 750, "history": 750}
"""Modules, since seconds depend on the machine: a command with the core is at 1000, one with the engine at 2000."""


@pytest.mark.parametrize("name", WITHOUT_RUNS)
def test_a_command_that_runs_no_flow_imports_no_engine_and_a_look_imports_little(name: str, shop: Shop) -> None:
    done = gopub(*WITHOUT_RUNS[name], cwd=shop.project)
    assert done.returncode != STARTED
    assert "Traceback" not in done.stderr, done.stderr
    count, *engine = modules(done)
    assert engine == []
    assert int(count) <= MOST.get(name, 2000)
