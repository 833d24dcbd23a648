"""In which trace a flow runs: that of whoever asked for it, else one of its own; what its boxes do is in it, too.

A run that `gopub serve` started has the place as a label, under the name that Prefect's own spans go by; a flow inside
another one is where that one is; a command takes it from ``TRACEPARENT``, as CI systems give it. A run that Prefect
starts again has its label again. The trace is for whoever looks: a run without one is as good.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from prefect.context import FlowRunContext

from gopub.tracing.context import TraceContext, begin, current, parse, within
from tasks.marks import on_a_worker

P = ParamSpec("P")
R = TypeVar("R")

LABEL = "__OTEL_TRACEPARENT"
"""Where Prefect keeps it of a run (``prefect.telemetry.run_telemetry``)."""
VARIABLE = "TRACEPARENT"


def traced(flow: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Run a flow at its place in a trace."""

    @functools.wraps(flow)
    async def told(*args: P.args, **kwargs: P.kwargs) -> R:
        with within(current() or _asked() or begin()):
            return await flow(*args, **kwargs)

    return told


def _asked() -> TraceContext | None:
    """The place that the run was started at; a worker's own environment says nothing of the runs that it takes up."""
    context = FlowRunContext.get()
    labels = context.flow_run.labels if context and context.flow_run else {}
    said = str(labels.get(LABEL, ""))
    return parse(said) or (None if on_a_worker() else parse(os.environ.get(VARIABLE, "")))
