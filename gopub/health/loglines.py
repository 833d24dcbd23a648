"""From log lines to classes of error lines that two releases can be compared by.

An error line has a level of error or worse, a syslog priority of err or worse, or words that Go programs fail with.
It counts in up to three classes: its level, the kinds of error it names, and its template, the line with every word
that is not purely letters replaced by ``*``. A structured line (JSON, logfmt) is read by its keys (``logkeys``), any
other by the first level that it names (``levels``). Lines that belong together are joined before (``logevents``).

Every look reads thousands of lines between two renewals of the driver's lease, and a service decides what is in them:
each pattern here takes time in proportion to the line, and only the beginning of a line is looked at. Most lines are
no error lines, so ``quiet`` looks first whether a line has any of the words without which it cannot be one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from gopub.health.levels import level_of, plain_level, torn_level, warns
from gopub.health.logkeys import LEVEL_KEYS, LONGEST, MESSAGE_KEYS, Line, first, keyed
from gopub.health.logmasks import hidden_words

_ANSI = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]")
# A name, a word in lower case without which the pattern cannot match and which is asked for first, and the pattern.
_KINDS = (
    ("panic", "panic", re.compile(r"^panic: |\bpanic(?:ked)?\b", re.IGNORECASE)),
    ("nil pointer dereference", "nil pointer", re.compile(r"nil pointer dereference")),
    ("runtime error", "runtime error", re.compile(r"runtime error: ([a-z ]+)")),
    ("fatal error", "fatal error", re.compile(r"^fatal error: ")),
    ("deadline exceeded", "deadline exceeded", re.compile(r"(?:context )?deadline exceeded", re.IGNORECASE)),
    ("i/o timeout", "i/o timeout", re.compile(r"i/o timeout")),
    ("connection refused", "connection refused", re.compile(r"connection refused")),
    ("connection reset", "connection reset", re.compile(r"connection reset by peer")),
    ("connection reset", "broken pipe", re.compile(r"broken pipe")),
    ("too many open files", "too many open", re.compile(r"too many open files")),
)
# What a line of a lower level, or of none, may well say of others.
_DETAILS = (
    ("connection refused", ("connection refused",), re.compile(r"Connection refused")),
    ("connection reset", ("connection reset",), re.compile(r"Connection reset")),
    ("timed out", ("timed out",), re.compile(r"\b[Tt]imed out\b")),
    ("no such host", ("no such host", "unknownhost"), re.compile(r"no such host|UnknownHost")),
    ("unexpected EOF", ("eof",), re.compile(r"unexpected EOF|: EOF$", re.MULTILINE)),
    ("certificate", ("x509", "tls: ", "pkix"), re.compile(r"x509: |tls: |PKIX path")),
    ("no space left", ("no space",), re.compile(r"[Nn]o space left on device")),
    ("permission denied", ("permission",), re.compile(r"[Pp]ermission denied")),
    ("out of memory", ("out of memory", "outofmemory"), re.compile(r"out of memory|OutOfMemory")),
    ("stack overflow", ("stack overflow", "stackoverflow"), re.compile(r"[Ss]tack overflow|StackOverflow")),
    ("segmentation fault", ("sigsegv", "segfault", "segmentation"), re.compile(r"SIGSEGV|segfault|[Ss]egmentation ")),
    ("deadlock", ("deadlock",), re.compile(r"[Dd]eadlock")),
)
_NAMED = re.compile(r"\b([A-Z][A-Za-z0-9]*(?:Exception|Error))\b")
# Keys begin at the begin of a word and are short: a long run of letters is looked at once, not once for each of them.
_PAIR = re.compile(r'(?<![\w.@])([A-Za-z_@][\w.@]{0,63})=("(?:[^"\\]|\\.)*"|\S*)')
_LOGFMT = re.compile(r"[\d\s:.,/TZ+\[\]-]{0,40}[A-Za-z_@][\w.@]{0,63}=")
"""The begin of a line that is nothing but pairs, after a time at most."""
_MAX_TEMPLATE = 160
PANIC = "error:panic"
GRAVE = frozenset(
    {PANIC, "error:fatal error", "error:nil pointer dereference", "error:runtime error", "error:out of memory",
     "error:stack overflow", "error:segmentation fault", "error:deadlock", "error:no space left"}
)  # fmt: skip
"""Kinds by which a process or its machine fails: no word of a template makes them harmless."""


def classes(text: str, priority: int = 6, causes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The classes of one line, most general first; empty when it is no error line.

    ``causes`` are the errors named by the lines that belong to it.
    """
    if priority > 3 and quiet(text):
        return ()
    line = parse(text)
    level = line.level or ("error" if priority <= 3 and not line.lower else "")
    found = _kinds("\n".join((line.message, line.error, *causes)), named=not line.lower, sure=bool(level))
    if not level and not found:
        return ()
    return (
        f"level:{level or 'error'}",
        *(f"error:{kind}" for kind in found),
        f"template:{template(_first_line(line.message) or _first_line(line.error))}",
    )


def quiet(text: str) -> bool:
    """Whether a line surely is no error line, by the words that it does not have; False says nothing.

    Each of them is asked for apart: that is several times quicker than one pattern.
    """
    low = text.lower()
    if (
        "pani" in low or "fata" in low or "deadline exceeded" in low or "i/o timeout" in low or "connection re" in low
        or "broken pipe" in low or "too many open" in low or "nil pointer" in low or "runtime error" in low
        or "\\u" in low or "\x1b" in low
    ):  # fmt: skip
        return False
    return not (
        "err" in low or "exception" in low or "severe" in low or "crit" in low or "alert" in low or "emerg" in low
        or "ftl" in low or "pnc" in low or "eror" in low
        or '"e"' in low or '"f"' in low or "l=e" in low or "l=f" in low or "y=e" in low or "y=f" in low
        or "short_message" in low or "ynumber" in low or "y_number" in low or text[:1] in _GLOG
    ) or _surely_lower(text, low)  # fmt: skip


def _surely_lower(text: str, low: str) -> bool:
    """Whether the line names one level, where loggers write it, and that is below error: what it speaks of is no news.

    Only forms that leave no doubt; the others are read in full.
    """
    if low.count("level") == 1 and "lvl" not in low and "severity" not in low:
        before, _, after = low.partition("level")
        if text[:1] == "{" and after[:2] == '":' and before[-1:] == '"' and "{" not in before[1:]:
            return after[2:11].lstrip().lstrip('"').partition('"')[0] in _LOWER
        if after[:1] == "=" and '"' not in before and "=" in low[:64].partition(" ")[0]:
            return after[1:8].partition(" ")[0] in _LOWER
    elif text[:1].isdigit() and "lev" not in low and "lvl" not in low and "severity" not in low and "\n" not in text:
        words = text[:120].replace("\t", " ").split(" ")
        at = next((number for number, word in enumerate(words[:4]) if word in _LOWER_WORDS), None)
        return at is not None and not any(word in _SHORT for word in words[: at + 3])
    return False


_LOWER = frozenset({"info", "debug", "warn", "trace", "notice"})
_LOWER_WORDS = frozenset({"INFO", "DEBUG", "WARN", "TRACE", "NOTICE"})
_SHORT = frozenset(
    {
        "ERR",
        "FTL",
        "PNC",
        "ERROR",
        "FATAL",
        "PANIC",
        "DPANIC",
        "CRITICAL",
        "SEVERE",
        "error",
        "fatal",
        "panic",
        "dpanic",
    }
)
_GLOG = frozenset("EF")


def parse(text: str) -> Line:
    """Read JSON, logfmt, or plain text."""
    if text.startswith("{"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return _plain(text)
        return keyed(values) if isinstance(values, Mapping) else _plain(text)
    text = _ANSI.sub("", text[:LONGEST])
    pairs = {key: value.strip('"') for key, value in reversed(_PAIR.findall(text))}  # of two equal keys the first
    return keyed(pairs) if _is_logfmt(pairs, text) else _plain(text)


def template(message: str) -> str:
    """Every word that is not purely letters becomes ``*``: as good as a parser with default settings, and quick.

    So does a word that is a secret, for a template is shown to more people than a line.
    """
    words = message[:LONGEST].split()[:40]
    hidden = hidden_words(words)
    shown = (word if word.isalpha() and at not in hidden else "*" for at, word in enumerate(words))
    return " ".join(shown)[:_MAX_TEMPLATE] or "*"


def warned(text: str) -> bool:
    """Whether a plain line names a level of warning or worse: then the trace that follows belongs to it."""
    return warns(_ANSI.sub("", text[:LONGEST]))


def _is_logfmt(pairs: Mapping[str, str], text: str) -> bool:
    """With a level and a message; or with a level that is one, where the line consists of pairs."""
    if any(key in pairs for key in MESSAGE_KEYS):
        return any(key in pairs for key in LEVEL_KEYS)
    return level_of(first(pairs, LEVEL_KEYS)) is not None and _LOGFMT.match(text) is not None


def _plain(text: str) -> Line:
    text = _ANSI.sub("", text[:LONGEST])
    torn = torn_level(text)
    level = plain_level(text) if torn is None else torn
    return Line(level or "", text, lower=level == "")


def _kinds(text: str, *, named: bool, sure: bool) -> tuple[str, ...]:
    low = text.lower()
    known = {name for name, needle, pattern in _KINDS if needle in low and pattern.search(text)}
    if sure:
        known |= {name for name, needles, pattern in _DETAILS if _any(needles, low) and pattern.search(text)}
    return tuple(sorted(known | set(_NAMED.findall(text)[:3] if named else ())))


def _any(needles: tuple[str, ...], low: str) -> bool:
    return any(needle in low for needle in needles)


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
