"""Answers that do not come whole, at a real edge and a raw peer: whose failure each is."""

from __future__ import annotations

import asyncio
import gzip
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.contracts.edge_nginx import BY_HEADER, Backend, LocalEdge, route_table, running_edge
from tests.contracts.edge_peers import BODY, Act, Keep, Pause, RawPeer, Reset, Stand, answer, chunk, raw_peers

LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
EVENTS = "Content-Type: text/event-stream; charset=utf-8"
HALF = BODY[:2500]
SHORT = "proxy_read_timeout 1s;"
UNBUFFERED = "proxy_buffering off;"
LARGE = b"x" * 20_000_000


@asynccontextmanager
async def edge_before(path: Path, *script: Act, extra: str = SHORT) -> AsyncIterator[tuple[LocalEdge, RawPeer]]:
    """An edge whose one peer answers by that script."""
    peer = RawPeer("p1", script)
    async with raw_peers(peer), running_edge(path, extra=extra, workers=1) as edge:
        await edge.put(route_table([peer]))
        yield edge, peer


async def classes(edge: LocalEdge, host: str = "p1") -> dict[str, float]:
    """The classes of the host's attempts that are not 0."""
    mine = {k: v for k, v in (await edge.metrics()).items() if "attempts_total" in k and f'host="{host}"' in k}
    return {name.partition('class="')[2].rstrip('"}'): value for name, value in mine.items() if value}


async def read_all(edge: LocalEdge, *, method: str = "GET", headers: str = "", limit: int | None = None) -> bytes:
    """Everything that the edge sends to a client that never leaves by itself (``limit``: after so many bytes)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(f"{method} / HTTP/1.1\r\nHost: hello.lab\r\nConnection: close\r\n{headers}\r\n".encode())
    found = b""
    try:
        while piece := await reader.read(65536 if limit is None else min(65536, limit - len(found))):
            found += piece
            if len(found) == limit:
                break
    finally:
        writer.transport.abort()
    return found


WHOLE: dict[str, tuple[Act, ...]] = {
    "length": (answer(LENGTH, body=BODY),),
    "chunked": (answer(CHUNKED, body=chunk(BODY) + chunk(b"")),),
    "chunked with trailers": (answer(CHUNKED, "Trailer: a", body=chunk(BODY) + b"0\r\na: b\r\n\r\n"),),
    "in pieces": (answer(LENGTH), Pause(0.2), HALF, Pause(0.2), HALF),
    "empty": (answer("Content-Length: 0"),),
    "empty and chunked": (answer(CHUNKED, body=chunk(b"")),),
    "no content": (answer(status=204),),
    "not modified": (answer(status=304),),
    "not modified, with the length of what was not": (answer(LENGTH, status=304),),
    "not modified, without": (answer(CHUNKED, status=304),),
    "kept": (answer(LENGTH, body=BODY), Keep()),
    "compressed by the peer": (
        answer("Content-Encoding: gzip", CHUNKED, body=chunk(gzip.compress(BODY)) + chunk(b"")),
    ),
    "a stream that ends well": (answer(EVENTS, CHUNKED), Pause(0.3), chunk(b"data: 1\n\n"), Pause(0.3), chunk(b"")),
    "1.0 with a length": (answer(LENGTH, body=BODY, version="1.0"),),
    "reset after the last byte": (answer(LENGTH, body=BODY), Reset()),
}
CUT: dict[str, tuple[Act, ...]] = {
    "length": (answer(LENGTH, body=HALF),),
    "length, after the header": (answer(LENGTH),),
    "length, one byte short": (answer(LENGTH, body=BODY[:-1]),),
    "length, in pieces": (answer(LENGTH), Pause(0.2), HALF, Pause(0.2)),
    "chunked": (answer(CHUNKED, body=chunk(HALF)),),
    "chunked, after the header": (answer(CHUNKED),),
    "chunked, within a chunk": (answer(CHUNKED, body=chunk(BODY)[:2500]),),
    "chunked, within the last chunk": (answer(CHUNKED, body=chunk(BODY) + b"0\r\n"),),
    "stall": (answer(LENGTH, body=HALF), Pause(3)),
    "stall after the header": (answer(LENGTH), Pause(3)),
    "stall in a chunked one": (answer(CHUNKED, body=chunk(HALF)), Pause(3)),
    "stall without a length": (answer(body=HALF), Pause(3)),
    "reset": (answer(LENGTH, body=HALF), Reset()),
    "reset without a length": (answer(body=HALF), Reset()),
    "a stream without its end": (answer(EVENTS, CHUNKED, body=chunk(b"data: 1\n\n")), Pause(0.2)),
    "1.0 with a length": (answer(LENGTH, body=HALF, version="1.0"),),
}
WAYS = {"buffered": "", "unbuffered": UNBUFFERED, "gzip": "gzip on; gzip_types *; gzip_proxied any;"}
WAYS["client aborts ignored"] = "proxy_ignore_client_abort on;"


@pytest.mark.parametrize("way", WAYS)
async def test_a_whole_answer_is_of_its_status(tmp_path, way):
    async with edge_before(tmp_path, extra=WAYS[way]) as (edge, peer):
        wanted: dict[str, float] = {}
        for name, script in WHOLE.items():
            peer.script = script
            await read_all(edge, headers="Accept-Encoding: gzip\r\n")
            status = "3xx" if b" 304 " in bytes(script[0]) else "2xx"
            wanted[status] = wanted.get(status, 0) + 1
            assert await classes(edge) == wanted, name


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_that_the_peer_did_not_end_is_cut(tmp_path, way):
    async with edge_before(tmp_path, extra=SHORT + WAYS[way]) as (edge, peer):
        for count, (name, script) in enumerate(CUT.items(), start=1):
            peer.script = script
            await read_all(edge, headers="Accept-Encoding: gzip\r\n")
            assert await classes(edge) == {"cut": count}, name


async def test_the_same_with_an_end_of_its_own_for_each_status(tmp_path):
    """A failure stays a 5xx; what the client did wrong does not hide that the peer cut."""
    async with edge_before(tmp_path) as (edge, peer):
        for status in (200, 302, 404, 500, 503):
            peer.script = (answer(LENGTH, body=HALF, status=status),)
            await read_all(edge)
        assert await classes(edge) == {"cut": 3, "5xx": 2}


async def test_an_answer_to_head_has_no_body_to_be_cut(tmp_path):
    async with edge_before(tmp_path) as (edge, peer):
        for script in ((answer(LENGTH),), (answer(CHUNKED),), (answer(version="1.0"),)):
            peer.script = script
            await read_all(edge, method="HEAD")
        assert await classes(edge) == {"2xx": 3}


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_of_no_length_ends_somehow(tmp_path, way):
    """A close is its end, be it half: counted apart, and blamed on nobody."""
    async with edge_before(tmp_path, extra=WAYS[way]) as (edge, peer):
        for version in ("1.0", "1.1"):
            for body in (b"", HALF, BODY):
                peer.script = (answer(body=body, version=version),)
                await read_all(edge)
        assert await classes(edge) == {"unknown_end": 6}


LEAVE: dict[str, tuple[Act, ...]] = {
    "before the header": (Stand(), answer(LENGTH, body=BODY)),
    "in a small one": (answer(LENGTH, body=HALF), Stand(), HALF),
    "in a chunked one": (answer(CHUNKED, body=chunk(HALF)), Stand(), chunk(HALF) + chunk(b"")),
    "in one without a length": (answer(body=HALF), Stand(), HALF),
    "before the peer cuts": (answer(LENGTH, body=HALF), Stand()),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_leaves_blames_nobody(tmp_path, way):
    async with edge_before(tmp_path, extra=WAYS[way]) as (edge, peer):
        for count, (name, script) in enumerate(LEAVE.items(), start=1):
            peer.script = script
            await left(edge, peer)
            if way == "client aborts ignored":  # nginx goes on for nobody: it may see the peer's end first
                peer.go_on.set()
                assert set(await classes(edge)) <= {"left", "2xx", "cut", "unknown_end"}, name
            else:
                assert await classes(edge) == {"left": count}, name
                peer.go_on.set()


async def left(edge: LocalEdge, peer: RawPeer) -> None:
    """By a client that leaves while the peer stands."""
    peer.stands.clear()
    peer.go_on.clear()
    reading = asyncio.create_task(read_all(edge))
    await peer.stands.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize("buffering", ["", UNBUFFERED], ids=["buffered", "unbuffered"])
async def test_a_client_that_leaves_a_large_answer_blames_nobody(tmp_path, buffering):
    """Also one whose rest lies in nginx's buffers and files: what the peer gave whole is whole.

    With nginx's own time limits: a peer that a busy machine keeps from sending for a second was cut by a shorter one.
    """
    extra = buffering + "proxy_max_temp_file_size 64m;"
    async with edge_before(tmp_path, extra=extra) as (edge, peer):
        peer.script = (answer(f"Content-Length: {len(LARGE)}", body=LARGE), Pause(0.3))
        await read_all(edge, limit=100_000)
        first = await classes(edge)
        assert first in ({"left": 1}, {"2xx": 1})
        assert len(await read_all(edge)) > len(LARGE)
        assert sum((await classes(edge)).values()) == 2
        assert "cut" not in await classes(edge)


@pytest.mark.parametrize("way", ["buffered", "unbuffered"])
async def test_a_large_answer_that_is_cut_is_cut_for_a_slow_client_too(tmp_path, way):
    async with edge_before(tmp_path, extra=WAYS[way]) as (edge, peer):
        peer.script = (answer(f"Content-Length: {len(LARGE)}", body=LARGE[:-1]),)
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: hello.lab\r\nConnection: close\r\n\r\n")
        await reader.readexactly(1000)
        await asyncio.sleep(0.5)
        while await reader.read(1 << 20):
            pass
        writer.close()
        assert await classes(edge) == {"cut": 1}


async def test_a_client_that_takes_nothing_for_a_time_limit_blames_nobody(tmp_path):
    async with edge_before(tmp_path, extra=SHORT + UNBUFFERED + "send_timeout 1s;") as (edge, peer):
        peer.script = (answer(f"Content-Length: {len(LARGE)}", body=LARGE),)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", edge.port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: hello.lab\r\n\r\n")
            await asyncio.sleep(2.5)
            assert await classes(edge) == {"left": 1}


async def test_a_stream_that_the_client_leaves_has_ended_well(tmp_path):
    async with edge_before(tmp_path, extra="") as (edge, peer):
        peer.script = (answer(EVENTS, CHUNKED, body=chunk(b"data: 1\n\n")), Stand())
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: hello.lab\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"data: 1\n\n")
        writer.transport.abort()
        assert await classes(edge) == {"2xx": 1}


async def test_bytes_that_are_no_answer_are_no_success(tmp_path):
    """Nginx ends such a request as if the client had left: nobody is blamed, and it is no sign of health either."""
    async with edge_before(tmp_path) as (edge, peer):
        for body in (b"HTTP is hard", chunk(HALF) + b"xyz\r\n"):
            peer.script = (answer(CHUNKED, body=body), Pause(0.2))
            await read_all(edge)
            peer.script = (answer(LENGTH, body=BODY),)
            await read_all(edge)
        found = await classes(edge)
        assert found["2xx"] == 2
        assert set(found) <= {"2xx", "left", "cut"}


async def test_the_attempt_that_failed_before_is_not_the_one_that_was_cut(tmp_path):
    """A dead canary falls back; stable then cuts: each has its own."""
    cutting, dead = RawPeer("a1", (answer(LENGTH, body=HALF),)), Backend("b1")
    async with raw_peers(cutting), running_edge(tmp_path, extra=SHORT) as edge:
        await edge.put(route_table([cutting], [dead], rules=(BY_HEADER,)))
        await read_all(edge, headers="x-canary: true\r\n")
        assert (await classes(edge, "b1"), await classes(edge, "a1")) == ({"connect": 1}, {"cut": 1})


async def test_a_peer_that_keeps_its_connections_cuts_one_answer_only(tmp_path):
    async with edge_before(tmp_path) as (edge, peer):
        for _ in range(3):
            peer.script = (answer(LENGTH, body=BODY), Keep())
            for _ in range(3):
                await read_all(edge)
            peer.script = (answer(LENGTH, body=HALF),)
            await read_all(edge)
        assert await classes(edge) == {"2xx": 9, "cut": 3}
        assert peer.connections < peer.seen


async def test_an_edge_that_ends_blames_nobody(tmp_path):
    """A worker that may not wait for its last requests any longer closes both sides."""
    async with edge_before(tmp_path, extra="") as (edge, peer):
        conf = edge.root / "nginx.conf"
        await edge.stop()
        conf.write_text(conf.read_text().replace("worker_shutdown_timeout 30s", "worker_shutdown_timeout 1s"))
        await edge.start()
        await edge.put(route_table([peer]))
        peer.script = (answer(LENGTH, body=HALF), Stand(), HALF)
        held = asyncio.create_task(read_all(edge))
        await peer.stands.wait()
        assert edge.process
        edge.process.send_signal(signal.SIGHUP)
        assert len(await held) < len(BODY)
        assert await classes(edge) == {"left": 1}


async def test_a_location_without_our_body_filter_counts_by_the_status(tmp_path):
    """The location file of an earlier version under the program of this one: nothing is known of ends."""
    async with edge_before(tmp_path) as (edge, peer):
        location = edge.root / "gopub" / "gopub-location.conf"
        await edge.stop()
        lines = location.read_text().splitlines()
        rest = "\n".join(line for line in lines if not line.startswith("body_filter"))
        location.write_text(rest.replace("name_peer(true)", "name_peer()"))
        await edge.start()
        for body in (BODY, HALF):
            peer.script = (answer(LENGTH, body=body),)
            await read_all(edge)
        assert await classes(edge) == {"2xx": 2}


async def test_a_page_in_place_of_the_answer_is_not_the_peers(tmp_path):
    """``proxy_intercept_errors``: the body that goes out is the edge's own."""
    extra = SHORT + "proxy_intercept_errors on; error_page 404 /sorry;"
    async with edge_before(tmp_path, extra=extra) as (edge, peer):
        conf = edge.root / "nginx.conf"
        await edge.stop()
        conf.write_text(conf.read_text().replace("location / {", 'location = /sorry { return 404 "x"; }\nlocation / {'))
        await edge.start()
        peer.script = (answer(LENGTH, body=BODY, status=404),)
        await read_all(edge)
        assert await classes(edge) == {"4xx": 1}
