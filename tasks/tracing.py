"""In which trace a flow runs: that of whoever asked for it, else one of its own; what its boxes do is in it, too.

A run that `gopub serve` started has the place as a label, under the name that Prefect's own spans go by; a flow inside
another one is where that one is; a command takes it from ``TRACEPARENT``, as CI systems give it. A run that Prefect
starts again has its label again. The trace is for whoever looks: a run without one is as good.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect.context import FlowRunContext

from gopub.tracing.attributes import about
from gopub.tracing.context import TraceContext, begin, current, parse, within
from gopub.tracing.exporting import exporting
from gopub.tracing.spans import Kind, span
from tasks.marks import on_a_worker

P = ParamSpec("P")
R = TypeVar("R")

LABEL = "__OTEL_TRACEPARENT"
"""Where Prefect keeps it of a run (``prefect.telemetry.run_telemetry``)."""
VARIABLE = "TRACEPARENT"


def traced(flow: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Run a flow at its place in a trace."""
    name = f"flow {getattr(flow, '__name__', 'run')}"

    @functools.wraps(flow)
    async def told(*args: P.args, **kwargs: P.kwargs) -> R:
        inner = current() is not None
        kind = Kind.INTERNAL if inner else Kind.CONSUMER
        with exporting(), within(current() or _asked() or begin()), span(name, kind, about(kwargs)):
            return await flow(*args, **kwargs)

    return told


def as_span(name: str, work: Callable[P, R]) -> Callable[P, R]:
    """A box whose work is a span of that name; its parameters stay what Prefect reads them to be."""
    if inspect.iscoroutinefunction(work):

        @functools.wraps(work)
        async def told(*args: P.args, **kwargs: P.kwargs) -> Any:
            with span(name):
                return await work(*args, **kwargs)

        return cast("Callable[P, R]", told)

    @functools.wraps(work)
    def said(*args: P.args, **kwargs: P.kwargs) -> R:
        with span(name):
            return work(*args, **kwargs)

    return said


def _asked() -> TraceContext | None:
    """The place that the run was started at; a worker's own environment says nothing of the runs that it takes up."""
    context = FlowRunContext.get()
    labels = context.flow_run.labels if context and context.flow_run else {}
    said = str(labels.get(LABEL, ""))
    return parse(said) or (None if on_a_worker() else parse(os.environ.get(VARIABLE, "")))
