"""Signals that ask a command to stop: Ctrl-C, SIGTERM (a supervisor, a cancelled CI job), SIGHUP (a closed terminal).

Signals reach the main thread only, and Prefect would turn SIGTERM there into an exception at whatever line runs. So
flows run in a thread of their own, and the main thread waits for them and listens: see `engine.run_flows`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from gopub.errors import GopubError

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None
NAMES = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    signal.SIGHUP: "SIGHUP, its terminal was closed",
}


@contextmanager
def heeded(first: Callable[[str], None]) -> Iterator[None]:
    """Within the block the first such signal calls ``first`` with its name; after it a Ctrl-C ends the process at once.

    A second SIGTERM or SIGHUP means nothing new: supervisors send them to a process and to its group, shells pass on
    what their terminal sends. Only a person at the keyboard presses again.

    Raises:
        GopubError: GP950 signals cannot be watched here.
    """
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _mute()
        if heard:
            return
        heard.append(number)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        first(NAMES[signal.Signals(number)])

    with ExitStack() as stack:
        for number in NAMES:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup
            try:
                stack.callback(signal.signal, number, signal.signal(number, hear))
            except ValueError as error:
                raise GopubError(
                    "GP950", "Ctrl-C cannot be watched here", hint="run gopub in the main thread"
                ) from error
        yield


@contextmanager
def ending() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP end the work as Ctrl-C does, wherever it is; :func:`heeded` goes before it.

    For all that a command does before it begins a rollout, and for commands that begin none: nothing is half done that
    it would leave behind, and whoever called it reads that it was interrupted. More of them change nothing.
    """
    heard: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _mute()
        if not heard:
            heard.append(number)
            raise KeyboardInterrupt

    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # not under nohup, and nobody's own
                with suppress(ValueError):  # no main thread: signals are somebody else's
                    stack.callback(_let, number, signal.signal(number, end), heard)
        yield


def _let(number: int, before: Handler, heard: Sequence[int]) -> None:
    """Put back what there was; once one was heard the process is ending, and more of them shall not change its code."""
    signal.signal(number, signal.SIG_IGN if heard else before)


def _mute() -> None:
    """The terminal is gone: what is said from here on goes nowhere, and stops nobody."""
    with Path(os.devnull).open("r+b") as nowhere:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                if os.isatty(stream.fileno()):
                    os.dup2(nowhere.fileno(), stream.fileno())


class Wish:
    """The wish to stop, on its way from the main thread to the loop of the flows."""

    def __init__(self) -> None:
        """Nobody wishes it yet."""
        self._why = ""
        self._wake: Callable[[], object] = bool

    def say(self, why: str) -> None:
        """Wish it; for signal handlers."""
        self._why = why
        self._wake()

    async def heard(self) -> str:
        """Wait for the wish; gives the name of the signal."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the flows have just ended
                loop.call_soon_threadsafe(event.set)

        self._wake = wake
        if not self._why:
            await event.wait()
        return self._why
