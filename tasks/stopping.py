"""A flow run that is cancelled in Prefect goes back before it ends, as after Ctrl-C and `gopub abort`.

A worker ends a run with SIGTERM and says nothing else. Whether a person cancelled it is asked from the server: then the
rollout is withdrawn here and now, edges first. A run that ends with its worker is left as it is, for `recover` to go
on with. What does not come about in the time that the worker gives (30 s) `recover` finishes: it is in the journal.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from prefect._internal.control_listener import get_intent
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.rollout.back import withdraw
from gopub.rollout.run import Run
from gopub.telemetry import log
from gopub.usecases.approvers import Word
from gopub.usecases.ask import ask
from tasks import presses

REASON = "aborted: its flow run was cancelled"
LISTEN, GRACE = 0.5, 1.0
"""Seconds between two looks at what the worker announced, and what its signal is given to come in the usual way."""
_ASK = 5.0
_log = log("rollout")


@asynccontextmanager
async def heeding_cancel(run: Run) -> AsyncIterator[None]:
    """Withdraw the rollout where its flow run ends because somebody cancelled it."""
    asked_for = flow_run.get_root_flow_run_id() or ""  # the one that a person sees: rollout may run inside deploy
    with _noted() as came:
        async with _heeding(run, asked_for, came):
            yield


@asynccontextmanager
async def _heeding(run: Run, asked_for: str, came: Callable[[], bool]) -> AsyncIterator[None]:
    listening = asyncio.create_task(_listen(asyncio.current_task(), came))
    try:
        yield
    except (asyncio.CancelledError, TerminationSignal):
        listening.cancel()
        with _undisturbed():
            if cancelled := await _was_cancelled(asked_for):
                word = presses.word_of(cancelled, "cancel")
                reason = f"{REASON} by {word.actor}"
                _log.warning("%s: %s", run.rollout, reason)
                await withdraw(run, reason)
                _note(run, reason, word)
        raise
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(driver: asyncio.Task[object] | None, came: Callable[[], bool]) -> None:
    """Cancel the driver's task where a signal came, or the worker announced a cancel, and the driver did not hear.

    Prefect raises an exception at whatever line the main thread is. In the middle of a callback or of another task the
    event loop keeps it to itself, and the flow never hears of it: the canary stayed until the worker killed its guard,
    and a worker that was to end waited for its runs until it was killed.
    """
    try:
        while get_intent() != "cancel" and not came():
            await SystemClock().sleep(LISTEN)
        await SystemClock().sleep(GRACE)
    except TerminationSignal:
        _log.debug("the signal came here")
    if driver:
        driver.cancel()


@contextmanager
def _noted() -> Iterator[Callable[[], bool]]:
    """Whether a SIGTERM came, whatever became of the exception that Prefect raises for it.

    The interpreter writes down each signal's number before it calls anybody. The handler stays Prefect's own: a run
    with another one acknowledges no cancel, and its worker then calls it crashed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # no exception is raised here for it
        return
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: signal.SIGTERM in _written(ours)
        finally:
            signal.set_wakeup_fd(before)


def _written(ours: socket.socket) -> bytes:
    try:
        return ours.recv(4096)
    except BlockingIOError:
        return b""


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second SIGTERM means nothing new: what it would interrupt is the way back."""
    try:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except ValueError:  # not the main thread: none reaches us
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _note(run: Run, reason: str, word: Word) -> None:
    """Who it was, beside the reason, for whoever checks: once it is back, for which nothing is waited for."""
    try:
        ask(run.ports.journal, run.rollout, "abort", reason, word=word, clock=run.ports.clock)
    except GopubError as error:
        _log.warning("%s: who cancelled it stands in the reason alone: %s", run.rollout, error.problem)


async def _was_cancelled(asked_for: str) -> FlowRun | None:
    """The run, where a person cancelled it."""
    try:
        async with asyncio.timeout(_ASK), get_client() as client:
            one = await client.read_flow_run(UUID(asked_for))
    except Exception as error:  # noqa: BLE001 - not known: then it is a rollout without a driver, as after a crash
        _log.warning("the Prefect server does not say why the run ends (%r); recover goes on with it", error)
        return None
    return one if one.state is not None and (one.state.is_cancelling() or one.state.is_cancelled()) else None
