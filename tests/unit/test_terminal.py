"""The command on a real terminal: no escape sequence where none is wanted, and lines that fit."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from gopub.cli.folding import cells
from tests.unit.views_world import world

ROOT = Path(__file__).parents[2]
SPEC = "schema: gopub/v1\napp: orders\nbuild: {}\nenvironments:\n  lab:\n    inventory: nowhere\n    hosts: role=app\n"
SPEC += '    service: {}\n    health: {http: "http://127.0.0.1:8080/"}\n'
COMMANDS = (
    ("--help",), ("rollout", "--help"), ("nosuch",), ("release", "--bad"), ("check",), ("status",), ("history",),
    ("explain", "r-back"), ("verify", "9.9.9"), ("judge", "score", "--help"),
)  # fmt: skip
GOPUB = "import sys; sys.argv[0] = 'gopub'; from gopub.cli.main import run; run()"
COLOURED = (("--help",), ("nosuch",), ("status",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("orders")
    (made / "gopub.yaml").write_text(SPEC)
    world(made)
    return made


def environment(folder: Path, **extra: str) -> dict[str, str]:
    dropped = (
        "NO_COLOR",
        "COLUMNS",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",
        "PY_COLORS",
        "TERM",
        "_TYPER_FORCE_DISABLE_TERMINAL",
    )
    kept = {name: text for name, text in os.environ.items() if name not in dropped and not name.startswith("PREFECT")}
    places = {"GOPUB_JOURNAL": str(folder / "journal.db"), "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "s")}
    return {**kept, **places, "TERM": "xterm-256color", "XDG_CONFIG_HOME": str(folder / "c"), **extra}


def on_a_terminal(folder: Path, words: tuple[str, ...], columns: int, **extra: str) -> str:
    """What stands on a terminal of so many columns after the command."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    argv = [sys.executable, "-c", GOPUB, *words]
    with subprocess.Popen(argv, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
                          env=environment(folder, **extra), start_new_session=True):  # fmt: skip
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    return shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the last one who held the other end is gone
        return b""


def in_a_pipe(folder: Path, words: tuple[str, ...], **extra: str) -> str:
    argv = [sys.executable, "-c", GOPUB, *words]
    done = subprocess.run(argv, cwd=folder, env=environment(folder, **extra), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_colours_there_is_no_escape_sequence_and_every_line_fits(folder: Path, words: tuple[str, ...]) -> None:
    shown = on_a_terminal(folder, words, 40, NO_COLOR="1", FORCE_COLOR="1", GITHUB_ACTIONS="true")
    assert shown.strip() and "\x1b" not in shown
    for line in shown.splitlines():
        longest = max(map(cells, line.split()), default=0)
        assert cells(line) <= 40 or longest > 30, line  # only a word that fits nowhere sticks out


@pytest.mark.parametrize("words", COLOURED, ids=" ".join)
def test_a_terminal_that_obeys_none_and_a_pipe_get_none(folder: Path, words: tuple[str, ...]) -> None:
    assert "\x1b" not in on_a_terminal(folder, words, 100, TERM="dumb")
    assert "\x1b" not in in_a_pipe(folder, words, FORCE_COLOR="1", GITHUB_ACTIONS="true", PY_COLORS="1")


@pytest.mark.parametrize("words", COLOURED, ids=" ".join)
def test_control_a_terminal_that_may_be_coloured_is(folder: Path, words: tuple[str, ...]) -> None:
    assert "\x1b[" in on_a_terminal(folder, words, 100)


def test_a_wide_terminal_and_a_pipe_show_each_env_in_one_line(folder: Path) -> None:
    wide, piped = on_a_terminal(folder, ("status",), 200, NO_COLOR="1"), in_a_pipe(folder, ("status",))
    assert wide.splitlines()[1:8] == piped.splitlines()[1:8]
    assert wide.splitlines()[0].startswith("app     env   stable  release")
    assert on_a_terminal(folder, ("status",), 40, NO_COLOR="1").startswith("app: orders\r\nenv: prod\r\n")


def test_a_document_is_whole_on_any_terminal(folder: Path) -> None:
    shown = on_a_terminal(folder, ("explain", "r-back", "--json"), 40)
    assert json.loads(shown)["schema_version"] == 1
