"""A worker ends a run by SIGTERM; the rollout hears of it whatever the event loop is doing at that moment."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Self
from uuid import UUID, uuid4

import pytest
from prefect.states import Cancelling, Running
from prefect.utilities.engine import capture_sigterm, is_prefect_sigterm_handler_installed

from gopub.plan.model import Outcome
from gopub.rollout.run import Run
from tasks import stopping
from tests.support.rollout_world import World, in_memory

ENDLESS = 30.0


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    in_memory(monkeypatch)
    ANNOUNCED.clear()
    monkeypatch.setattr(stopping, "get_intent", lambda: "cancel" if ANNOUNCED else None)
    monkeypatch.setattr(stopping, "LISTEN", 0.01)
    monkeypatch.setattr(stopping, "GRACE", 0.05)
    monkeypatch.setattr(stopping, "get_client", Server)
    monkeypatch.setattr(stopping.flow_run, "get_root_flow_run_id", lambda: str(CANCELLED))
    return World(tmp_path).driver()


ANNOUNCED: list[str] = []
CANCELLED = uuid4()


class Server:
    """Prefect's, on which somebody cancelled that run."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read_flow_run(self, run: UUID) -> SimpleNamespace:
        return SimpleNamespace(id=run, labels={}, state=Cancelling() if run == CANCELLED else Running())


def ended() -> None:
    """The worker ends, and its signal comes while the loop runs a callback of somebody's."""
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass


def killed() -> None:
    """The worker announces a cancel beforehand."""
    ANNOUNCED.append("cancel")
    ended()


async def baking(run: Run, heeding, signalled=killed) -> str:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.call_later(0.05, signalled)
    with capture_sigterm():
        async with heeding(run):
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.sleep(ENDLESS)
    return "never told"


def test_it_goes_back_where_the_signal_comes_in_the_middle_of_a_callback(run: Run) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: None)  # Prefect sends it on to whoever was there before
    try:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(baking(run, stopping.heeding_cancel))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert run.state.closed is not None
    assert run.state.closed.outcome is Outcome.WITHDRAWN


def test_a_worker_that_ends_ends_its_run_as_well_and_takes_nothing_back(run: Run, monkeypatch) -> None:
    """Without it the run went on, and so did the worker, until systemd killed both."""
    monkeypatch.setattr(stopping.flow_run, "get_root_flow_run_id", lambda: str(uuid4()))
    before = signal.getsignal(signal.SIGTERM)
    mine = lambda *_: None  # noqa: E731 - it is compared
    signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(baking(run, stopping.heeding_cancel, ended))
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    assert run.state.closed is None, "recover goes on with it"


def test_the_handler_stays_prefects_own(run: Run) -> None:
    """With another one in its place a run acknowledges no cancel, and its worker calls it crashed."""

    async def looking() -> list[bool]:
        with capture_sigterm():
            async with stopping.heeding_cancel(run):
                inside = is_prefect_sigterm_handler_installed()
        return [inside]

    assert asyncio.run(looking()) == [True]


def test_control_prefects_own_exception_is_lost_there(run: Run) -> None:
    @asynccontextmanager
    async def unheeding(_run: Run):
        yield

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert asyncio.run(baking(run, unheeding)) == "never told"
    finally:
        signal.signal(signal.SIGTERM, before)
