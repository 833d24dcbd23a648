"""The parent's side: one child for all templates, asked one at a time, replaced when it died of one."""

from __future__ import annotations

import json
import pickle
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import gopub
from gopub.errors import GopubError
from gopub.process import Companion
from gopub.sandbox.child import HEAD, MOST_SECONDS, Rendering
from gopub.sandbox.fault import TemplateFault
from gopub.sandbox.jinja import MOST_SOURCE
from gopub.sandbox.weight import MOST_TEXT

ANSWERS_WITHIN = 120.0
"""Seconds after which a child that neither answers nor uses up its processor time is given up."""
_LARGEST = 8 * MOST_TEXT
"""Bytes of an answer: JSON takes up to six for a character."""
_AT = re.compile(r'File "<template>", line (\d+)')


def fill(source: str, variables: Mapping[str, Any], *, one_line: bool = False) -> str:
    """The template's text; ``one_line`` refuses a value with a line break or another control character.

    Raises:
        TemplateFault: it is wrong, asks for what is not there, or wants too much.
        GopubError: GP966 the child cannot run.
    """
    return _ASKING.ask(Rendering(source, dict(variables), one_line))


def check_syntax(source: str) -> None:
    """See whether a template can be read at all; its variables need not be known.

    Raises:
        TemplateFault: its syntax is wrong, or it is too large.
    """
    _ASKING.ask(Rendering(source, None, one_line=False))


class Asking:
    """Asks the child; there is one while templates are filled in, and it ends with us."""

    def __init__(self) -> None:
        """Start no child yet."""
        self._child: Companion | None = None
        self._lock = Lock()

    def ask(self, request: Rendering) -> str:
        """The text of one template.

        Raises:
            TemplateFault: what the child says is wrong, or that it died of it.
        """
        if len(request.source) > MOST_SOURCE:
            raise TemplateFault(f"it has {len(request.source)} characters, {MOST_SOURCE} are allowed", kind="excess")
        with self._lock:
            child = self._child if self._child and not self._child.ended else _start()
            self._child = None  # whatever interrupts us: a child with half an answer is not asked again
            try:
                found = _converse(child, request)
            except BaseException:
                child.end()
                raise
            self._child = child
        if "text" in found:
            return str(found["text"])
        raise TemplateFault(str(found["problem"]), int(found["line"]), found["kind"])


_ASKING = Asking()


def _start() -> Companion:
    """A child with an environment of its own: nothing of ours is in its reach but this package."""
    root = str(Path(gopub.__file__).parent.parent)
    return Companion([sys.executable, "-s", "-P", "-m", "gopub.sandbox.child"], {"PYTHONPATH": root, "LANG": "C.UTF-8"})


def _converse(child: Companion, request: Rendering) -> dict[str, Any]:
    data = pickle.dumps(request)
    lines: list[tuple[int, int]] = []
    try:
        child.send(HEAD.pack(len(data)) + data)
        found = _frame(child)
        if "lines" in found:
            lines = [(int(ours), int(made)) for ours, made in found["lines"]]
            found = _frame(child)
    except (EOFError, TimeoutError, BrokenPipeError):
        code, said = child.end()
        return _died(code, said, lines)
    return found


def _frame(child: Companion) -> dict[str, Any]:
    (size,) = HEAD.unpack(child.receive(HEAD.size, ANSWERS_WITHIN))
    if size > _LARGEST:
        raise EOFError
    found = json.loads(child.receive(size, ANSWERS_WITHIN))
    return found if isinstance(found, dict) else {"text": ""}


def _died(code: int, said: str, lines: list[tuple[int, int]]) -> dict[str, Any]:
    """What is wrong with a template of which the child died: it was ended over its time, or found no memory.

    Raises:
        GopubError: GP966 it died of something else, which is no template's fault.
    """
    if code >= 0 and "MemoryError" not in said:
        problem = f"the program that fills in templates ended with exit code {code}\n{said[-2000:].strip()}"
        raise GopubError("GP966", problem, hint="is the installation whole? `python -m gopub.sandbox.child` starts it")
    late = code in (-signal.SIGXCPU, -signal.SIGKILL)
    problem = f"it takes more than {MOST_SECONDS} s of processor time" if late else "it needs too much memory"
    at = _AT.search(said)  # the innermost frame comes first
    return {"problem": problem, "kind": "excess", "line": _line(int(at.group(1)), lines) if at else 0}


def _line(made: int, lines: list[tuple[int, int]]) -> int:
    """The template's line for a line of the program that was made of it: that of the nearest statement above."""
    return max(((at, ours) for ours, at in lines if at <= made), default=(0, 1))[1]
