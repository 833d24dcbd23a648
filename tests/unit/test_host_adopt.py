"""Adopting on a host, as the shell does it: a `current` that no one rename moves is told before anything is written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
PARTS = ("base.sh", "order.sh", "facts.sh", "stage.sh", "before.sh")
HARNESS = """
home=$PWD/opt releases=$2 state=$PWD/opt/.gopub accepted= stands=$1
movable
finish true '' moves
"""


def movable(folder: Path, stands: str, releases: str) -> tuple[str, str]:
    """What the host says of a `current` of that kind; gives the code and the message."""
    shell = shutil.which("dash") or "/bin/sh"
    text = "".join((PROGRAM / part).read_text() for part in PARTS) + HARNESS
    ran = subprocess.run(
        (shell, "-c", text, "gopub", stands, releases), cwd=folder, capture_output=True, text=True, check=False
    )
    assert not ran.stderr, ran.stderr
    said = dict(line.partition("=")[::2] for line in ran.stdout.splitlines())
    return said["code"], said["message"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "opt/releases").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("stands", ["a folder", "a file"])
def test_what_one_rename_moves_is_adopted(home: Path, stands: str) -> None:
    (home / "opt/current").mkdir()
    assert movable(home, stands, f"{home}/opt/releases") == ("", "moves")


def test_a_current_that_is_a_mount_is_told(home: Path) -> None:
    (home / "opt/current").symlink_to("/proc")  # the one mount that is everywhere; the host looks at the real place
    code, said = movable(home, "a folder", f"{home}/opt/releases")
    assert code == "GP456"
    assert said.startswith(f"{home}/opt/current is a mount, which cannot be moved aside: ")


def test_a_current_on_another_file_system_than_its_new_place_is_told(home: Path) -> None:
    (home / "opt/current").mkdir()
    code, said = movable(home, "a folder", "/proc")
    assert code == "GP456"
    assert said.startswith(f"{home}/opt/current and /proc lie on two file systems: ")


def test_a_link_is_written_down_and_never_moved(home: Path) -> None:
    (home / "opt/current").symlink_to("/proc")
    assert movable(home, "a link to /proc", "/proc") == ("", "moves")
