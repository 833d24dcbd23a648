"""What keeps a Prefect server on SQLite from standing still, and steps of a rollout from waiting for it."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from deployments.prefect_server import collect_beside
from gopub.errors import GopubError, LockedError, RefusedError, UsageError
from gopub.process import base_environment, spawn

ROOT = Path(__file__).parents[2]


class Knot:
    """A thing that only the garbage collector frees; it notes the thread that does."""

    def __init__(self, freed_by: list[threading.Thread]) -> None:
        self.itself = self
        weakref.finalize(self, lambda: freed_by.append(threading.current_thread()))


def tangle(freed_by: list[threading.Thread]) -> None:
    """Enough of them that Python would collect by itself."""
    for _ in range(5 * gc.get_threshold()[0]):
        Knot(freed_by)


def test_without_it_garbage_is_freed_by_whoever_runs() -> None:
    freed_by: list[threading.Thread] = []
    tangle(freed_by)
    assert threading.current_thread() in freed_by


def test_garbage_is_freed_by_a_thread_of_its_own() -> None:
    freed_by: list[threading.Thread] = []
    gc.collect()
    try:
        beside = collect_beside()
        tangle(freed_by)
        end = time.monotonic() + 60
        while not freed_by and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        gc.enable()
    assert set(freed_by) == {beside}


def test_a_server_of_ones_own_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    """Only `end_with` of it: the child sleeps where the server would serve."""
    child = (
        "import sys, time; from deployments.prefect_server import end_with; end_with(int(sys.argv[1]))\n"
        "print('bound', flush=True); time.sleep(600)"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        f"made = subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())], start_new_session=True)\n"
        "print(made.pid, flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    pid = spawn([sys.executable, "-c", parent], log=log, env=base_environment(extra={"PYTHONPATH": str(ROOT)}))
    while "bound" not in log.read_text():
        time.sleep(0.05)
    orphan = int(next(word for word in log.read_text().split() if word.isdigit()))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        while running(orphan):
            time.sleep(0.05)
    finally:
        if running(orphan):
            os.kill(orphan, signal.SIGKILL)


def running(pid: int) -> bool:
    """Whether that process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("module", ["tasks.rollout", "tasks.release"])
def test_no_box_asks_the_server_for_a_place_before_it_begins(module: str) -> None:
    """A task with a tag does."""
    from prefect import Task

    boxes = [made for made in vars(importlib.import_module(module)).values() if isinstance(made, Task)]
    assert boxes
    assert [made.name for made in boxes if made.tags] == []


@pytest.mark.parametrize(
    ("error", "asks"),
    [
        (UsageError("GP205", "not a version"), 1),
        (RefusedError("GP320", "published from another commit"), 1),
        (LockedError("GP710", "somebody has the seat"), 1),
        (GopubError("GP343", "the store does not answer"), 4),
        (OSError("connection reset"), 4),
    ],
    ids=["mistake", "refusal", "lock", "outage", "network"],
)
def test_a_patient_box_asks_again_only_where_that_can_help(error: Exception, asks: int) -> None:
    from prefect.states import Failed

    from tasks.box import box

    @box(name="patient", limit=1, patient=True)
    async def patient() -> None: ...

    condition = patient.retry_condition_fn
    assert condition is not None
    again = condition(patient, None, Failed(data=error))
    assert 1 + (patient.retries if again else 0) == asks
