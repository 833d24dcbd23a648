"""What a hook beside the driver leaves running: it is waited for no longer than its output may need, and ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gopub import process
from gopub.errors import GopubError
from gopub.wiring.here import here_in

WITHIN = 30.0
"""Seconds that a hook has; a test that waits for all of them has found the fault."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder for hooks, where each leftover writes its pid into a file ``pid*``; none of them outlives the test."""
    (tmp_path / "gopub.yaml").write_text("app: hello\n")
    tmp_path.chmod(0o755)
    yield tmp_path
    for file in tmp_path.glob("pid*"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def run_hook(project: Path, script: str, within: float = WITHIN) -> tuple[process.Result, float]:
    began = time.monotonic()
    result = asyncio.run(here_in(project)(("sh", "-c", script), {}, within))
    return result, time.monotonic() - began


def lives(file: Path) -> bool:
    state = Path(f"/proc/{file.read_text().strip()}/stat")
    try:
        return state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(file: Path, within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while lives(file):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


HOLDS = "sleep 60 & echo $! >pid; echo migrated; exit {code}"
QUIET = "sleep 60 >/dev/null 2>&1 & echo $! >pid; echo migrated; exit 0"
AWAY = "setsid sh -c 'echo $$ >pid; exec sleep 60' & while [ ! -s pid ]; do sleep 0.05; done; echo migrated; exit 0"


@pytest.mark.parametrize("code", [0, 3])
def test_a_hook_is_over_when_its_process_is_whoever_still_holds_its_output(project: Path, code: int) -> None:
    result, took = run_hook(project, HOLDS.format(code=code))
    assert result.code == code
    assert result.out == b"migrated\n"
    assert took < WITHIN / 2


@pytest.mark.parametrize("script", [HOLDS.format(code=0), QUIET], ids=["holds the output", "closed the output"])
def test_what_a_hook_leaves_in_its_group_is_ended(project: Path, script: str) -> None:
    run_hook(project, script)
    assert gone(project / "pid")


def test_one_that_left_the_group_holds_nobody_up_and_is_told(project: Path) -> None:
    result, took = run_hook(project, AWAY)
    assert (result.code, result.out) == (0, b"migrated\n")
    assert took < WITHIN / 2
    assert lives(project / "pid"), "the test's leftover is to be one that no group reaches"
    assert b"still holds its output" in result.err


def test_output_that_comes_shortly_after_the_end_is_kept(project: Path) -> None:
    result, _ = run_hook(project, "(sleep 0.3; echo last words) & echo first; exit 0")
    assert result.out == b"first\nlast words\n"
    assert result.err == b""


def test_a_hook_that_runs_itself_still_has_its_limit(project: Path) -> None:
    with pytest.raises(GopubError) as refused:
        run_hook(project, "echo $$ >pid; exec sleep 60", within=0.5)
    assert refused.value.code == "GP903"
    assert gone(project / "pid")


@pytest.mark.parametrize("most", [None, 1024], ids=["trusted", "not trusted"])
def test_a_limit_holds_though_one_that_left_the_group_holds_the_output(project: Path, most: int | None) -> None:
    async def limited() -> None:
        await process.run(("sh", "-c", AWAY.replace("exit 0", "sleep 60")), cwd=project, timeout=1.0, most=most)

    with pytest.raises(GopubError) as refused:
        asyncio.run(asyncio.wait_for(limited(), WITHIN / 2))
    assert refused.value.code == "GP903"
    assert lives(project / "pid"), "the test's leftover is to be one that no group reaches"


def test_a_flood_is_read_to_its_end_and_only_the_last_of_it_is_kept(project: Path) -> None:
    result, _ = run_hook(project, "head -c 300000000 /dev/zero; echo end")
    assert len(result.out) <= 16_384
    assert result.out.endswith(b"end\n")
