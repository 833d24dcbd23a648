"""Records that a Collector exported, read as lines: severities, attributes, neighbours, and what is none of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gopub.health.backends.logfile import FileSource
from gopub.health.backends.otlp import OtlpFile, records
from gopub.health.loglines import classes
from gopub.health.samples import LogCounts
from gopub.health.sources import LogTarget
from tests.unit.test_health_logfile import Host


def text(value: str) -> dict[str, str]:
    return {"stringValue": value}


def request(*found: dict[str, Any], service: str | None = "hello") -> bytes:
    named = [] if service is None else [{"key": "service.name", "value": text(service)}]
    resource = {"attributes": [{"key": "host.name", "value": text("h1")}, *named]}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": list(found)}]}]}).encode()


def read(*found: dict[str, Any], service: str | None = "hello") -> list[tuple[str, ...]]:
    return [classes(line) for line in records(request(*found, service=service), "hello") or ()]


@pytest.mark.parametrize(
    ("severity", "level"),
    [({"severityNumber": 17}, "error"), ({"severityNumber": 20}, "error"), ({"severityNumber": 21}, "fatal"),
     ({"severityNumber": 16}, None), ({"severityNumber": 9}, None), ({"severityNumber": "17"}, "error"),
     ({"severityNumber": "SEVERITY_NUMBER_ERROR2"}, "error"), ({"severityNumber": "SEVERITY_NUMBER_INFO"}, None),
     ({"severityText": "ERROR"}, "error"), ({"severityText": "Critical"}, "fatal"), ({"severityText": "Info"}, None),
     ({"severityNumber": 9, "severityText": "ERROR"}, None), ({"severityNumber": 99, "severityText": "ERROR"}, "error"),
     ({"severityNumber": True}, None), ({"severityNumber": 0}, None), ({}, None)],
)  # fmt: skip
def test_the_level_is_the_severity_s_number_else_its_text(severity, level):
    (found,) = read({**severity, "body": text("order lost")})
    assert found == ((f"level:{level}", "template:order lost") if level else ())


def test_attributes_are_the_keys_beside_the_message():
    stack = text("a.b.FooException: x\n\tat a.b.C(D.java:1)")
    thrown = [
        {"key": "exception.type", "value": text("java.lang.OutOfMemoryError")},
        {"key": "exception.stacktrace", "value": stack},
    ]
    (found,) = read({"severityNumber": 17, "body": text("order 7 lost"), "attributes": thrown})
    assert found[-1] == "template:order * lost"
    assert {"error:OutOfMemoryError", "error:out of memory", "error:FooException"} <= set(found)


def pairs(**found: str) -> list[dict[str, Any]]:
    return [{"key": key, "value": text(value)} for key, value in found.items()]


@pytest.mark.parametrize("level", ["level", "Level", "LEVEL"])
def test_an_attribute_called_level_is_not_the_severity(level):
    lost, well = {"severityNumber": 17, "body": text("lost")}, {"severityNumber": 9, "body": text("well")}
    for value in ("gold", "info", "7"):
        assert read({**lost, "attributes": pairs(**{level: value})}) == [("level:error", "template:lost")]
    assert read({**well, "attributes": pairs(**{level: "error"})}) == [()]
    own = {"body": text("lost"), "attributes": pairs(**{level: "error"})}
    assert read(own) == [("level:error", "template:lost")], "control: without a severity it is all that there is"
    assert read({**own, "severityText": "house rule"}) == [("level:error", "template:lost")]


def test_a_body_may_be_worse_than_its_severity_and_never_better():
    def body(level: str) -> dict[str, Any]:
        return {"kvlistValue": {"values": pairs(msg="lost", level=level)}}

    assert read({"severityNumber": 17, "body": body("info")}) == [("level:error", "template:lost")]
    assert read({"severityNumber": 9, "body": body("error")}) == [("level:error", "template:lost")]
    assert read({"severityNumber": 9, "body": body("info")}) == [()]


def test_a_body_that_is_a_map_is_read_by_its_keys_and_a_plain_line_as_one():
    body = {
        "kvlistValue": {"values": [{"key": "msg", "value": text("lost")}, {"key": "level", "value": text("error")}]}
    }
    assert read({"body": body}) == [("level:error", "template:lost")]
    assert read({"body": text("2026/01/02 03:04:05 ERROR lost")})[0][0] == "level:error"
    assert read({"body": text("all well")}) == [()]
    assert read({"severityNumber": 17, "body": {"intValue": "7"}}) == [("level:error", "template:*")]
    assert read({"severityNumber": 17}) == [("level:error", "template:*")]


def test_records_of_another_service_are_nobody_s_here_and_unnamed_ones_are_ours():
    lost = {"severityNumber": 17, "body": text("lost")}
    assert read(lost, service="neighbour") == []
    assert len(read(lost, lost)) == len(read(lost, lost, service=None)) == 2


@pytest.mark.parametrize(
    ("line", "found"),
    [(b"", None), (b"ERROR plain", None), (b"[]", None), (b"{}", None), (b"\x28\xb5\x2f\xfd", None),
     (b'{"resourceLogs":' + b"[" * 100_000, None), (b'{"resourceLogs":{}}', ()), (b'{"resourceLogs":[7,{}]}', ()),
     (b'{"resourceLogs":[{"resource":7,"scopeLogs":[{"logRecords":[7]}]}]}', ()), (b'{"resourceSpans":[]}', ()),
     (b'{"resourceMetrics":[]}', ())],
)  # fmt: skip
def test_what_is_no_export_of_logs_is_told_from_what_holds_none(line, found):
    assert records(line, "hello") == found


def test_maps_within_maps_end():
    deep: dict[str, Any] = text("x")
    for _ in range(12):
        deep = {"kvlistValue": {"values": [{"key": "a", "value": deep}]}}
    found = {"severityNumber": 17, "body": text("lost"), "attributes": [{"key": "b", "value": deep}]}
    (line,) = records(request(found), "hello") or ()
    assert classes(line) == ("level:error", "template:lost")


async def test_a_file_of_a_collector_is_read_and_what_is_none_is_said(tmp_path):
    file = tmp_path / "logs.json"
    file.write_text("")
    source = OtlpFile(path=str(file), service="shop.{app}").open()
    source.timeout = 30
    target = LogTarget("h1", "c", "hello.service", Host())
    await source.read(target, 0.0)
    lost = {"severityNumber": 17, "body": text("lost")}
    with file.open("ab") as opened:
        opened.write(
            request(*[lost] * 3, service="shop.hello") + b"\n" + request(lost, service="hello") + b"\nERROR x\n"
        )
    found = await source.read(target, 0.0)
    assert isinstance(found, LogCounts)
    assert found.classes == {"level:error": 3, "template:lost": 3}
    assert found.notes == (f"h1: 1 lines of {file} are of another format",)


def test_the_path_is_a_whole_one_and_the_service_is_its_unit_s():
    assert type(OtlpFile(path="/var/log/otelcol/logs.json").open()) is FileSource
    with pytest.raises(ValidationError):
        OtlpFile(path="logs.json")
