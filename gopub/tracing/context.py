"""Where in which trace the work at hand stands, as W3C Trace Context (level 1) writes it in ``traceparent``.

What is done for a release is done within :func:`within`; whatever leaves this process then (a run of the engine, an
order to a host, a table to an edge) takes :func:`current` along. It is a word for people who look for causes: nothing
is decided by it, none of it is secret, and what is no trace is as good as none.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

HEADER = "traceparent"
_SAMPLED = 0x01
_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_TRACE = re.compile(r"[0-9a-f]{32}")
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: the trace's id (32 lower-case hex digits), the span's (16), and whether spans are kept."""

    trace: str
    span: str
    sampled: bool = True

    def header(self) -> str:
        """The value of ``traceparent``, version 00."""
        return f"00-{self.trace}-{self.span}-{_SAMPLED if self.sampled else 0:02x}"

    def child(self, span: str = "") -> TraceContext:
        """A place below this one: the span of that id, or a new one."""
        return replace(self, span=span or new_span_id())


def parse(text: str) -> TraceContext | None:
    """The place that a ``traceparent`` names; None where it is none.

    Of a version that is not known yet the parts of version 00 count, as the specification asks; ``ff`` is none, and
    neither is a trace or a span of zeros alone.
    """
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if not found["trace"].strip("0") or not found["span"].strip("0"):
        return None
    return TraceContext(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))


def begin() -> TraceContext:
    """The first place of a new trace."""
    return TraceContext(secrets.token_hex(16), new_span_id())


def of_trace(trace: str) -> TraceContext | None:
    """A place in the trace of that id, for who knows no more of it; None where it is no id of a trace."""
    return TraceContext(trace, trace[:16] if trace[:16].strip("0") else trace[16:]) if is_trace(trace) else None


def is_trace(text: str) -> bool:
    """Whether it is the id of a trace."""
    return bool(_TRACE.fullmatch(text) and text.strip("0"))


def new_span_id() -> str:
    """16 lower-case hex digits, not all of them zero."""
    return f"{secrets.randbits(64) or 1:016x}"


_current: ContextVar[TraceContext | None] = ContextVar("gopub_trace", default=None)


def current() -> TraceContext | None:
    """The place of the work at hand; tasks and threads that it begins have it as well."""
    return _current.get()


def header() -> str:
    """The ``traceparent`` of the work at hand; empty where it is done for no trace."""
    place = current()
    return place.header() if place else ""


@contextmanager
def within(place: TraceContext | None) -> Iterator[TraceContext | None]:
    """Do the body at that place; None leaves it where it is."""
    if place is None:
        yield _current.get()
        return
    token = _current.set(place)
    try:
        yield place
    finally:
        _current.reset(token)
