"""Processes are known by what they are, not by a number: nobody else's is ever ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.lab import kernel
from gopub.lab.locks import locked
from gopub.process import run

MARK = f"GOPUB_TEST_MARK=/x/{os.getpid()}"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    name, value = MARK.split("=")
    child = subprocess.Popen(["sleep", "61.5"], env={**os.environ, name: value})
    # The kernel closes the files of a new program, for which Popen waits, a moment before it shows its words.
    while child.poll() is None and not Path(f"/proc/{child.pid}/cmdline").read_bytes():
        time.sleep(0.001)
    yield child
    child.kill()
    child.wait()


def test_a_process_is_found_by_program_and_argument(sleeper: subprocess.Popen[bytes]) -> None:
    def pids(found: tuple[kernel.Process, ...]) -> list[int]:
        return [process.pid for process in found]

    assert sleeper.pid in pids(kernel.find("sleep", "61.5"))
    assert sleeper.pid in pids(kernel.find("sleep", "61", prefix=True))
    assert sleeper.pid not in pids(kernel.find("sleep", "61"))
    assert sleeper.pid not in pids(kernel.find("awake", "61.5"))
    assert pids(kernel.find_marked(MARK)) == [sleeper.pid]
    assert pids(kernel.find_marked(MARK[:-1], prefix=True)) == [sleeper.pid]
    assert not kernel.find_marked(MARK[:-1])


async def test_ending_hits_the_process_that_was_meant(sleeper: subprocess.Popen[bytes]) -> None:
    seen = kernel.look(sleeper.pid)
    assert seen
    stranger = replace(seen, started=seen.started + 1)  # the same pid, another process: as after a reuse of the pid
    assert not stranger.alive()
    await kernel.end(stranger)
    assert sleeper.poll() is None
    await kernel.end(seen)
    assert sleeper.wait(60) == -signal.SIGTERM
    assert not seen.alive()


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[bytes]]:
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        yield child
        child.kill()


async def test_what_does_not_listen_is_killed(deaf: subprocess.Popen[bytes]) -> None:
    process = kernel.look(deaf.pid)
    assert process
    await kernel.end(process, within=0.3)
    assert deaf.wait(60) == -signal.SIGKILL


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    limit = time.monotonic() + 60
    while kernel.look(child.pid) and time.monotonic() < limit:
        time.sleep(0.01)
    assert kernel.look(child.pid) is None
    child.wait()


def test_mounts_below_a_folder_are_found_and_its_neighbours_left_out() -> None:
    assert "/proc" in kernel.mounts_below(Path("/proc"))
    assert not kernel.mounts_below(Path("/pro"))


async def test_a_daemon_outlives_its_starter_and_writes_its_log(tmp_path: Path) -> None:
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    argv = ("/bin/sh", "-c", f"echo started; exec sleep 62.{os.getpid()}")
    await kernel.start(argv, log=log, pidfile=pidfile)
    limit = time.monotonic() + 60
    while not (found := kernel.find("sleep", f"62.{os.getpid()}")) and time.monotonic() < limit:  # noqa: ASYNC110 - another process tells no event
        await asyncio.sleep(0.01)
    assert len(found) == 1
    assert os.getsid(found[0].pid) != os.getsid(0)
    assert log.read_text() == "started\n"
    await kernel.end(found[0])


async def test_a_lock_is_held_by_one_and_free_again_after(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "lock"
    async with locked(path, told.append):
        assert (await run(("flock", "--nonblock", str(path), "true"), check=False)).code
    async with locked(path, told.append):
        pass
    assert told == []
