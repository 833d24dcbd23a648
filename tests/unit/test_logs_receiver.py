"""`POST /v1/logs` on a real port: the answers of OTLP/HTTP, the SDK's own exporter, and clients that mean no good."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from deployments.api.connections import LISTENING
from gopub.canon import sha256
from gopub.health.backends.otlp import OtlpFile, records
from gopub.health.loglines import classes
from gopub.health.receiver.answering import GONE, Receiver
from gopub.health.receiver.keeping import Keeper
from gopub.health.receiver.requests import MOST_BODY, UNNAMED
from gopub.health.samples import LogCounts
from gopub.health.sources import LogTarget
from tests.unit.test_health_logfile import Host
from tests.unit.test_logs_received import LOST, binary, text

TOKEN = "a-token-of-the-test"
JSON, PROTOBUF = "application/json", "application/x-protobuf"


class World:
    """A receiver with its folder, and how to send to it."""

    def __init__(self, folder: Path, receiver: Receiver, port: int) -> None:
        self.folder, self.receiver, self.port = folder, receiver, port
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=120, trust_env=False)

    async def send(self, body: bytes, kind: str = JSON, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/v1/logs", content=body, headers={"content-type": kind, **named})

    def kept(self, service: str = "hello") -> list[str]:
        file = self.folder / f"{service}.jsonl"
        lines = file.read_bytes().splitlines() if file.exists() else []
        return [one for line in lines for one in records(line, service) or ()]


@asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncIterator[World]:
    keeper = Keeper(folder, most=1024 * 1024, spare=settings.pop("spare", 0))
    receiver = Receiver(keeper, **settings)
    config = uvicorn.Config(receiver, port=0, lifespan="off", log_config=None, **LISTENING)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - the library tells it nobody
        await asyncio.sleep(0.01)
    world = World(folder, receiver, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield world
    finally:
        await world.http.aclose()
        server.should_exit = True
        await running
        keeper.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path / "logs") as one:
        yield one


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
async def test_what_is_sent_in_either_encoding_is_kept_before_it_is_answered(world, kind, packed):
    body = text(LOST) if kind == JSON else binary(text(LOST))
    coding = {"content_encoding": "gzip"} if packed else {}
    answer = await world.send(gzip.compress(body) if packed else body, f"{kind}; charset=utf-8", **coding)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content == (b"{}" if kind == JSON else b"")
    assert [classes(one)[0] for one in world.kept()] == ["level:error"]


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
async def test_records_that_are_refused_are_told_in_the_answer_and_counted(world, kind, caplog):
    both = json.loads(text(LOST, LOST, service=None))
    both["resourceLogs"] += json.loads(text(LOST))["resourceLogs"]
    body = json.dumps(both).encode()
    with caplog.at_level(logging.WARNING, "gopub"):
        answers = [await world.send(body if kind == JSON else binary(body), kind) for _ in range(3)]
    said = f"2 refused: {UNNAMED}"
    if kind == JSON:
        assert answers[0].json() == {"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": said}}
    else:
        partial = ExportLogsServiceResponse.FromString(answers[0].content).partial_success
        assert (partial.rejected_log_records, partial.error_message) == (2, said)
    counts = (await world.http.get("/healthz")).json()
    assert (counts["accepted"], counts["refused"]["records"]) == (3, {UNNAMED: 6})
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("gopub")]
    assert ours == [f"records were refused: {UNNAMED} (2 of one request)"], "once a minute"


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status", "code"),
    [(b"nonsense", JSON, {}, 400, 3), (b"\xff", PROTOBUF, {}, 400, 3),
     (text(LOST), JSON, {"content_encoding": "gzip"}, 400, 3),
     (gzip.compress(b"\0" * (MOST_BODY + 1)), PROTOBUF, {"content_encoding": "gzip"}, 413, 3),
     (b"x" * (MOST_BODY + 1), PROTOBUF, {}, 413, 3), (text(LOST), "text/plain", {}, 415, 3),
     (text(LOST), JSON, {"content_encoding": "br"}, 415, 3)],
)  # fmt: skip
async def test_what_is_refused_for_good_is_told_and_nothing_is_kept(world, body, kind, headers, status, code):
    answer = await world.send(body, kind, **headers)
    assert answer.status_code == status
    assert "retry-after" not in answer.headers
    if kind == PROTOBUF:
        assert answer.headers["content-type"] == PROTOBUF
        assert answer.content[:2] == bytes([8, code])
        assert answer.content[4:].decode() == answer.content[4 : 4 + answer.content[3]].decode()
    else:
        assert answer.json()["code"] == code
    assert list(world.folder.glob("*.jsonl")) == []
    assert world.receiver.turned_away == {status: 1}
    assert (await world.send(text(LOST))).status_code == 200, "control: the next one is taken"


async def test_only_logs_are_received_and_only_by_post(world):
    assert (await world.http.post("/v1/traces", content=b"{}")).status_code == 404
    answer = await world.http.get("/v1/logs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await world.http.get("/healthz")).json()["status"] == "ok"


async def test_a_body_without_a_length_has_the_same_bound(world):
    async def parts(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b" " * 65_536
        yield text(LOST)

    sent = {"content-type": JSON}
    assert (await world.http.post("/v1/logs", content=parts(1), headers=sent)).status_code == 200
    answer = await world.http.post("/v1/logs", content=parts(64), headers=sent)
    assert answer.status_code == 413
    assert len(world.kept()) == 1


async def test_without_the_token_nothing_is_taken(tmp_path):
    async with served(tmp_path, digest=sha256(TOKEN.encode())) as world:
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            answer = await world.send(text(LOST), **given)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert world.kept() == []
        assert (await world.send(text(LOST), authorization=f"bearer {TOKEN}")).status_code == 200
        assert len(world.kept()) == 1


async def test_a_full_disk_sends_the_sender_back_with_all_it_has(tmp_path):
    async with served(tmp_path, spare=2**62) as world:
        answer = await world.send(text(LOST))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        said = answer.json()
        assert (said["code"], said["message"].startswith("nothing can be kept now: ")) == (14, True)
        assert f"MiB are free on the disk, and {2**62 >> 20} are left to others" in said["message"]
        told = await world.http.get("/healthz")
        assert (told.status_code, told.json()["status"]) == (503, said["message"]), "whoever watches it is told as well"
        assert (world.kept(), world.receiver.accepted, world.receiver.turned_away) == ([], 0, {503: 1})


async def test_a_sender_that_finds_no_room_for_its_body_is_sent_back(tmp_path):
    async with served(tmp_path, waiting=len(text(LOST))) as world:
        answer = await world.send(text(LOST, LOST))
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert (await world.send(text(LOST))).status_code == 200, "control, and the place is free again"
        assert (await world.send(text(LOST))).status_code == 200


def promised(size: int, sent: bytes = b"") -> bytes:
    """The head of a request whose body is said to have so many bytes, and what comes of it."""
    head = f"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\ncontent-length: {size}\r\n\r\n"
    return head.encode() + sent


async def test_who_only_says_how_much_will_come_takes_no_room(tmp_path):
    """Eight silent connections turned everybody away, on a receiver that any user of the host may speak to."""
    async with served(tmp_path, within=600.0, waiting=2 * len(text(LOST))) as world:
        opened = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(9)]
        for _, writer in opened:
            writer.write(promised(4_000_000))
            await writer.drain()
        assert [(await world.send(text(LOST))).status_code for _ in range(3)] == [200] * 3
        for _, writer in opened:
            writer.close()


async def test_where_room_runs_out_who_has_been_sending_longest_is_sent_back(tmp_path):
    held = len(text(LOST)) + 10
    async with served(tmp_path, within=600.0, waiting=held + 5) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(promised(1_000_000, b" " * held))
        await writer.drain()
        async with asyncio.timeout(120):
            while world.receiver._room._free > 5:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.01)
        assert (await world.send(text(LOST))).status_code == 200
        head = await asyncio.wait_for(reader.readline(), 120)
        assert head.startswith(b"HTTP/1.1 429"), "and not 408, after which nobody sends it again"
        writer.close()
        assert (await world.send(text(LOST))).status_code == 200, "its room is free again"


HALF = b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"


async def test_who_is_slow_is_let_go(tmp_path):
    async with served(tmp_path, within=0.2) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(HALF)
        answer = await asyncio.wait_for(reader.read(), 120)
        assert answer.startswith(b"HTTP/1.1 408"), "and the connection ended"
        writer.close()


async def test_who_is_slow_or_goes_holds_nobody_up(tmp_path):
    async with served(tmp_path, within=600.0) as world:
        opened = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(2)]
        for _, writer in opened:
            writer.write(HALF)
            await writer.drain()
        assert [(await world.send(text(LOST))).status_code for _ in range(3)] == [200] * 3
        for _, writer in opened:
            writer.close()
        async with asyncio.timeout(120):
            while world.receiver.turned_away != {GONE: 2}:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("packing", [Compression.NoCompression, Compression.Gzip])
async def test_the_sdk_s_own_exporter_is_received_and_read_by_the_judge(world, packing):
    source = OtlpFile(path=f"{world.folder}/{{app}}.jsonl").open()
    source.timeout = 60
    target = LogTarget("h1", "c", "hello.service", Host())
    await source.read(target, 0.0)  # the file is not there yet: it is new as a whole

    def say() -> None:
        exporter = OTLPLogExporter(endpoint=f"{world.url}/v1/logs", compression=packing, timeout=60)
        provider = LoggerProvider(Resource({"service.name": "hello"}), shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        logger = provider.get_logger("shop")
        logger.emit(body="all well", severity_number=SeverityNumber.INFO)
        logger.emit(body="order 7 lost", severity_number=SeverityNumber.ERROR, exception=MemoryError("no more"))
        provider.shutdown()

    await asyncio.to_thread(say)
    found = await source.read(target, 0.0)
    assert isinstance(found, LogCounts)
    assert found.classes["level:error"] == 1
    assert found.classes["template:order * lost"] == 1
    assert found.classes["error:MemoryError"] == 1
    assert world.receiver.accepted == 2
