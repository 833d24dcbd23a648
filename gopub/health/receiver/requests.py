"""One OTLP request with log records, as lines of the file that a connection of kind ``otlp`` reads.

Both encodings become the same lines, those of OTLP's own JSON: what the judge reads of a record and nothing else, for
whoever sends may send anything. A line holds records of one resource, as many as `LINE` bytes have room for.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from gopub.canon import JsonError, read_json

MOST_BODY = 4 * 1024 * 1024
"""Bytes of a request, as it is sent and once it is unpacked."""
MOST_RECORDS = 10_000
"""Of one request; a Collector's batches have 8192 unless it is told otherwise, an SDK's 512."""
MOST_VALUES = 800_000
"""Values of one request, counted before a JSON text is read: a few bytes become a hundred in memory."""
DEEP = 8
"""So many maps and lists within each other are kept of an attribute; the judge reads three."""
MOST_TEXT = 16_000
"""Characters of one text that are kept; the judge reads no more of a line."""
MOST_NAMED = 256
"""Characters of what names a resource; it stands in each of its lines."""
LINE = 64 * 1024
MOST_LINE = 256 * 1024
"""Bytes of one record; one reading of the judge has four times that."""
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A ``service.name`` that can be a file's name."""
_KEPT = frozenset({"service.name", "service.namespace", "service.version", "service.instance.id", "host.name"})
"""What is kept of a resource."""
_SCALARS: Mapping[str, tuple[type, ...]] = {
    "stringValue": (str,), "boolValue": (bool,), "intValue": (int, str), "doubleValue": (int, float, str),
    "bytesValue": (str,),
}  # fmt: skip

UNNAMED = "its resource has no service.name"
MISNAMED = "its service.name cannot be a file's name"
TOO_LARGE = f"it is larger than {MOST_LINE} bytes"
MANY_VALUES = f"it has more than {MOST_VALUES} values"
MANY_GROUPS = f"it has more than {MOST_RECORDS} resources or scopes"
TOO_MANY = f"the request has more than {MOST_RECORDS} records"


class BadRequestError(ValueError):
    """Why a request is none; never holds a byte of it. ``large``: it would be one if it were smaller."""

    def __init__(self, why: str, *, large: bool = False) -> None:
        """Keep both."""
        super().__init__(why)
        self.large = large


@dataclass(slots=True)
class Received:
    """What one request holds: lines to keep for each service, and how many records are refused for which reason."""

    lines: dict[str, bytearray] = field(default_factory=dict)
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)


Group = tuple[Mapping[str, Any], Iterable[Mapping[str, Any]]]
"""Attributes of a resource as AnyValues by their key, and its records; both as OTLP's JSON has them."""


def receive(body: bytes, *, protobuf: bool, refuses: Callable[[str], str]) -> Received:
    """What a request holds; ``refuses`` says why records of a service are not taken, empty where they are.

    Raises:
        BadRequestError: it is none, or too large.
    """
    done, seen = Received(), 0
    for attributes, records in _of_protobuf(body) if protobuf else _of_json(body):
        service, why = _service(attributes, refuses)
        packing = _Packing(attributes)
        for record in records:
            seen += 1
            reason = TOO_MANY if seen > MOST_RECORDS else why or packing.add(record)
            done.accepted += not reason
            if reason:
                done.refused[reason] += 1
        if packed := packing.end():
            done.lines.setdefault(service, bytearray()).extend(packed)
    return done


def _service(attributes: Mapping[str, Any], refuses: Callable[[str], str]) -> tuple[str, str]:
    """The service of a resource, and why nothing of it is taken."""
    name = attributes.get("service.name", {}).get("stringValue", "")
    if not name:
        return "", UNNAMED
    return (name, refuses(name)) if SERVICE.fullmatch(name) else ("", MISNAMED)


class _Packing:
    """Lines of records of one resource."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        texts = {key: attributes[key].get("stringValue") for key in attributes if key in _KEPT}
        kept = [
            {"key": key, "value": {"stringValue": text[:MOST_NAMED]}}
            for key, text in texts.items()
            if isinstance(text, str)
        ]
        self._head = b'{"resourceLogs":[{"resource":{"attributes":' + _json(kept) + b'},"scopeLogs":[{"logRecords":['
        self._open, self._whole = bytearray(), bytearray()

    def add(self, record: Mapping[str, Any]) -> str:
        """Take one more record; why it is refused."""
        text = _json(record)
        if len(text) > MOST_LINE:
            return TOO_LARGE
        if self._open and len(self._open) + len(text) > LINE:
            self._close()
        self._open += b"," + text if self._open else text
        return ""

    def _close(self) -> None:
        self._whole += self._head + self._open + b"]}]}]}\n"
        self._open.clear()

    def end(self) -> bytes:
        """The lines."""
        if self._open:
            self._close()
        return bytes(self._whole)


def _insist_few(resources: int, scopes: int) -> None:
    """Those without a record take two bytes each, and much more time; with records there cannot be more of them."""
    if max(resources, scopes) > MOST_RECORDS:
        raise BadRequestError(MANY_GROUPS, large=True)


def _json(found: object) -> bytes:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


# -- JSON --------------------------------------------------------------------------------------------------------------


def _of_json(body: bytes) -> Iterator[Group]:
    if sum(map(body.count, (b"{", b"[", b","))) > MOST_VALUES:
        raise BadRequestError(MANY_VALUES, large=True)
    try:
        found = read_json(body, limit=MOST_BODY)
    except JsonError as error:
        raise BadRequestError(str(error)) from None
    if not isinstance(found, dict) or (found and "resourceLogs" not in found):
        raise BadRequestError("it has no resourceLogs")
    resources = _list(found, "resourceLogs")
    _insist_few(len(resources), sum(len(_list(one, "scopeLogs")) for one in resources))
    groups = [
        (
            _resource(one),
            [_record(record) for scope in _list(one, "scopeLogs") for record in _list(scope, "logRecords")],
        )
        for one in resources
    ]
    yield from groups


def _list(found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The messages of a repeated field; null stands for one that is not set."""
    there = found.get(name)
    if there is None:
        return []
    if not isinstance(there, list) or not all(isinstance(one, dict) for one in there):
        raise BadRequestError(f"{name} is no list of objects")
    return there


def _resource(found: Mapping[str, Any]) -> dict[str, Any]:
    resource = found.get("resource")
    pairs = _pairs(resource, 0) if isinstance(resource, dict) else []
    return {pair["key"]: pair["value"] for pair in reversed(pairs)}  # of a key that stands twice the first one counts


def _record(found: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name in ("timeUnixNano", "severityNumber", "severityText"):
        value = found.get(name)
        if isinstance(value, (int, str)):
            kept[name] = value[:MOST_TEXT] if isinstance(value, str) else value
    if isinstance(found.get("body"), dict):
        kept["body"] = _value(found["body"], 0)
    if pairs := _pairs(found, 0):
        kept["attributes"] = pairs
    return kept


def _pairs(found: Mapping[str, Any], deep: int, name: str = "attributes") -> list[dict[str, Any]]:
    return [
        {"key": str(one.get("key", ""))[:MOST_TEXT], "value": _value(one.get("value"), deep)}
        for one in _list(found, name)
    ]


def _value(found: object, deep: int) -> dict[str, Any]:
    """An AnyValue; empty where it holds nothing that is known, or stands too deep."""
    if not isinstance(found, dict) or deep >= DEEP:
        return {}
    for name, kinds in _SCALARS.items():
        if isinstance(value := found.get(name), kinds):
            return {name: value[:MOST_TEXT] if isinstance(value, str) else value}
    if isinstance(pairs := found.get("kvlistValue"), dict):
        return {"kvlistValue": {"values": _pairs(pairs, deep + 1, "values")}}
    if isinstance(values := found.get("arrayValue"), dict):
        return {"arrayValue": {"values": [_value(one, deep + 1) for one in _list(values, "values")]}}
    return {}


# -- Protobuf ----------------------------------------------------------------------------------------------------------


def _of_protobuf(body: bytes) -> Iterator[Group]:
    try:
        found = ExportLogsServiceRequest.FromString(body)
    except DecodeError:
        raise BadRequestError("it is no ExportLogsServiceRequest in protobuf") from None
    _insist_few(len(found.resource_logs), sum(len(one.scope_logs) for one in found.resource_logs[: MOST_RECORDS + 1]))
    left = _Left()
    groups = [
        (
            {pair["key"]: pair["value"] for pair in reversed(left.pairs(one.resource.attributes, 0))},
            (left.record(record) for scope in one.scope_logs for record in scope.log_records),
        )
        for one in found.resource_logs
    ]
    yield from groups


class _Left:
    """Makes values of messages, and no more than a request may have."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise BadRequestError(MANY_VALUES, large=True)

    def record(self, found: Any) -> dict[str, Any]:
        self._spend(1)
        kept: dict[str, Any] = {"timeUnixNano": str(found.time_unix_nano)} if found.time_unix_nano else {}
        if found.severity_number:
            kept["severityNumber"] = int(found.severity_number)
        if found.severity_text:
            kept["severityText"] = found.severity_text[:MOST_TEXT]
        if found.HasField("body"):
            kept["body"] = self.value(found.body, 0)
        if found.attributes:
            kept["attributes"] = self.pairs(found.attributes, 0)
        return kept

    def pairs(self, found: Any, deep: int) -> list[dict[str, Any]]:
        self._spend(len(found))
        return [{"key": one.key[:MOST_TEXT], "value": self.value(one.value, deep)} for one in found]

    def value(self, found: Any, deep: int) -> dict[str, Any]:
        kind = found.WhichOneof("value") if deep < DEEP else None
        if kind == "kvlist_value":
            return {"kvlistValue": {"values": self.pairs(found.kvlist_value.values, deep + 1)}}
        if kind == "array_value":
            values = found.array_value.values
            self._spend(len(values))
            return {"arrayValue": {"values": [self.value(one, deep + 1) for one in values]}}
        make = _MADE.get(kind or "")
        return make(getattr(found, kind)) if make and kind else {}


_MADE: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "string_value": lambda value: {"stringValue": value[:MOST_TEXT]},
    "bool_value": lambda value: {"boolValue": value},
    "int_value": lambda value: {"intValue": str(value)},
    "double_value": lambda value: {"doubleValue": value if math.isfinite(value) else str(value)},
    "bytes_value": lambda value: {"bytesValue": base64.b64encode(value[:MOST_TEXT]).decode()},
}
