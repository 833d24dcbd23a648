"""From log lines to classes of error lines that two releases can be compared by.

An error line has a level of error or worse, a syslog priority of err or worse, or words that Go programs fail with.
It counts in up to three classes: its level, the kinds of error it names, and its template, the line with every word
that is not purely letters replaced by ``*``. A structured line (JSON, logfmt) is read by its keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

_LEVELS = {
    "error": "error",
    "err": "error",
    "severe": "error",
    "fatal": "fatal",
    "critical": "fatal",
    "crit": "fatal",
    "alert": "fatal",
    "emerg": "fatal",
    "panic": "fatal",
    "dpanic": "fatal",
}
_WORSE = re.compile(r"\b(ERROR|ERR|FATAL|PANIC|CRITICAL|SEVERE)\b|^\W*(error|fatal|panic)\b\W", re.MULTILINE)
_KINDS = (
    ("panic", re.compile(r"^panic: |\bpanic(?:ked)?\b", re.IGNORECASE)),
    ("nil pointer dereference", re.compile(r"nil pointer dereference")),
    ("runtime error", re.compile(r"runtime error: ([a-z ]+)")),
    ("fatal error", re.compile(r"^fatal error: ")),
    ("deadline exceeded", re.compile(r"(?:context )?deadline exceeded", re.IGNORECASE)),
    ("i/o timeout", re.compile(r"i/o timeout")),
    ("connection refused", re.compile(r"connection refused")),
    ("connection reset", re.compile(r"connection reset by peer|broken pipe")),
    ("too many open files", re.compile(r"too many open files")),
)
_NAMED = re.compile(r"\b([A-Z][A-Za-z0-9]*(?:Exception|Error))\b")
_PAIR = re.compile(r'([A-Za-z_][\w.]*)=("(?:[^"\\]|\\.)*"|\S*)')
_LEVEL_KEYS = ("level", "severity", "lvl", "log.level")
_MESSAGE_KEYS = ("msg", "message", "event")
_ERROR_KEYS = ("error.type", "exception", "exception.type", "err", "error")
_MAX_TEMPLATE = 160


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says: its level if it names one, its message, and the error it carries."""

    level: str
    message: str
    error: str = ""


def classes(text: str, priority: int = 6) -> tuple[str, ...]:
    """The classes of one line, most general first; empty when it is no error line."""
    line = parse(text)
    found = _kinds(f"{line.message}\n{line.error}")
    level = line.level or ("error" if priority <= 3 else "")
    if not level and not found:
        return ()
    return (
        f"level:{level or 'error'}",
        *(f"error:{kind}" for kind in found),
        f"template:{template(line.message or line.error)}",
    )


def parse(text: str) -> Line:
    """Read JSON, logfmt, or plain text."""
    if text.startswith("{"):
        try:
            return _keyed(json.loads(text), text)
        except (ValueError, RecursionError):
            return _plain(text)
    pairs = dict(_PAIR.findall(text))
    if any(key in pairs for key in _LEVEL_KEYS) and any(key in pairs for key in _MESSAGE_KEYS):
        return _keyed({key: value.strip('"') for key, value in pairs.items()}, text)
    return _plain(text)


def template(message: str) -> str:
    """Every word that is not purely letters becomes ``*``: as good as a parser with default settings, and quick."""
    words = (word if word.isalpha() else "*" for word in message.split()[:40])
    return " ".join(words)[:_MAX_TEMPLATE] or "*"


def _keyed(values: object, text: str) -> Line:
    if not isinstance(values, Mapping):
        return _plain(text)
    return Line(
        level=_LEVELS.get(_first(values, _LEVEL_KEYS).lower(), ""),
        message=_first(values, _MESSAGE_KEYS),
        error=_first(values, _ERROR_KEYS),
    )


def _first(values: Mapping[str, object], keys: tuple[str, ...]) -> str:
    return next((str(values[key]) for key in keys if values.get(key) not in (None, "")), "")


def _plain(text: str) -> Line:
    match = _WORSE.search(text)
    return Line(_LEVELS[(match[1] or match[2]).lower()] if match else "", text)


def _kinds(text: str) -> tuple[str, ...]:
    known = {name for name, pattern in _KINDS if pattern.search(text)}
    return tuple(sorted(known | set(_NAMED.findall(text)[:3])))
