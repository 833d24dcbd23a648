"""SIGTERM and SIGHUP before anything is driven, as while the engine starts: words and exit code 130, never a kill."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from gopub.process import Result, base_environment, run

ROOT = Path(__file__).parents[2]
ENDED = [signal.SIGTERM, signal.SIGHUP]
COMMAND = """
import os, signal, sys
from types import SimpleNamespace
import gopub.cli.main as main
from gopub.cli import engine

signal.signal(signal.SIGHUP, getattr(signal, sys.argv.pop(1)))  # as a shell leaves it, or as nohup does
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
numbers = [int(one) for one in sys.argv.pop(1).split(",")]

def load(name):
    '''The engine's server is on its way up.'''
    for number in numbers:
        os.kill(os.getpid(), number)
    print("went on", flush=True)
    raise SystemExit(3)

engine.load = load
try:
    main.run()
finally:  # on its way out, as a supervisor's second signal meets it
    for number in numbers[:1] * (numbers[0] != signal.SIGINT):
        os.kill(os.getpid(), number)
"""


def signalled(tmp_path: Path, *numbers: int, hang_up: str = "SIG_DFL") -> Result:
    argv = [sys.executable, "-c", COMMAND, hang_up, ",".join(map(str, numbers)), "release", "HEAD"]
    environment = base_environment(extra={"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)})
    return asyncio.run(run(argv, cwd=tmp_path, env=environment, check=False))


@pytest.mark.parametrize("numbers", [*([one] for one in ENDED), [signal.SIGTERM] * 2, [signal.SIGINT]])
def test_a_signal_while_the_engine_starts_is_an_interruption_and_says_what_was_done(tmp_path, numbers):
    ended = signalled(tmp_path, *numbers)
    assert (ended.code, ended.text) == (130, "")
    assert "GP952 stopped before a rollout was begun\nhint: nothing was rolled out" in ended.err.decode()
    assert "Traceback" not in ended.err.decode()


def test_control_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    ended = signalled(tmp_path, signal.SIGHUP, hang_up="SIG_IGN")
    assert (ended.code, ended.text) == (3, "went on")
