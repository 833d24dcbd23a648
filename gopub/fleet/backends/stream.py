"""One program on one SSH connection: everything in on its standard input, everything out, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from gopub.errors import GopubError
from gopub.fleet.backends.trouble import say
from gopub.process import Result

BLOCK = 256 * 1024
KILLED = -1  # the exit code of a program that a signal ended
MOST_OUTPUT = 4 * 1024 * 1024
LOST = (asyncssh.ConnectionLost, asyncssh.ChannelOpenError, ConnectionError)
"""A connection that ended under what was said over it."""


class NoSessionError(Exception):
    """A server let us in and then left the request for a session without an answer."""


@asynccontextmanager
async def within(name: str, what: str, seconds: float) -> AsyncIterator[None]:
    """What a host is asked over its connection, and for how long.

    Raises:
        GopubError: GP415 it was not answered in time, GP417 the connection was lost.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        problem = f"{name}: {what} had no answer within {seconds:g}s"
        raise GopubError("GP415", problem, hint="ask the host again") from error
    except LOST as error:
        raise GopubError("GP417", f"{name}: the connection was lost during {what}: {say(error)}") from error


async def talk(
    connection: asyncssh.SSHClientConnection,
    command: str,
    pieces: Sequence[bytes | Path],
    argv: tuple[str, ...],
    *,
    opening: float | None = None,
) -> Result:
    """Run ``command``, feed it the pieces one after another, and collect what it prints.

    A program may end without reading all of its input: that is its right, and no error.

    Raises:
        ConnectionError: the connection ended before the program did.
        NoSessionError: the server opened no session within ``opening`` seconds.
        GopubError: GP416 when the program prints more than 4 MiB.
    """
    try:
        async with asyncio.timeout(opening):
            process = await connection.create_process(command, encoding=None)
    except TimeoutError as error:
        raise NoSessionError from error
    try:
        feeding = asyncio.create_task(_feed(process.stdin, pieces))
        try:
            out, err = await asyncio.gather(_collect(process.stdout), _collect(process.stderr))
            await process.wait_closed()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
    finally:
        process.close()
    if process.exit_status is None and process.exit_signal is None:
        raise ConnectionResetError("the connection ended before the program did")
    code = process.exit_status if process.exit_status is not None else KILLED
    return Result(argv, code, out, err)


async def _feed(stdin: asyncssh.SSHWriter[bytes], pieces: Sequence[bytes | Path]) -> None:
    try:
        for piece in pieces:
            for block in _blocks(piece):
                stdin.write(block)
                await stdin.drain()
        stdin.write_eof()
    except (BrokenPipeError, ConnectionResetError, asyncssh.Error):
        return  # the program ended; what it printed says why


def _blocks(piece: bytes | Path) -> Iterator[bytes]:
    if isinstance(piece, bytes):
        yield piece
        return
    with piece.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


async def _collect(stream: asyncssh.SSHReader[bytes]) -> bytes:
    data = bytearray()
    while block := await stream.read(BLOCK):
        data += block
        if len(data) > MOST_OUTPUT:
            raise GopubError("GP416", "the program on the host prints without end")
    return bytes(data)


def take_note(connecting: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    """Look at how it ended, so that nobody complains when nobody waited for it."""
    if not connecting.cancelled():
        connecting.exception()
