"""Requests out of an access log, in nginx's ``combined`` format or as JSON; pure.

JSON is an object per line whose keys are nginx's variables: ``remote_addr``, ``request`` or ``request_method`` with
``request_uri``, ``msec`` or ``time_iso8601`` or ``time_local``, and ``http_NAME`` for each header (``http_cookie``,
``http_x_gray_tag``). Source of the format: https://nginx.org/en/docs/http/ngx_http_log_module.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gopub.errors import UsageError
from gopub.traffic.asked import Request
from gopub.traffic.targets import taken_apart

_COMBINED = re.compile(
    r'(?P<remote_addr>\S+) \S+ .*?\[(?P<time_local>[^][]{1,64})\] "(?P<request>(?:[^"\\]|\\.)*)" \d{3} \S+'
    r'(?: "(?P<http_referer>(?:[^"\\]|\\.)*)" "(?P<http_user_agent>(?:[^"\\]|\\.)*)")?.*'
)
_LINE = re.compile(r"([A-Z][A-Z-]{0,31}) (\S+) HTTP/[0-9.]+")
_ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_ASKED = (
    "remote_addr",
    "request",
    "request_method",
    "method",
    "request_uri",
    "msec",
    "time_iso8601",
    "time_local",
)
LONGEST = 64 * 1024
"""Characters of a line; what is longer is no line of an access log."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One line: what was asked. ``known`` are the names of the headers that the log keeps, in lower case."""

    number: int
    request: Request
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that is no request, and why."""

    number: int
    why: str


def read_log(lines: Iterable[str]) -> Iterator[Recorded | Unread]:
    """Each line that is not blank, in order; nothing of a bad line stops the others."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _read(number, line.rstrip("\r\n"))


def _read(number: int, line: str) -> Recorded | Unread:
    try:
        if len(line) > LONGEST:
            return Unread(number, f"it has {len(line)} characters")
        fields = _plain(_object(line)) if line.lstrip().startswith("{") else _combined(line)
        return Recorded(number, _request(fields), frozenset(_headers(fields)))
    except (ValueError, OverflowError, UsageError) as error:
        return Unread(number, getattr(error, "problem", "") or str(error))


def _object(line: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - the line is wrong, not the call
    return value


def _plain(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What nginx can have logged: texts and numbers; ``null`` is as if not there. Other keys are nobody's business."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        if value is None or not (key in _ASKED or key.startswith("http_")):
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"its {key} is neither a text nor a number")  # noqa: TRY004 - the line is wrong
        try:
            str(value).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ValueError(f"its {key} has half a letter") from None
        found[key] = value
    return found


def _combined(line: str) -> Mapping[str, Any]:
    if (found := _COMBINED.fullmatch(line)) is None:
        raise ValueError("it is neither combined nor JSON")
    return {key: _unescaped(value) for key, value in found.groupdict().items() if value not in (None, "-")}


def _unescaped(value: str) -> str:
    r"""The bytes that nginx wrote as ``\xC3``, one by one: a letter may be several."""
    raw = value.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw).decode("utf-8", "surrogateescape")


def _request(fields: Mapping[str, Any]) -> Request:
    method, target = _asked(fields)
    path, query = taken_apart(target)
    address = str(fields.get("remote_addr") or "")
    if not address:
        raise ValueError("it has no remote_addr")
    return Request(address, _headers(fields), _moment(fields), method, path, query)


def _asked(fields: Mapping[str, Any]) -> tuple[str, str]:
    if "request_uri" in fields:
        return str(fields.get("request_method") or fields.get("method") or "GET"), str(fields["request_uri"])
    found = _LINE.fullmatch(str(fields.get("request", "")))
    if found is None:
        raise ValueError("it has no request line that nginx passes on")
    return found[1], found[2]


def _headers(fields: Mapping[str, Any]) -> dict[str, str]:
    """A header that a request did not have is ``-`` or empty in a log."""
    names = {key.removeprefix("http_").replace("_", "-"): value for key, value in fields.items() if key[:5] == "http_"}
    return {name: str(value) for name, value in names.items() if value not in ("-", "", None)}


def _moment(fields: Mapping[str, Any]) -> float:
    if "msec" in fields:
        return float(fields["msec"])
    if "time_iso8601" in fields:
        return datetime.fromisoformat(str(fields["time_iso8601"])).timestamp()
    if "time_local" in fields:
        return datetime.strptime(str(fields["time_local"]), "%d/%b/%Y:%H:%M:%S %z").timestamp()
    raise ValueError("it has no time (msec, time_iso8601, time_local)")
