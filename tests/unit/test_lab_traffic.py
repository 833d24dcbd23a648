"""The traffic generator against servers that answer well, badly, or not: every request ends exactly once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest

from gopub.cli.lab import _check
from gopub.errors import UsageError
from gopub.lab.counts import Answer, Counts, Latencies
from gopub.lab.http1 import Connection, LostError
from gopub.lab.traffic import Load, Traffic

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GET = h11.Request(method="GET", target="/", headers=[("Host", "a")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Gopub-Release: abc\r\n\r\nhi"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def request_of(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    return first, headers, await reader.readexactly(int(headers.get("content-length", 0)))


def saying(answer: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_of(reader)
            writer.write(answer)
            await writer.drain()

    return handle


def load(port: int, **more: object) -> Load:
    return Load("127.0.0.1", "hello.lab", port=port, rate=400, seed=7, **more)  # type: ignore[arg-type]


async def test_every_request_is_answered_and_told_apart(tmp_path: Path) -> None:
    seen: list[tuple[str, dict[str, str], bytes]] = []
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            seen.append(await request_of(reader))
            writer.write(OK)
            await writer.drain()

    log = tmp_path / "log.jsonl"
    async with serving(handle) as port:
        counts = await Traffic(load(port), log=log).run(0.5)
    assert counts.sent == counts.answered == len(seen) > 20
    assert (counts.lost, counts.under_way) == (0, 0)
    assert counts.release("abc").classes == Counter({"2xx": counts.sent})
    assert {first.split()[0] for first, _, _ in seen} == {"GET", "POST"}
    assert {headers["host"] for _, headers, _ in seen} == {"hello.lab"}
    assert len({headers["x-user-id"] for _, headers, _ in seen}) > 10
    assert all(bool(body) == first.startswith("POST") for first, _, body in seen)
    fresh = sum(headers.get("connection") == "close" for _, headers, _ in seen)
    assert 0 < fresh < connections < counts.sent  # some on connections of their own, most on kept ones
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["final"], last["sent"], last["seed"]) == (True, counts.sent, 7)


async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await request_of(reader)


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request_of(reader)
    writer.transport.abort()


@pytest.mark.parametrize(
    ("handler", "reasons", "timeout"),
    [
        (hang_up, {"closed"}, 30.0),
        (hang, {"timeout"}, 0.2),
        (reset, {"reset", "closed"}, 30.0),
        (saying(b"nonsense\n"), {"garbled"}, 30.0),
    ],
)
async def test_a_request_without_an_answer_is_lost_once_and_never_sent_again(
    handler: Handler, reasons: set[str], timeout: float
) -> None:
    received = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        received += 1
        await handler(reader, writer)

    async with serving(counting) as port:
        counts = await Traffic(load(port, timeout=timeout)).run(0.2)
    assert counts.lost == counts.sent == received > 5
    assert set(counts.lost_by) <= reasons


async def test_an_answer_that_breaks_off_is_lost() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK[:-1])
        await writer.drain()

    async with serving(half) as port:
        counts = await Traffic(load(port)).run(0.1)
    assert set(counts.lost_by) == {"cut"}


async def test_a_closed_port_loses_every_request() -> None:
    async with serving(hang) as port:
        pass
    counts = await Traffic(load(port)).run(0.1)
    assert counts.lost_by == Counter({"connect": counts.sent})
    assert counts.sent > 5


async def test_a_connection_that_the_server_closed_politely_loses_nothing() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await writer.drain()

    async with serving(once) as port:
        counts = await Traffic(load(port)).run(0.2)
    assert (counts.lost, counts.answered) == (0, counts.sent)


@pytest.mark.parametrize(
    ("answer", "body", "reusable"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nT: 1\r\n\r\n",
            b"abcd",
            True,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hi", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrest", b"rest", False),
    ],
)
async def test_every_kind_of_body_is_read_whole(answer: bytes, body: bytes, reusable: bool) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(answer)
        await writer.drain()

    async with serving(once) as port:
        connection = await Connection.open("127.0.0.1", port)
        response = await connection.exchange(GET)
        connection.close()
    assert (response.body, response.reusable) == (body, reusable)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        b"HTTP/2 200\r\n",
        b"\x15\x03\x01",
    ],
)
async def test_what_is_no_http_is_garbled(answer: bytes) -> None:
    async with serving(saying(answer)) as port:
        connection = await Connection.open("127.0.0.1", port)
        with pytest.raises(LostError, match="garbled"):
            await connection.exchange(GET)
        connection.close()


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    async with serving(saying(OK + OK.replace(b"abc", b"bad"))) as port:
        counts = await Traffic(load(port)).run(0.2)
    assert counts.release("abc").classes == Counter({"2xx": counts.sent})
    assert counts.sent > 5


@pytest.mark.parametrize("cut", range(1, len(OK)))
async def test_an_answer_is_cut_wherever_it_ends(cut: int) -> None:
    async def part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(OK[:cut])
        await writer.drain()

    async with serving(part) as port:
        connection = await Connection.open("127.0.0.1", port)
        with pytest.raises(LostError, match="cut"):
            await connection.exchange(GET)
        connection.close()


@pytest.mark.parametrize(
    ("host", "mix", "says"),
    [
        ("hello lab", "GET /", "'hello lab' is no virtual host"),
        ("h\r\nx: y", "GET /", "is no virtual host"),
        ("hello.lab", "GET", "'GET' is no request for the mix"),
        ("hello.lab", "HEAD /", "'HEAD /' is no request for the mix"),
        ("hello.lab", "GET /a b", "'GET /a b' is no request for the mix"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(host: str, mix: str, says: str) -> None:
    with pytest.raises(UsageError, match="GP811") as caught:
        _check(host, [mix])
    assert says in caught.value.problem
    _check("hello.lab", ["GET /", "POST /a?b=c"])


def test_the_first_bad_answer_and_the_last_answer_of_a_release_are_kept() -> None:
    counts = Counts(slow_after=0.5)
    for at, seconds, status in ((1.0, 0.1, 200), (2.0, 0.1, 500), (3.0, 0.9, 200), (4.0, 0.1, 404)):
        counts.answer(Answer(at, seconds, status, "r1"))
    counts.answer(Answer(5.0, 0.9, 200, "r2"))
    release = counts.release("r1")
    assert (release.first_answer, release.first_bad, release.last_answer, release.bad) == (1.0, 2.0, 4.0, 2)
    assert counts.release("r2").first_bad == 5.0
    assert counts.release("never").first_bad is None
    assert counts.classes == Counter({"2xx": 3, "5xx": 1, "4xx": 1})


def test_quantiles_are_right_to_a_tenth() -> None:
    latencies = Latencies()
    assert latencies.quantile(0.5) is None
    for n in range(1, 1001):
        latencies.add(n / 1000)
    assert latencies.quantile(0.5) == pytest.approx(0.5, rel=0.1)
    assert latencies.quantile(0.95) == pytest.approx(0.95, rel=0.1)
    assert latencies.quantile(1) == pytest.approx(1.0, rel=0.1)
