"""Clients that connect and say nothing, or little: they take nobody's place, and proxies keep theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployments.api.app import create_app
from deployments.api.connections import LISTENING, Connection
from tests.unit.apikit import make_kit

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: gopub.test\r\n\r\n"
PLACES = 4
PATIENT_PROXIES = {"nginx": 60, "Go and Traefik": 90, "Caddy": 120}
"""Seconds for which these keep an idle connection, unless they are told otherwise."""
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[..., Awaitable[Client]]


class Quick(Connection):
    """Waits for a head a moment only."""

    head_within = 2.0


@asynccontextmanager
async def served(folder: Path, **other: Any) -> AsyncIterator[Connect]:
    """The API on a port of this machine: gives how to connect to it."""
    writers: list[asyncio.StreamWriter] = []
    settings = {**LISTENING, "limit_concurrency": PLACES, **other}
    server = uvicorn.Server(uvicorn.Config(create_app(make_kit(folder).parts), port=0, log_config=None, **settings))
    running = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - the library tells it nobody
        await asyncio.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]

        async def connect(said: bytes = b"") -> Client:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            writer.write(said)
            return reader, writer

        yield connect
    finally:
        for writer in writers:
            writer.close()
        server.should_exit = True
        await running


async def answer(client: Client, said: bytes = HEALTH) -> bytes:
    """The first line of the answer; empty where the connection ended."""
    reader, writer = client
    writer.write(said)
    head = (await reader.readuntil(b"}")).partition(b"\r\n")[0] if not reader.at_eof() else b""
    return head.removeprefix(b"HTTP/1.1 ")


async def ended(client: Client) -> bool:
    try:
        return await client[0].read(1) == b""
    except ConnectionResetError:
        return True


async def test_silent_clients_take_nobody_s_place(tmp_path: Path) -> None:
    async with served(tmp_path) as connect:
        silent = [await connect() for _ in range(3 * PLACES)]
        assert await answer(await connect()) == b"200 OK"
        assert await ended(silent[0]), "that which was idle for longest made room"
        used = [await connect() for _ in range(PLACES - 1)]
        assert [await answer(one) for one in used] == [b"200 OK"] * (PLACES - 1)
        assert await answer(await connect()) == b"200 OK", "one that was used and is idle makes room as well"


async def test_control_without_it_they_take_them_all(tmp_path: Path) -> None:
    async with served(tmp_path, http=H11Protocol) as connect:
        for _ in range(PLACES):
            await connect()
        reader, _ = await connect(HEALTH)
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /healthz HT", HEALTH + b"GET /he", b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx"],
    ids=["nothing", "half a head", "half a second head", "a body that nobody reads"],
)
async def test_a_head_arrives_in_time_or_the_connection_ends(tmp_path: Path, said: bytes) -> None:
    async with served(tmp_path, http=Quick) as connect:
        reader, writer = await connect(said)
        waits = asyncio.create_task(reader.read())
        for _ in range(3000):
            if waits.done():
                break
            if said:
                writer.write(b"x")  # a little at a time makes it no longer
            await asyncio.sleep(0.02)
        assert waits.done()


async def test_control_a_connection_that_was_used_is_kept(tmp_path: Path) -> None:
    async with served(tmp_path, http=Quick) as connect:
        client = await connect()
        assert await answer(client) == b"200 OK"
        await asyncio.sleep(3 * Quick.head_within)
        assert await answer(client) == b"200 OK"


def test_a_proxy_is_the_first_to_give_up() -> None:
    assert LISTENING["timeout_keep_alive"] > max(PATIENT_PROXIES.values())
    assert uvicorn.Config("x").timeout_keep_alive < min(PATIENT_PROXIES.values()), "control: the library is not"
