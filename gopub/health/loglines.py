"""From log lines to classes of error lines that two releases can be compared by.

An error line has a level of error or worse, a syslog priority of err or worse, or words that Go programs fail with.
It counts in up to three classes: its level, the kinds of error it names, and its template, the line with every word
that is not purely letters replaced by ``*``. A structured line (JSON, logfmt) is read by its keys, any other by the
first level that it names; see ``levels``.

Every look reads thousands of lines between two renewals of the driver's lease, and a service decides what is in them:
each pattern here takes time in proportion to the line, and only the beginning of a line is looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gopub.health.levels import level_of, names_level, plain_level, torn_level

LONGEST = 4096
"""Characters of a line, or of one value of a JSON line, that are read."""
_ANSI = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]")
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
# Keys begin at the begin of a word and are short: a long run of letters is looked at once, not once for each of them.
_PAIR = re.compile(r'(?<![\w.@])([A-Za-z_@][\w.@]{0,63})=("(?:[^"\\]|\\.)*"|\S*)')
_LOGFMT = re.compile(r"[\d\s:.,/TZ+\[\]-]{0,40}[A-Za-z_@][\w.@]{0,63}=")
"""The begin of a line that is nothing but pairs, after a time at most."""
_LEVEL_KEYS = ("level", "severity", "lvl", "log.level", "@level")
_MESSAGE_KEYS = ("msg", "message", "event", "@message")
_ERROR_KEYS = ("error.type", "exception", "exception.type", "err", "error")
_MAX_TEMPLATE = 160


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says: its level if that is error or worse, its message, and the error it carries."""

    level: str
    message: str
    error: str = ""
    lower: bool = False
    """It names a level, and that is below error: a type's name in it may count how often nothing failed."""


def classes(text: str, priority: int = 6) -> tuple[str, ...]:
    """The classes of one line, most general first; empty when it is no error line."""
    line = parse(text)
    found = _kinds(f"{line.message}\n{line.error}", named=not line.lower)
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
    text = _ANSI.sub("", text[:LONGEST])
    pairs = {key: value.strip('"') for key, value in reversed(_PAIR.findall(text))}  # of two equal keys the first
    if _is_logfmt(pairs, text):
        return _keyed(pairs, text)
    return _plain(text)


def template(message: str) -> str:
    """Every word that is not purely letters becomes ``*``: as good as a parser with default settings, and quick."""
    words = (word if word.isalpha() else "*" for word in message[:LONGEST].split()[:40])
    return " ".join(words)[:_MAX_TEMPLATE] or "*"


def _is_logfmt(pairs: Mapping[str, str], text: str) -> bool:
    """With a level and a message; or with a level that is one, where the line consists of pairs."""
    level = _first(pairs, _LEVEL_KEYS)
    if any(key in pairs for key in _MESSAGE_KEYS):
        return any(key in pairs for key in _LEVEL_KEYS)
    return level_of(level) is not None and _LOGFMT.match(text) is not None


def _keyed(values: object, text: str) -> Line:
    if not isinstance(values, Mapping):
        return _plain(text)
    return Line(
        level=level_of(_first(values, _LEVEL_KEYS)) or "",
        message=_first(values, _MESSAGE_KEYS),
        error=_first(values, _ERROR_KEYS),
        lower=level_of(_first(values, _LEVEL_KEYS)) == "",
    )


def _first(values: Mapping[str, object], keys: tuple[str, ...]) -> str:
    return next((str(values[key])[:LONGEST] for key in keys if values.get(key) not in (None, "")), "")


def _plain(text: str) -> Line:
    text = _ANSI.sub("", text[:LONGEST])
    torn = torn_level(text)
    level = plain_level(text) if torn is None else torn
    return Line(level, text, lower=not level and (torn is not None or names_level(text)))


def _kinds(text: str, *, named: bool) -> tuple[str, ...]:
    known = {name for name, pattern in _KINDS if pattern.search(text)}
    return tuple(sorted(known | set(_NAMED.findall(text)[:3] if named else ())))
