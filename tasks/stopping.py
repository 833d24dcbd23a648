"""A flow run that is cancelled in Prefect goes back before it ends, as after Ctrl-C and `gopub abort`.

A worker ends a run with SIGTERM and says nothing else. Whether a person cancelled it is asked from the server: then the
rollout is withdrawn here and now, edges first. A run that ends with its worker is left as it is, for `recover` to go
on with. What does not come about in the time that the worker gives (30 s) `recover` finishes: it is in the journal.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

from gopub.rollout.back import withdraw
from gopub.rollout.run import Run
from gopub.telemetry import log
from tasks import pages

REASON = "aborted: its flow run was cancelled"
_ASK = 5.0
_log = log("rollout")


@asynccontextmanager
async def heeding_cancel(run: Run) -> AsyncIterator[None]:
    """Withdraw the rollout where its flow run ends because somebody cancelled it."""
    asked_for = flow_run.get_root_flow_run_id() or ""  # the one that a person sees: rollout may run inside deploy
    try:
        yield
    except (asyncio.CancelledError, TerminationSignal):
        with _undisturbed():
            if await _was_cancelled(asked_for):
                _log.warning("%s: %s", run.rollout, REASON)
                await withdraw(run, REASON)
                await pages.progress_page(run)
        raise


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


async def _was_cancelled(asked_for: str) -> bool:
    try:
        async with asyncio.timeout(_ASK), get_client() as client:
            state = (await client.read_flow_run(UUID(asked_for))).state
    except Exception as error:  # noqa: BLE001 - not known: then it is a rollout without a driver, as after a crash
        _log.warning("the Prefect server does not say why the run ends (%r); recover goes on with it", error)
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())
