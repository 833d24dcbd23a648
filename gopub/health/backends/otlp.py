"""Error records of OpenTelemetry: the file that a Collector on each host exports logs to, read as a log file is.

Where there is no Collector, ``gopub logs receive`` writes such files of what services send (``health/receiver``).

A Collector receives OTLP from the service by gRPC and HTTP, in protobuf and JSON, with the limits that a receiver
needs, and is where services send to already; its file exporter (``format: json``, no compression) writes one request a
line, and turns the file over. So nothing listens where a rollout is driven, and nobody can send error lines of a
release but its own host.

A Collector takes the logs of many services. Records of a resource that names another ``service.name`` are not this
one's; what names none is, for a file is given for this one. A record is read as a structured line: its severity is its
level, its body the message, and its attributes the keys beside them (``exception.type``, ``exception.stacktrace``). An
attribute that is called ``level`` may mean anything. A body that is a map may say that it is worse than its severity,
for a Collector that parses none gives all of them one; it takes nothing back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from gopub.canon import read_json
from gopub.health.backends.logfile import MOST_BYTES, FileSource, WholePath
from gopub.health.levels import level_of
from gopub.health.sources import LogsConnection

_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
_NAMED = re.compile(r"SEVERITY_NUMBER_([A-Z]+)\d?")
_OTHER_SIGNALS = ("resourceMetrics", "resourceSpans", "resourceProfiles")
_DEEP = 3
"""So many maps within each other are read."""


class OtlpFile(LogsConnection):
    """The file of a Collector on each host, read through SSH."""

    kind: Literal["otlp"] = "otlp"
    path: WholePath
    """Where it lies on every host; {app} stands for the name of the service's unit."""
    service: str = "{app}"
    """The ``service.name`` of its resource; {app} stands for the name of the service's unit."""

    def open(self) -> FileSource:
        """The files of hosts that channels lead to."""
        return FileSource(self.path, split=lambda line, app: records(line, self.service.replace("{app}", app)))


def records(line: bytes, service: str) -> tuple[str, ...] | None:
    """The records of one exported request as structured lines; None where it is none."""
    try:
        request = read_json(line, limit=MOST_BYTES)
    except ValueError:
        return None
    if not isinstance(request, Mapping):
        return None
    if "resourceLogs" not in request:
        return () if any(name in request for name in _OTHER_SIGNALS) else None
    return tuple(text for one in _maps(request.get("resourceLogs")) for text in _of_resource(one, service))


def _of_resource(found: Mapping[str, Any], service: str) -> Iterator[str]:
    resource = found.get("resource")
    named = _attributes(resource.get("attributes") if isinstance(resource, Mapping) else None).get("service.name")
    if named not in (None, "", service):
        return
    for scope in _maps(found.get("scopeLogs")):
        yield from (_line(record) for record in _maps(scope.get("logRecords")))


def _line(record: Mapping[str, Any]) -> str:
    """A line that says the same, as loggers write it."""
    body, keys = _value(record.get("body")), _attributes(record.get("attributes"))
    level = _level(record)
    if not level and not keys and isinstance(body, str):
        return body  # a line of a file that the Collector did not take apart
    said = body if isinstance(body, dict) else {"msg": "" if body is None else body}
    known = level_of(level)  # None where there is none, or the text is of the service's own making
    named = {"level": level} if known is not None else {}
    return json.dumps(named | keys | named | said | (named if known else {}), ensure_ascii=False)


def _level(record: Mapping[str, Any]) -> str:
    """By its number, 1 to 24 in fours; else by its text."""
    number = record.get("severityNumber")
    if isinstance(number, str):
        match = _NAMED.fullmatch(number)
        if match and match[1].lower() in _LEVELS:
            return match[1].lower()
        number = int(number) if re.fullmatch(r"[0-9]{1,2}", number) else 0
    if isinstance(number, int) and 1 <= number <= 24:
        return _LEVELS[(number - 1) // 4]
    text = record.get("severityText")
    return text if isinstance(text, str) else ""


def _attributes(found: object, deep: int = 0) -> dict[str, Any]:
    return {str(one.get("key")): _value(one.get("value"), deep) for one in _maps(found)}


def _value(found: object, deep: int = 0) -> object:
    """What an AnyValue holds; maps as such, lists as text."""
    if not isinstance(found, Mapping) or deep > _DEEP:
        return None
    pairs = found.get("kvlistValue")
    if isinstance(pairs, Mapping):
        return _attributes(pairs.get("values"), deep + 1)
    values = found.get("arrayValue")
    if isinstance(values, Mapping):
        return " ".join(str(_value(one, deep + 1)) for one in _maps(values.get("values")))
    return next((value for name, value in found.items() if name.endswith("Value")), None)


def _maps(found: object) -> Iterator[Mapping[str, Any]]:
    return (one for one in found if isinstance(one, Mapping)) if isinstance(found, list) else iter(())
