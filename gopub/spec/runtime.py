"""What a service's process is given with a release, and is read back from it: named variables, and limits.

An environment holds secrets, so only what is named here is read back. What Go's runtime takes of its own variables is
looked at when gopub.yaml is read, and again when a template is filled in: Go passes over a wrong GOMAXPROCS in silence,
and a program with a wrong GOMEMLIMIT does not start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from gopub.spec.base import Model
from gopub.spec.fields import Line, Whole, refuse, telling
from gopub.spec.tree import Path
from gopub.units import say_size, size

MOST_VARIABLES, LONGEST = 50, 500
_LARGEST = 1 << 62
_SYSTEMDS = frozenset(
    {"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET", "MAINPID", "INVOCATION_ID", "JOURNAL_STREAM",
     "WATCHDOG_PID", "WATCHDOG_USEC", "STATE_DIRECTORY"}
)  # fmt: skip
_SECRET = re.compile(
    r"(^|_)(PASS(WORD|WD|PHRASE)?|SECRETS?|TOKENS?|CREDENTIALS?|(API|PRIVATE|ACCESS)_?KEY)(_|$)", re.IGNORECASE
)
_GO = {
    "GOMAXPROCS": (r"[1-9][0-9]{0,5}", "a number of processors from 1 on", 'write a whole number: "8"'),
    "GOMEMLIMIT": (r"off|[1-9][0-9]{0,17}(B|KiB|MiB|GiB|TiB)?", "an amount that Go takes",
                   "write whole B, KiB, MiB, GiB or TiB, such as 900MiB, or off"),
    "GOGC": (r"off|[1-9][0-9]{0,8}", "a percentage that Go takes", 'write a whole number without %, or off: "100"'),
}  # fmt: skip


def _text(value: Any) -> Any:
    """``8`` is a number in YAML; a variable is text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        return telling(size)(value)
    raise refuse("GP104", f"{value!r} is not a size", 'write it as "10MiB"')


def _share(value: Any) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,5})\s*%", value) if isinstance(value, str) else None
    if not match:
        raise refuse("GP102", f"{value!r} is no share of a processor", 'write whole percents: "200%" is two processors')
    return int(match[1])


RuntimeText = Annotated[
    Line,
    BeforeValidator(_text),
    Field(max_length=LONGEST),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["8", "1GiB", "60s"]}),
]
"""A variable's value: text on one line, or a whole number."""

Bytes = Annotated[
    int,
    BeforeValidator(_size),
    Field(le=_LARGEST),
    PlainSerializer(say_size, return_type=str, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["1GiB", 0]}),
]
"""An amount of memory or of a file, in bytes."""

Processors = Annotated[
    int,
    BeforeValidator(_share),
    PlainSerializer(lambda value: f"{value}%", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,5}\\s*%$", "examples": ["200%"]}),
]
"""A share of one processor in percent; more than 100 % are several."""


class Limits(Model):
    """What the service may take of its host; what is left out is as the unit and systemd have it."""

    scalar_is_first = False

    files: Whole | None = Field(None, ge=16, le=1 << 30)
    """Open files."""
    processes: Whole | None = Field(None, ge=1, le=1 << 22)
    """Processes and threads of the service's user."""
    core: Bytes | None = None
    """The size of a core file; 0 for none."""
    locked: Bytes | None = None
    """Memory that it may lock."""
    memory: Bytes | None = Field(None, ge=1 << 20)
    """Memory of all its processes together; beyond it they are ended."""
    tasks: Whole | None = Field(None, ge=1, le=1 << 22)
    """Processes and threads in the service."""
    cpu: Processors | None = None
    """Its share of one processor, in percent."""

    @property
    def given(self) -> dict[str, int]:
        """Those that are set, by name, in the order of the fields."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in named.items() if value is not None}


def wrong_go(name: str, text: str) -> tuple[str, str] | None:
    """What is wrong with a variable of Go's runtime, and what to write; None for others, and for templates."""
    if name not in _GO or "{" in text:
        return None
    pattern, what, hint = _GO[name]
    return None if re.fullmatch(pattern, text) else (f"{text!r} is not {what}", hint)


def wrong_runtime(runtime: Mapping[str, str], env: Mapping[str, str]) -> Iterator[tuple[Path, str, str, str]]:
    """What is wrong with the variables of a service: the key below `service`, a code, what, and what to do."""
    for key, of in (("env", env), ("runtime", runtime)):
        for name, text in of.items():
            if found := wrong_go(name, text):
                yield (key, name), "GP570", *found
    if len(runtime) > MOST_VARIABLES:
        yield ("runtime",), "GP571", f"{len(runtime)} variables", f"{MOST_VARIABLES} is the most: move the rest to env"
    for name in runtime:
        if name in env:
            yield ("runtime", name), "GP571", "it stands in `env` as well", "remove one of them"
        if _SECRET.search(name):
            hint = "what is read back is shown; put a secret into a file that only the service's user reads"
            yield ("runtime", name), "GP571", "its name is that of a secret", hint
        if name in _SYSTEMDS:
            yield ("runtime", name), "GP571", "systemd sets it itself", "leave it out"
