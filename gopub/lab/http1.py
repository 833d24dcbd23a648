"""An HTTP/1.1 client that never repeats a request: what a loss counter needs and no client library promises."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import h11

_LIMIT = 64 * 1024
_BEGINNING = b"HTTP/1."


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
    """One TCP connection, used for one exchange at a time; h11 knows HTTP, what is lost is decided here."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wrap a connected pair of streams."""
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LIMIT)
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

    async def exchange(self, request: h11.Request, body: bytes = b"") -> Response:
        """Send one request and read its whole response.

        Raises:
            LostError: see there.
        """
        events = (request, h11.Data(body), h11.EndOfMessage())
        try:
            self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
            await self._writer.drain()
            return await self._response()
        except OSError as error:
            raise LostError("reset") from error
        except h11.RemoteProtocolError as error:
            raise LostError("cut" if self._http.trailing_data[1] else "garbled") from error

    async def _response(self) -> Response:
        status, body = 0, b""
        headers: Mapping[str, str] = {}
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
        return Response(status, headers, body, self._reusable())

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(_LIMIT)
            if self._http.their_state is h11.SEND_RESPONSE:
                _look(self._http.trailing_data[0] + data)
            self._http.receive_data(data)
        return event

    def _reusable(self) -> bool:
        """Whether both sides are through with it; what came unasked would be taken for the next answer."""
        if self._http.trailing_data[0] or {self._http.our_state, self._http.their_state} != {h11.DONE}:
            return False
        self._http.start_next_cycle()
        return True


def _look(begun: bytes) -> None:
    """What an answer begins with; h11 says so only once it has a whole head, which another protocol never sends."""
    if not begun:
        raise LostError("closed")
    if not begun.startswith(_BEGINNING[: len(begun)]):
        raise LostError("garbled")
