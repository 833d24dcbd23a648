"""The level of a log line, as the loggers of Go programs write it.

| logger | an error |
|---|---|
| log/slog | ``level=ERROR``, ``ERROR+2``: two above error |
| zap console | ``TIME<tab>ERROR<tab>…``, in lower case in production |
| zerolog console | ``3:04PM ERR …``, ``FTL``, ``PNC`` |
| logrus | ``ERRO[0001] …``, ``FATA``, ``PANI`` |
| klog, glog | ``E1127 12:00:00.000000 …``, ``F`` |
| go-kit, log15 | ``level=error err=…``, ``lvl=eror`` |
| hclog | ``[ERROR]``, ``"@level":"error"`` |

The first level of a line is the line's: an info line may speak of an ERROR.
"""

from __future__ import annotations

import re

_ERROR = ("error", "err", "eror", "erro", "severe", "e")
_FATAL = (
    "fatal", "fata", "ftl", "critical", "crit", "alert", "emerg", "emergency", "panic", "pani", "pnc", "dpanic", "f",
)  # fmt: skip
_FINE = (
    "trace", "trac", "trc", "debug", "debu", "dbg", "dbug", "info", "inf", "informational", "notice",
    "warn", "warning", "wrn", "i", "w",
)  # fmt: skip
_LEVELS = {**dict.fromkeys(_FINE, ""), **dict.fromkeys(_ERROR, "error"), **dict.fromkeys(_FATAL, "fatal")}

_OFFSET = re.compile(r"[+-]\d{1,3}$")
_TIME = r"[\d\s:.,/TZ+-]{1,40}"
# Forms that say at the line's begin which level it has.
_HEADS = (
    re.compile(r"([IWEF])\d{4,8} \d\d:\d\d:\d\d"),
    re.compile(r"(TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)\[[^\]\n]{0,40}\]"),
    re.compile(r"(?:\d\S{0,40}|<nil>) (?:\S{1,40} )?(TRC|DBG|INF|WRN|ERR|FTL|PNC) "),
    re.compile(r"[^\t\n]{1,40}\t(debug|info|warn|error|dpanic|panic|fatal)\t"),
    re.compile(rf"{_TIME}\[?(error|fatal|panic)[:\]]"),
)
_WORD = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|PANIC|DPANIC|CRITICAL|SEVERE)\b"
    r"|^[^\w\n]{0,32}(error|fatal|panic)\b\W",
    re.MULTILINE,
)
_TORN = re.compile(r'"(?:@?level|severity|lvl|log\.level)"\s{0,4}:\s{0,4}"([A-Za-z]{1,16})')


def level_of(name: str) -> str | None:
    """``error`` or ``fatal``, "" for a lower level, None for a name that is no level."""
    return _LEVELS.get(_OFFSET.sub("", name.lower()))


def plain_level(text: str) -> str | None:
    """``error`` or ``fatal`` where a line without keys says so, "" where it names a lower level, None without any."""
    match = _named(text)
    return _LEVELS[(match[1] or match[2]).lower()] if match else None


def warns(text: str) -> bool:
    """Whether a line without keys names a level of warning or worse: what it says may go on in a trace."""
    match = _named(text)
    word = (match[1] or match[2]).lower() if match else ""
    return word in _WARNING or bool(_LEVELS.get(word))


_WARNING = ("warn", "warning", "wrn", "w")


def _named(text: str) -> re.Match[str] | None:
    return next((found for head in _HEADS if (found := head.match(text))), None) or _WORD.search(text)


def torn_level(text: str) -> str | None:
    """As ``level_of``, of a line that began as JSON and is none: journald cuts what is very long into pieces."""
    match = _TORN.search(text) if text.startswith("{") else None
    return level_of(match[1]) if match else None
