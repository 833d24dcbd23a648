"""The child process that fills in templates: ``python -m gopub.sandbox.child``, requests on stdin, answers on stdout.

A request is a pickled ``Rendering`` (it comes from the parent), an answer is JSON (it comes from where a template ran,
so nothing but text and numbers is read from it). Both are frames: four bytes of length, then so many bytes.

1. Limits that the process cannot raise again: memory, no files written, no core.
2. For each request: so much processor time from here on.
3. Compiled: tell which line of the program is which line of the template, in case we are killed later.
4. Filled in, or what was wrong.
"""

from __future__ import annotations

import faulthandler
import json
import pickle
import resource
import signal
import struct
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

from jinja2 import Template, TemplateSyntaxError, UndefinedError

from gopub.sandbox.fault import BudgetError, ControlError, Kind
from gopub.sandbox.jinja import Sandbox

MOST_MEMORY = 768 * 1024 * 1024
"""Bytes of address space."""
MOST_SECONDS = 3
"""Of processor time, for one template."""
HEAD = struct.Struct(">I")
_LONGEST = 1000
_KINDS: tuple[tuple[type[Exception], Kind, str], ...] = (
    (BudgetError, "excess", ""),
    (ControlError, "control", ""),
    (RecursionError, "excess", "it calls itself without end"),
    (MemoryError, "excess", "it needs too much memory"),
    (UndefinedError, "undefined", ""),
    (Exception, "wrong", ""),
)


class Rendering(NamedTuple):
    """What the parent asks for; without variables only whether the template can be read."""

    source: str
    variables: Mapping[str, Any] | None
    one_line: bool


def main() -> None:
    """Answer requests until there are no more."""
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    _limit()
    while head := asked.read(HEAD.size):
        request = pickle.loads(asked.read(HEAD.unpack(head)[0]))  # noqa: S301 - from the parent alone
        used = resource.getrusage(resource.RUSAGE_SELF)
        until = int(used.ru_utime + used.ru_stime) + 1 + MOST_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
        _tell(told, answer(request, told))


def _limit() -> None:
    """Set the limits; whoever goes over the time says on stderr where it was, and is ended."""
    faulthandler.register(signal.SIGXCPU, file=sys.stderr, all_threads=False, chain=True)
    for which, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(which, (most, most))


def answer(request: Rendering, told: BinaryIO) -> dict[str, Any]:
    """Fill in one template: its text, or problem, line and kind of what is wrong."""
    sandbox = Sandbox(one_line=request.one_line)
    try:
        if request.variables is None:
            sandbox.compiled(request.source)
            return {"text": ""}
        text = sandbox.text(request.source, request.variables, lambda made: _tell(told, {"lines": _lines(made)}))
        text.encode()  # a lone surrogate is no text
    except Exception as error:  # noqa: BLE001 - whatever a template raises is the template's mistake
        return _fault(error)
    return {"text": text}


def _fault(error: Exception) -> dict[str, Any]:
    """Problem, line and kind of what a template raised."""
    problem, kind = next((said or str(error), kind) for of, kind, said in _KINDS if isinstance(error, of))
    line = error.lineno if isinstance(error, TemplateSyntaxError) else line_of(error)
    return {"problem": (problem or type(error).__name__)[:_LONGEST], "line": line, "kind": kind}


def line_of(error: BaseException) -> int:
    """The template's line where it happened: Jinja rewrites tracebacks so that they name it."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _lines(template: Template) -> list[tuple[int, int]]:
    """Pairs of a line of the template and the line of the program that Jinja made of it."""
    return list(template.debug_info)


def _tell(told: BinaryIO, what: Mapping[str, Any]) -> None:
    data = json.dumps(what, ensure_ascii=True).encode()  # a lone surrogate of a problem's text passes, escaped
    told.write(HEAD.pack(len(data)) + data)
    told.flush()


if __name__ == "__main__":
    main()
