"""Structured lines: under which keys the loggers of Go and Java write level, message, error and stack.

| logger | what it writes |
|---|---|
| slog, zap, zerolog, logrus, hclog | ``level``, ``msg``, ``message``, ``@message``, ``error``, ``err`` |
| logback and logstash encoders | ``level``, ``message``, ``stack_trace``; ``throwable: {className}`` |
| log4j2 | ``level``, ``message``, ``thrown: {name}``; ECS: ``log.level``, ``error.type``; GELF: syslog's numbers |
| JBoss, Quarkus | ``level``, ``message``, ``exception: {exceptionType}`` |
| OpenTelemetry | ``severityText``, ``severityNumber`` (17: error, 21: fatal), ``body``, ``exception.type`` |

Keys are compared in lower case; one mapping within the line is read as if its keys were written with dots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from gopub.health.levels import level_of

LONGEST = 4096
"""Characters of a line, or of one value of a structured line, that are read."""
_STACK = 16_000
_MOST_KEYS = 256
LEVEL_KEYS = (
    "level", "severity", "lvl", "log.level", "@level", "severitytext", "severity_text", "loglevel", "levelname",
)  # fmt: skip
MESSAGE_KEYS = (
    "msg", "message", "event", "@message", "short_message", "body", "body.stringvalue", "formattedmessage",
)  # fmt: skip
_ERROR_KEYS = (
    "error.type", "exception", "exception.type", "attributes.exception.type", "exception.exceptiontype",
    "throwable.classname", "thrown.name", "err", "error", "error.message", "thrown.message",
)  # fmt: skip
_STACK_KEYS = (
    "stack_trace", "error.stack_trace", "stacktrace", "exception.stacktrace", "attributes.exception.stacktrace",
    "full_message", "exception", "error", "thrown.extendedstacktrace",
)  # fmt: skip
_NUMBERS = ("severitynumber", "severity_number")
_CAUSE = re.compile(
    r"^[ \t]{0,16}(?:Caused by: |Suppressed: |Exception in thread \"[^\"\n]{0,99}\" )?"
    r"(?:[A-Za-z_$][\w$]{0,99}\.){1,16}([A-Z][\w$]{0,99})(?::|[ \t\r]*$)",
    re.MULTILINE,
)
_MOST_CAUSES = 5
_THROWN = ("Exception", "Error", "Throwable", "Failure")


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says: its level if that is error or worse, its message, and the error it carries."""

    level: str
    message: str
    error: str = ""
    lower: bool = False
    """It names a level, and that is below error: a type's name in it may count how often nothing failed."""


def keyed(values: Mapping[str, object]) -> Line:
    """The line that these keys make."""
    flat = _flat(values)
    level = _level(flat)
    stack = "\n".join(causes(_first(flat, _STACK_KEYS, _STACK)))
    error = _first(flat, _ERROR_KEYS)
    return Line(
        level=level or "",
        message=_first(flat, MESSAGE_KEYS),
        error=f"{_first_line(error)}\n{stack}" if stack else error,
        lower=level == "",
    )


def causes(text: str) -> tuple[str, ...]:
    """The names of the errors at the head of a Java stack trace and behind each ``Caused by``."""
    return tuple(match[1] for match in islice(_CAUSE.finditer(text[:_STACK]), _MOST_CAUSES))


def heads_a_trace(text: str) -> bool:
    """Whether a line is the head of a Java stack trace: the whole name of what is thrown, and what it says."""
    match = _CAUSE.match(text[:LONGEST])
    return match is not None and match[1].endswith(_THROWN)


def first(values: Mapping[str, object], keys: tuple[str, ...]) -> str:
    """The first value under one of ``keys`` that says anything."""
    return _first(values, keys)


def _level(flat: Mapping[str, object]) -> str | None:
    named = level_of(_first(flat, LEVEL_KEYS))
    if named is not None:
        return named
    number = next((flat[key] for key in _NUMBERS if isinstance(flat.get(key), int)), None)
    if number is not None:
        return "fatal" if int(str(number)) >= 21 else "error" if int(str(number)) >= 17 else ""
    if "short_message" in flat and isinstance(flat.get("level"), int):  # GELF counts as syslog does
        return "" if int(str(flat["level"])) > 3 else "error" if flat["level"] == 3 else "fatal"
    return None


def _flat(values: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in islice(values.items(), _MOST_KEYS):
        if isinstance(value, Mapping):
            flat.update((f"{key}.{inner}".lower(), deep) for inner, deep in islice(value.items(), _MOST_KEYS))
        else:
            flat.setdefault(key.lower(), value)
    return flat


def _first(values: Mapping[str, object], keys: tuple[str, ...], most: int = LONGEST) -> str:
    return next((str(values[key])[:most] for key in keys if values.get(key) not in (None, "", 0, False)), "")


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
