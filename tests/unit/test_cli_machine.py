"""What the machine refuses is one line with the place's name; a mistake of ours keeps its traceback."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from gopub.cli import main
from gopub.process import base_environment, run

ROOT = Path(__file__).parents[2]


async def test_a_home_where_nothing_can_be_made_is_told_in_one_line():
    environment = base_environment(extra={"HOME": "/proc/nope", "PYTHONPATH": str(ROOT)})
    done = await run([sys.executable, "-m", "gopub.cli.main", "status"], env=environment, check=False)
    said = done.err.decode()
    assert (done.code, "Traceback" in said) == (1, False), said
    assert said.startswith("error: GP967 /proc/nope: no such file or directory\n"), said


async def test_a_file_where_a_folder_is_to_be_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "keys").write_text("")
    argv = [sys.executable, "-m", "gopub.cli.main", "keys", "make", str(tmp_path / "keys")]
    done = await run(argv, env=base_environment(extra={"PYTHONPATH": str(ROOT)}), check=False)
    assert (done.code, done.err.decode().splitlines()[0]) == (1, f"error: GP967 {tmp_path}/keys: file exists")


@pytest.mark.parametrize("error", [OSError("no number and no name"), OSError(errno.EIO, "broken", "/dev/x"),
                                   OSError(errno.EACCES, "no name")])  # fmt: skip
def test_control_other_errors_are_not_swallowed(monkeypatch, error):
    def broken(**_: str) -> None:
        raise error

    monkeypatch.setattr(main, "app", broken)
    monkeypatch.setattr(main.lazy, "COMMANDS", {})
    with pytest.raises(OSError, match=r"no n|broken"):
        main.run()
