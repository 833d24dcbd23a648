"""What becomes of a request with log records: the same lines from both encodings, bounds, and what is refused."""

from __future__ import annotations

import gzip
import json
import resource
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from gopub.health.backends.logfile import MOST_BYTES
from gopub.health.backends.otlp import records
from gopub.health.loglines import classes
from gopub.health.receiver import requests
from gopub.health.receiver.answering import unpack
from gopub.health.receiver.keeping import MOST_SERVICES, NO_MORE, NOT_TAKEN, Keeper, NoRoomError
from gopub.health.receiver.requests import BadRequestError, Received, receive

from .drawn import changed_bytes, changed_json

LOST = {"severityNumber": 17, "body": {"stringValue": "order 7 lost"}}
RECORDS: list[dict[str, Any]] = [
    LOST,
    {"severityText": "Critical", "body": {"stringValue": "no disk\nleft \N{SNOWMAN}"}},
    {"timeUnixNano": "1790000000000000000", "severityNumber": 13, "body": {"intValue": "7"}},
    {"body": {"kvlistValue": {"values": [{"key": "msg", "value": {"stringValue": "lost"}},
                                         {"key": "level", "value": {"stringValue": "error"}}]}}},
    {**LOST, "attributes": [
        {"key": "exception.type", "value": {"stringValue": "java.lang.OutOfMemoryError"}},
        {"key": "tries", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"doubleValue": 2.5}]}}},
        {"key": "again", "value": {"boolValue": True}}, {"key": "raw", "value": {"bytesValue": "AAE="}},
        {"key": "none", "value": {}}]},
    {},
]  # fmt: skip


def text(*found: dict[str, Any], service: str | None = "hello") -> bytes:
    named = [] if service is None else [{"key": "service.name", "value": {"stringValue": service}}]
    resource = {"attributes": [*named, {"key": "process.command_line", "value": {"stringValue": "x"}}]}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": list(found)}]}]}).encode()


def binary(body: bytes) -> bytes:
    return bytes(Parse(body, ExportLogsServiceRequest()).SerializeToString())


def everyone(_service: str) -> str:
    return ""


def read(body: bytes, *, protobuf: bool = False) -> Received:
    return receive(body, protobuf=protobuf, refuses=everyone)


def lines(done: Received, service: str = "hello") -> list[str]:
    """What the judge's own reader makes of what is kept."""
    found: list[str] = []
    for line in bytes(done.lines.get(service, b"")).splitlines():
        taken = records(line, service)
        assert taken is not None
        found += taken
    return found


@pytest.mark.parametrize("protobuf", [False, True])
def test_the_judge_reads_of_what_is_kept_what_it_would_read_of_what_was_sent(protobuf):
    body = text(*RECORDS)
    done = read(binary(body) if protobuf else body, protobuf=protobuf)
    assert lines(done) == list(records(body, "hello") or ())
    assert [classes(one)[:1] for one in lines(done)] == [
        ("level:error",), ("level:fatal",), (), ("level:error",), ("level:error",), (),
    ]  # fmt: skip
    assert (done.accepted, done.refused) == (len(RECORDS), {})
    assert b"process.command_line" not in done.lines["hello"], "of a resource only what names it is kept"


def test_both_encodings_are_kept_alike():
    body = text(*RECORDS)
    assert read(binary(body), protobuf=True).lines == read(body).lines


def test_lines_are_short_enough_for_one_reading_and_in_the_order_they_were_sent():
    many = [{"severityNumber": 17, "body": {"stringValue": f"{'x' * 1000} {n}"}} for n in range(300)]
    done = read(text(*many))
    kept = bytes(done.lines["hello"]).splitlines()
    assert 4 < len(kept) < 10
    assert max(map(len, kept)) < MOST_BYTES / 4
    assert [one.rpartition(" ")[2].rstrip('"}') for one in lines(done)] == [str(n) for n in range(300)]


@pytest.mark.parametrize("protobuf", [False, True])
@pytest.mark.parametrize(
    ("service", "reason"),
    [(None, requests.UNNAMED), ("", requests.UNNAMED), ("../etc", requests.MISNAMED), (".lock", requests.MISNAMED),
     ("unknown_service:go", requests.MISNAMED), ("a" * 65, requests.MISNAMED), ("a\n", requests.MISNAMED)],
)  # fmt: skip
def test_a_service_that_cannot_name_a_file_is_refused_and_hides_no_other(service, reason, protobuf):
    both = json.loads(text(LOST, LOST, service=service))
    both["resourceLogs"] += json.loads(text(LOST))["resourceLogs"]
    body = json.dumps(both).encode()
    done = read(binary(body) if protobuf else body, protobuf=protobuf)
    assert (done.accepted, done.refused, list(done.lines)) == (1, {reason: 2}, ["hello"])


@pytest.mark.parametrize("protobuf", [False, True])
def test_records_beyond_the_bound_and_too_large_ones_are_refused_and_told(protobuf):
    large = {"severityNumber": 17, "attributes": [{"key": f"k{n}", "value": {"stringValue": "x" * 20_000}}
                                                   for n in range(20)]}  # fmt: skip
    body = text(large, *[{}] * requests.MOST_RECORDS)
    done = read(binary(body) if protobuf else body, protobuf=protobuf)
    assert done.refused == {requests.TOO_LARGE: 1, requests.TOO_MANY: 1}
    assert done.accepted == requests.MOST_RECORDS - 1 == len(lines(done))


def test_a_text_is_kept_as_far_as_it_is_judged():
    (line,) = lines(read(text({"severityNumber": 17, "body": {"stringValue": "y" * 20_000}})))
    assert line.count("y") == requests.MOST_TEXT


@pytest.mark.parametrize("protobuf", [False, True])
def test_what_stands_too_deep_is_cut_off(protobuf):
    deep: dict[str, Any] = {"stringValue": "bottom"}
    for _ in range(12):
        deep = {"kvlistValue": {"values": [{"key": "a", "value": deep}]}}
    body = text({**LOST, "attributes": [{"key": "b", "value": deep}]})
    done = read(binary(body) if protobuf else body, protobuf=protobuf)
    assert done.accepted == 1
    assert b"bottom" not in done.lines["hello"]
    assert done.lines["hello"].count(b"kvlistValue") == requests.DEEP


NESTED = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + b'{"arrayValue":{"values":[' * 30_000


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"nonsense", b'{"resourceSpans":[]}', b'{"resourceLogs":{}}', b'{"resourceLogs":[7]}', NESTED,
     b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[7]}]}]}', b'{"resourceLogs":[],"resourceLogs":[]}', b"\xff",
     b'{"resourceLogs":[{"scopeLogs":7}]}'],
)  # fmt: skip
def test_what_is_no_request_is_told_from_an_empty_one(body):
    with pytest.raises(BadRequestError) as caught:
        read(body)
    assert not caught.value.large
    for empty in (b"{}", b'{"resourceLogs":[]}', b'{"resourceLogs":null}'):
        assert read(empty) == Received()


@pytest.mark.parametrize("body", [b"\x0a", b"{}", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 40])
def test_what_is_no_protobuf_is_refused(body):
    with pytest.raises(BadRequestError):
        read(body, protobuf=True)
    assert read(b"", protobuf=True) == Received(), "control: an empty one has no bytes"


@settings(max_examples=60)
@given(st.data())
def test_drawn_bytes_give_lines_that_are_read_or_are_refused(data):
    body = text(*RECORDS)
    protobuf = data.draw(st.booleans())
    drawn = data.draw(changed_bytes(binary(body)) if protobuf else st.one_of(changed_json(body), changed_bytes(body)))
    try:
        done = read(drawn, protobuf=protobuf)
    except BadRequestError:
        return
    assert set(done.lines) <= {name for name in done.lines if requests.SERVICE.fullmatch(name)}
    assert sum(len(lines(done, service)) for service in done.lines) == done.accepted


def test_few_bytes_do_not_become_much_memory():
    values = b'{"resourceLogs":[' + b"{}," * 1_000_000 + b"{}]}"
    with pytest.raises(BadRequestError) as caught:
        read(values)
    assert caught.value.large
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    request.resource_logs[0].resource.attributes.add(key="service.name").value.string_value = "hello"
    record.body.array_value.values.extend([record.body.__class__()] * (requests.MOST_VALUES + 1))
    with pytest.raises(BadRequestError) as caught:
        read(request.SerializeToString(), protobuf=True)
    assert caught.value.large


@pytest.mark.parametrize("protobuf", [False, True])
def test_what_names_a_resource_stands_in_every_line_and_is_short(protobuf):
    large = {"arrayValue": {"values": [{"stringValue": "x" * 16_000}] * 64}}
    request = json.loads(
        text(*[{**LOST, "attributes": [{"key": "k", "value": {"stringValue": "y" * 12_000}}] * 3}] * 30)
    )
    request["resourceLogs"][0]["resource"]["attributes"] += [
        {"key": "host.name", "value": large},
        {"key": "service.version", "value": {"stringValue": "z" * 16_000}},
    ]
    body = json.dumps(request).encode()
    done = read(binary(body) if protobuf else body, protobuf=protobuf)
    assert (done.accepted, len(lines(done))) == (30, 30), "the judge reads every line"
    assert len(done.lines["hello"]) < len(body)
    head = json.loads(bytes(done.lines["hello"]).partition(b"\n")[0])["resourceLogs"][0]["resource"]["attributes"]
    assert sorted((one["key"], len(one["value"]["stringValue"])) for one in head) == [
        ("service.name", 5),
        ("service.version", requests.MOST_NAMED),
    ]


@pytest.mark.parametrize("protobuf", [False, True])
@pytest.mark.parametrize("many", ["resources", "scopes"])
def test_what_holds_no_record_is_not_looked_at_without_end(protobuf, many):
    def body(count: int) -> bytes:
        groups: list[Any] = [{}] * count if many == "resources" else [{"scopeLogs": [{}] * count}]
        made = json.dumps({"resourceLogs": groups}).encode()
        return binary(made) if protobuf else made

    with pytest.raises(BadRequestError) as caught:
        read(body(requests.MOST_RECORDS + 1), protobuf=protobuf)
    assert (str(caught.value), caught.value.large) == (requests.MANY_GROUPS, True)
    assert read(body(requests.MOST_RECORDS), protobuf=protobuf) == Received(), "control"


def test_one_member_of_gzip_is_unpacked_and_a_bomb_is_not():
    assert unpack(gzip.compress(b"x" * 100)) == b"x" * 100
    bomb = gzip.compress(b"\0" * (requests.MOST_BODY + 1))
    assert len(bomb) < 10_000
    with pytest.raises(BadRequestError) as caught:
        unpack(bomb)
    assert caught.value.large
    assert len(unpack(gzip.compress(b"\0" * requests.MOST_BODY))) == requests.MOST_BODY, "control"
    for body in (b"", b"plain", gzip.compress(b"x")[:-1], gzip.compress(b"x") * 2):
        with pytest.raises(BadRequestError) as caught:
            unpack(body)
        assert not caught.value.large


# -- Files -------------------------------------------------------------------------------------------------------------


def keeper(folder: Path, **other: Any) -> Keeper:
    return Keeper(folder, **{"most": 1000, "spare": 0, **other})


def test_files_are_their_owner_s_alone_and_a_service_s_own(tmp_path):
    kept = keeper(tmp_path / "logs")
    kept.keep({"a": b"1\n", "b": b"2\n"})
    kept.keep({"a": b"3\n"})
    found = {file.name: (file.read_bytes(), oct(file.stat().st_mode & 0o777)) for file in (tmp_path / "logs").iterdir()}
    assert found.pop(".lock")
    assert found == {"a.jsonl": (b"1\n3\n", "0o600"), "b.jsonl": (b"2\n", "0o600")}
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_a_file_is_turned_over_and_only_one_that_is_older_stays(tmp_path):
    kept = keeper(tmp_path)
    for n in range(10):
        before = (tmp_path / "a.jsonl").stat().st_ino if n else 0
        kept.keep({"a": bytes([48 + n]) * 399 + b"\n"})
    assert {file.name for file in tmp_path.iterdir()} == {".lock", "a.jsonl", "a.jsonl.1"}
    assert (tmp_path / "a.jsonl").read_bytes()[::400] == b"89"
    assert (tmp_path / "a.jsonl.1").read_bytes()[::400] == b"67"
    assert (tmp_path / "a.jsonl").stat().st_ino == before != (tmp_path / "a.jsonl.1").stat().st_ino


def test_a_turn_that_was_cut_short_is_no_hindrance(tmp_path):
    kept = keeper(tmp_path)
    kept.keep({"a": b"x" * 899 + b"\n"})
    (tmp_path / "a.jsonl.1").hardlink_to(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl.new").touch()
    kept.keep({"a": b"y" * 899 + b"\n"})
    assert {file.name for file in tmp_path.iterdir()} == {".lock", "a.jsonl", "a.jsonl.1"}
    assert (tmp_path / "a.jsonl").read_bytes()[:1] == b"y"
    assert (tmp_path / "a.jsonl.1").read_bytes()[:1] == b"x"


def test_after_half_a_line_a_new_one_begins(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"whole\nhal")
    keeper(tmp_path).keep({"a": b"next\n"})
    assert (tmp_path / "a.jsonl").read_bytes() == b"whole\nhal\nnext\n"


def test_a_full_disk_leaves_nothing_of_a_request(tmp_path):
    kept = keeper(tmp_path)
    kept.keep({"a": b"1\n"})
    (tmp_path / "b.jsonl").mkdir()  # cannot be written, however much is free
    with pytest.raises(NoRoomError):
        kept.keep({"a": b"2\n", "b": b"2\n"})
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n"
    kept.keep({"a": b"3\n"})
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n3\n"
    kept.close()
    with pytest.raises(NoRoomError):
        keeper(tmp_path, spare=2**62).keep({"a": b"4\n"})
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n3\n"


def test_a_file_that_can_grow_no_further_is_not_held_open(tmp_path):
    """The half line comes first: what ends it cannot be written either."""
    (tmp_path / "a.jsonl").write_bytes(b"hal")
    kept, before = keeper(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    opened = {file.name for file in Path("/proc/self/fd").iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, before[1]))
    try:
        for _ in range(5):
            with pytest.raises(NoRoomError):
                kept.keep({"a": b"1\n"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {file.name for file in Path("/proc/self/fd").iterdir()} == opened
    kept.keep({"a": b"2\n"})
    assert (tmp_path / "a.jsonl").read_bytes() == b"hal\n2\n", "control"
    kept.close()


def test_a_link_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    kept = keeper(tmp_path / "logs")
    (tmp_path / "logs" / "a.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(NoRoomError):
        kept.keep({"a": b"1\n"})
    assert (tmp_path / "other").read_bytes() == b""


def test_who_sends_makes_no_end_of_files(tmp_path):
    kept = keeper(tmp_path)
    kept.keep({f"s{n}": b"1\n" for n in range(MOST_SERVICES) if not kept.refuses(f"s{n}")})
    assert kept.refuses("one-more") == NO_MORE
    assert kept.refuses("s0") == ""
    kept.close()
    again = keeper(tmp_path)
    assert (again.refuses("one-more"), again.refuses("s0")) == (NO_MORE, ""), "also after a restart"
    again.close()
    only = keeper(tmp_path, services=frozenset({"s0"}))
    assert (only.refuses("s0"), only.refuses("s1")) == ("", NOT_TAKEN)
