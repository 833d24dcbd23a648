"""A command that runs a flow: its words are gopub's, also where it fails and where it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = re.compile(r"(\d\d:\d\d:\d\d  |error: |hint: |stopping: )\S")
PREFECT = re.compile(
    r"prefect|flow run|task run|engine execution|finished in state|\x1b|traceback|warning", re.IGNORECASE
)

SPEC = """schema: gopub/v1
app: orders
publish: {store: nowhere}
environments: {lab: {inventory: hosts.ini, hosts: all, health: {http: "http://host.example/"}}}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "orders"
    made.mkdir()
    (made / "gopub.yaml").write_text("schema: gopub/v1\napp: orders\nbuild: {}\nenvironments: {}\n")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(made))
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run([*git, *words], check=True)
    return made


def begun(repository: Path, *words: str, **extra: str) -> subprocess.Popen[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT")}
    places = {"XDG_STATE_HOME": str(repository.parent / "state"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-m", "gopub.cli.main", *words], cwd=repository, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=kept | places | extra)  # fmt: skip


def test_a_failure_is_told_in_words_of_ours_alone(repository: Path) -> None:
    process = begun(repository, "release", "nosuch")
    out, err = process.communicate(timeout=300)
    assert process.returncode not in (0, None) and out == ""
    lines = err.splitlines()
    assert lines[0].endswith(f"releasing nosuch of {repository}")
    assert [line for line in lines if not OURS.match(line)] == []
    assert "checking out nosuch …" in err and "checking out nosuch: failed after" in err
    assert not PREFECT.search(err)


def test_a_name_that_is_nowhere_is_told_without_the_address_of_a_server_that_is_gone(repository: Path) -> None:
    (repository / "gopub.yaml").write_text(SPEC)
    process = begun(repository, "rollout", "1.0.0")
    _, err = process.communicate(timeout=300)
    assert process.returncode not in (0, None)
    assert "nowhere" in err and "127.0.0.1" not in err
    assert [line for line in err.splitlines() if not OURS.match(line)] == []


def test_a_stop_is_told_in_words_of_ours_alone(repository: Path) -> None:
    process = begun(repository, "release", "HEAD")
    assert process.stderr is not None
    first = process.stderr.readline()
    while "checking out" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=300)
    assert "releasing HEAD" in first
    assert not PREFECT.search(rest), rest
    assert [line for line in rest.splitlines() if not OURS.match(line)] == []


def test_control_what_prefect_prints_is_seen(repository: Path) -> None:
    loud = {"PREFECT_LOGGING_LEVEL": "INFO", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO"}
    _, err = begun(repository, "release", "nosuch", **loud).communicate(timeout=300)
    assert PREFECT.search(err)
