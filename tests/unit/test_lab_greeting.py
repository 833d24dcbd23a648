"""Whether a host's sshd greets, as the lab asks while it boots one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import pytest

from gopub.lab import machine


async def answer_of(monkeypatch: pytest.MonkeyPatch, says: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> bool:
    """What the lab makes of a server on this machine."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await says(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connect = asyncio.open_connection
    monkeypatch.setattr(asyncio, "open_connection", lambda address, _ssh: connect(address, port))
    async with server:
        return await machine._greets("127.0.0.1")


async def test_a_greeting_is_one_of_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ssh(writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    async def other(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n")

    assert await answer_of(monkeypatch, ssh)
    assert not await answer_of(monkeypatch, other)


async def test_a_silent_host_is_no_greeting_and_no_connection_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stays open fails a later test, whichever runs when it is found: warnings are errors here."""
    heard = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        heard.set()
        await writer.wait_closed()

    async def until_closed(writer: asyncio.StreamWriter) -> None:
        await asyncio.wait_for(silent(writer), 30)

    assert not await answer_of(monkeypatch, until_closed)
    assert heard.is_set()
    gc.collect()
