"""A raw HTTP/1.1 client that never repeats a request: what a loss counter needs and no library promises."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

_LIMIT = 64 * 1024


class LostError(Exception):
    """A request without a whole answer; the text is the reason.

    ``connect`` no connection, ``reset`` it broke, ``closed`` it ended before the answer, ``cut`` it ended within the
    answer, ``garbled`` the answer is no HTTP/1, ``timeout`` no whole answer in time.
    """


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reusable: bool


class Connection:
    """One TCP connection, used for one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wrap a connected pair of streams."""
        self._reader = reader
        self._writer = writer
        self.idle_since = 0.0

    @classmethod
    async def open(cls, address: str, port: int) -> Connection:
        """Connect.

        Raises:
            LostError: ``connect``.
        """
        try:
            return cls(*await asyncio.open_connection(address, port, limit=_LIMIT))
        except OSError as error:
            raise LostError("connect") from error

    def usable(self) -> bool:
        """Whether the server has not closed it yet, as far as this machine has heard; asked before sending."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def exchange(self, request: bytes) -> Response:
        """Send one request and read its whole response.

        Raises:
            LostError: see there.
        """
        try:
            self._writer.write(request)
            await self._writer.drain()
            return await self._response()
        except asyncio.IncompleteReadError as error:
            raise LostError("cut") from error
        except OSError as error:
            raise LostError("reset") from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            raise LostError("garbled") from error

    async def _response(self) -> Response:
        status, version = 100, ""
        headers: Mapping[str, str] = {}
        while status < 200:  # interim answers come before the real one
            version, status = await self._status_line()
            headers = await self._headers()
        body, delimited = await self._body(status, headers)
        stays = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        return Response(status, headers, body, stays and delimited)

    async def _status_line(self) -> tuple[str, int]:
        line = await self._reader.readline()
        if not line:
            raise LostError("closed")
        version, _, rest = line.decode("latin-1").partition(" ")
        if not (version.startswith("HTTP/1.") and line.endswith(b"\n")):
            raise LostError("garbled")
        return version, int(rest.split(" ", 1)[0])

    async def _headers(self) -> Mapping[str, str]:
        headers = {}
        while (line := await self._reader.readuntil(b"\n")).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    async def _body(self, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        if status in (204, 304):
            return b"", True
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks(), True
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"])), True
        return await self._reader.read(), False

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self._reader.readuntil(b"\n")).split(b";")[0], 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        while (await self._reader.readuntil(b"\n")).strip():
            pass  # trailers
        return body
