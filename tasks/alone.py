"""Runs of a schedule, one at a time: a second one says that another is at it, and ends well.

Prefect's own limit would keep the place of a run whose process was killed for five minutes: `recover`, which is there
for that very moment, was kept out. So the server's limit only keeps late runs from piling up (prefect.yaml), and the
journal says who is at it. A run for one app or env is a person's wish; it does not ask.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from prefect.states import Completed

from gopub.clock import SystemClock
from gopub.errors import GopubError
from gopub.telemetry import log
from gopub.usecases import alone
from gopub.wiring import settings
from tasks.ends import executed_by_a_worker

R = TypeVar("R")
Scheduled = Callable[[str, str], Awaitable[R]]
_log = log("alone")


def one_at_a_time(work: Scheduled[R]) -> Scheduled[R]:
    """Let a flow for all apps end at once where another run of it is at work; the name is that of its function."""

    @functools.wraps(work)
    async def told(app: str = "", env: str = "") -> R:
        if app or env or not executed_by_a_worker():
            return await work(app, env)
        try:
            journal = settings.journal(patience=alone.QUICK)
        except GopubError:  # the work itself says what is wrong with it
            return await work(app, env)
        async with alone.alone(journal, work.__name__, SystemClock()) as other:
            if not other:
                return await work(app, env)
        says = f"another run of {work.__name__} is at it ({other}); nothing is left for this one"
        _log.info("%s", says)
        return cast("R", Completed(message=says))

    told.__signature__ = inspect.signature(work, eval_str=True)  # type: ignore[attr-defined] # read by `inspect`
    return told
