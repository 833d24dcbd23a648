"""Spans by the SDK of OpenTelemetry, sent as OTLP over HTTP from a thread of its own.

The variables ``OTEL_*`` are the SDK's own and mean what its documentation says. A collector that is away, slow or wrong
costs spans and nothing else: the queue is bounded, and at the end it is waited for `FLUSH` seconds.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gopub.tracing.attributes import Value
from gopub.tracing.context import TraceContext
from gopub.tracing.spans import Kind, Span

FLUSH = 3.0
"""Seconds that the end of a process waits for spans that are still to be sent."""
LAST = "the last spans"
"""The name of the thread that sends what is left."""
_KINDS = {
    Kind.INTERNAL: SpanKind.INTERNAL, Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT,
    Kind.PRODUCER: SpanKind.PRODUCER, Kind.CONSUMER: SpanKind.CONSUMER,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Begun:
    """A span of the SDK."""

    span: trace.Span

    @property
    def place(self) -> TraceContext:
        """By what the SDK gave it."""
        said = self.span.get_span_context()
        return TraceContext(
            f"{said.trace_id:032x}", f"{said.span_id:016x}", bool(said.trace_flags & TraceFlags.SAMPLED)
        )

    def add(self, attributes: Mapping[str, Value]) -> None:
        """Set them."""
        self.span.set_attributes(dict(attributes))

    def fail(self, kind: str, says: str) -> None:
        """By the conventions for errors."""
        self.span.set_attribute("error.type", kind)
        self.span.set_status(Status(StatusCode.ERROR, says))

    def end(self) -> None:
        """Hand it to the queue."""
        self.span.end()


class Otel:
    """Spans of this process."""

    def __init__(self, version: str, *, exporter: SpanExporter | None = None, console: bool = False) -> None:
        """Begin the thread that sends; ``exporter`` is for tests."""
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # each failed try would be a line in a release's log
        own = {
            "service.name": "gopub", "service.namespace": "gopub", "service.version": version,
            "service.instance.id": f"gopub@{socket.gethostname()}", "host.name": socket.gethostname(),
        }  # fmt: skip
        resource = Resource(own).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        chosen = exporter or (ConsoleSpanExporter() if console else OTLPSpanExporter())
        self._provider.add_span_processor(BatchSpanProcessor(chosen))
        self._tracer = self._provider.get_tracer("gopub", version)

    def begin(self, name: str, kind: Kind, attributes: Mapping[str, Value], above: TraceContext | None) -> Span:
        """See :class:`gopub.tracing.spans.Spans`."""
        around = _context(above) if above else Context()
        return _Begun(self._tracer.start_span(name, around, _KINDS[kind], dict(attributes)))

    def close(self) -> None:
        """Send what is left, for as long as there is time; a collector that hangs is left hanging."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True, name=LAST)
        last.start()
        last.join(FLUSH)


def _context(above: TraceContext) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if above.sampled else TraceFlags.DEFAULT)
    said = SpanContext(int(above.trace, 16), int(above.span, 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(said), Context())
