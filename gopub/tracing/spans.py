"""Spans: pieces of work in a trace, with a beginning, an end and what they were about.

Without a backend (`gopub.tracing.exporting`) a span costs nothing and the trace alone is carried on. With one, what is
done within a span is below it: orders, tables and proofs name it as their parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

from gopub.errors import GopubError
from gopub.telemetry import REDACTOR, one_line
from gopub.tracing.attributes import Value
from gopub.tracing.context import TraceContext, current, within

_LONGEST = 300


class Kind(StrEnum):
    """Which side of a call a span is."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(Protocol):
    """A piece of work that has begun."""

    @property
    def place(self) -> TraceContext:
        """Where it stands: what is done within it is below."""

    def add(self, attributes: Mapping[str, Value]) -> None:
        """What it is about, as far as it is known by now."""

    def fail(self, kind: str, says: str) -> None:
        """It ended by an error of that kind."""

    def end(self) -> None:
        """It is over."""


class Spans(Protocol):
    """Where spans go."""

    def begin(self, name: str, kind: Kind, attributes: Mapping[str, Value], above: TraceContext | None) -> Span:
        """A span below that place, or at the head of a trace of its own."""


class _Nowhere:
    """A span that nobody keeps."""

    def __init__(self) -> None:
        self.place = current() or TraceContext("0" * 32, "0" * 16)

    def add(self, attributes: Mapping[str, Value]) -> None:
        """Nobody asks."""

    def fail(self, kind: str, says: str) -> None:
        """Nobody asks."""

    def end(self) -> None:
        """Nobody asks."""


_kept: list[Spans] = []


def keep(spans: Spans | None) -> None:
    """Let spans go there from now on; None: nowhere."""
    _kept[:] = [spans] if spans else []


def are_kept() -> bool:
    """Whether spans go anywhere."""
    return bool(_kept)


@contextmanager
def span(name: str, kind: Kind = Kind.INTERNAL, attributes: Mapping[str, Value] | None = None) -> Iterator[Span]:
    """Do the body as a span; an error that leaves it is its error, by the code of gopub where it has one."""
    if not _kept:
        yield _Nowhere()
        return
    begun = _kept[0].begin(name, kind, attributes or {}, current())
    try:
        with within(begun.place):
            yield begun
    except BaseException as error:
        begun.fail(error.code if isinstance(error, GopubError) else type(error).__name__, _said(error))
        raise
    finally:
        begun.end()


def _said(error: BaseException) -> str:
    text = error.problem if isinstance(error, GopubError) else str(error)
    return one_line(REDACTOR.clean(text))[:_LONGEST]
