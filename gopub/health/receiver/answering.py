"""OTLP over HTTP, version 1: `POST /v1/logs`, how it is answered, and what nobody may do to the receiver.

Who is told 429 or 503 sends the same again later, so nothing of it was kept; who is told anything else does not. What
is refused for good is counted, is in the answer, and in the log once a minute.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from gopub.canon import sha256
from gopub.health.receiver.keeping import Keeper, NoRoomError
from gopub.health.receiver.requests import MOST_BODY, BadRequestError, Received, receive
from gopub.telemetry import log

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/v1/logs"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
BODY_WITHIN = 10.0
"""Seconds for the body of a request."""
AGAIN = 5
"""Seconds after which who was turned away is to come again."""
SAID_EVERY = 60.0
GONE = 499
"""Stands for the answer to who went away before its request was whole."""
_RPC: Mapping[int, int] = {400: 3, 401: 16, 404: 12, 405: 12, 408: 4, 413: 3, 415: 3, 429: 8, 503: 14}
"""The code that ``google.rpc.Status`` has for an answer."""


class Answer(Exception):  # noqa: N818 - every answer but the good one is raised
    """An answer, and what it says to people."""

    def __init__(self, status: int, said: str) -> None:
        """Keep both."""
        super().__init__(said)
        self.status, self.said = status, said


class _Room:
    """Bytes of bodies that are held at a time, counted as they come: who only says how much will come holds none."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._coming: list[_Body] = []
        """Those that are not whole yet, the longest waiting first."""

    @contextmanager
    def of(self, body: _Body) -> Iterator[None]:
        """Hold what comes of a body until the block ends."""
        self._coming.append(body)
        try:
            yield
        finally:
            self.is_whole(body)
            self._free += body.held

    def is_whole(self, body: _Body) -> None:
        """It waits no longer."""
        if body in self._coming:
            self._coming.remove(body)

    def hold(self, body: _Body, more: int) -> None:
        """Hold more of one; where there is no room, whoever has been sending longest is to come again.

        Raises:
            Answer: 429, it is this one.
        """
        while more > self._free:
            oldest = next((one for one in self._coming if one.held or one is body), body)
            self.is_whole(oldest)
            if oldest is body:
                raise Answer(429, "too much is being received")
            oldest.give_up()
            self._free += oldest.held
            oldest.held = 0
        self._free -= more
        body.held += more


class _Body:
    """The body of a request, which has an end in bytes and in seconds."""

    def __init__(self, receive: Receive, within: float, room: _Room) -> None:
        self._receive, self._within, self._room = receive, within, room
        self._read = self.held = 0
        self._limit = asyncio.timeout(within)
        self._gave_up = False
        self.ended = False

    async def whole(self) -> bytes:
        body = bytearray()
        try:
            async with self._limit:
                while not self.ended:
                    part = await self._part()
                    self._room.hold(self, len(part))
                    body += part
        except TimeoutError:
            body.clear()
            if self._gave_up:
                raise Answer(429, "too much is being received, and this came slowest") from None
            raise Answer(408, f"the request did not arrive within {self._within:g}s") from None
        self._room.is_whole(self)
        return bytes(body)

    def give_up(self) -> None:
        """Wait for it no longer."""
        self._gave_up = True
        self._limit.reschedule(asyncio.get_running_loop().time())

    async def pass_over(self) -> None:
        """Whoever is still sending would else be cut off before it reads why; who was given up is not waited for."""
        if self._gave_up:
            return
        with suppress(TimeoutError, Answer):
            async with asyncio.timeout(self._within):
                while not self.ended:
                    await self._part()

    async def _part(self) -> bytes:
        part = await self._receive()
        if part["type"] == "http.disconnect":
            raise ConnectionError
        data: bytes = part.get("body", b"")
        self.ended, self._read = not part.get("more_body"), self._read + len(data)
        if self._read > MOST_BODY:
            raise Answer(413, f"the request is larger than {MOST_BODY} bytes")
        return data


class Receiver:
    """The application."""

    def __init__(
        self, keeper: Keeper, *, digest: str = "", within: float = BODY_WITHIN, waiting: int = 8 * MOST_BODY
    ) -> None:
        """Keep what is sent; ``digest`` is the SHA-256 of the token that is asked for, if one is.

        ``within`` are the seconds for a body, ``waiting`` the bytes of all bodies that are held at a time.
        """
        self._keeper, self._digest, self._within, self._room = keeper, digest, within, _Room(waiting)
        self._one = asyncio.Lock()
        self._said: dict[str, float] = {}
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        """Records by the reason."""
        self.turned_away: Counter[int] = Counter()
        """Requests by the answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        encoding = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        if scope["path"] == "/healthz" and scope["method"] == "GET":
            told = self.counts()
            await _send(send, 200 if told["status"] == "ok" else 503, JSON, json.dumps(told).encode())
            return
        body = _Body(receive, self._within, self._room)
        try:
            self._admit(scope, headers, encoding)
            done = await self._received(body, headers, protobuf=encoding == PROTOBUF)
            self._count(done)
            await _send(send, 200, encoding, _answer(done.refused, encoding))
        except Answer as answer:
            self.turned_away[answer.status] += 1
            self._say(f"requests were answered {answer.status}", answer.said)
            with suppress(ConnectionError):
                await body.pass_over()
                spoken = PROTOBUF if encoding == PROTOBUF else JSON
                await _send(send, answer.status, spoken, _status(answer, encoding), last=not body.ended)
        except ConnectionError:
            self.turned_away[GONE] += 1

    async def _received(self, body: _Body, headers: Mapping[bytes, bytes], *, protobuf: bool) -> Received:
        with self._room.of(body):
            sent, zipped = await body.whole(), _coding(headers) == b"gzip"
            async with self._one:  # one at a time is unpacked, so that memory has an end
                return await asyncio.to_thread(self._take, sent, zipped=zipped, protobuf=protobuf)

    def counts(self) -> dict[str, Any]:
        """What became of everything that was sent since the start."""
        answers = {str(status): count for status, count in self.turned_away.items()}
        refused = {"records": dict(self.refused), "requests": answers}
        return {"status": self._keeper.trouble() or "ok", "accepted": self.accepted, "refused": refused}

    def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], encoding: str) -> None:
        if scope["path"] != PATH:
            raise Answer(404, f"only {PATH} is received here")
        if scope["method"] != "POST":
            raise Answer(405, "logs are sent by POST")
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if self._digest and not (
            scheme.lower() == b"bearer" and hmac.compare_digest(sha256(token.strip()), self._digest)
        ):
            raise Answer(401, "the bearer token is missing or wrong")
        if encoding not in {PROTOBUF, JSON}:
            raise Answer(415, f"the content type is neither {PROTOBUF} nor {JSON}")
        if _coding(headers) not in {b"identity", b"gzip"}:
            raise Answer(415, "the content encoding is neither gzip nor none")
        if _length(headers) > MOST_BODY:
            raise Answer(413, f"the request is larger than {MOST_BODY} bytes")

    def _take(self, body: bytes, *, zipped: bool, protobuf: bool) -> Received:
        """In a thread of its own: read a request and keep what it holds."""
        try:
            text = unpack(body) if zipped else body
            done = receive(text, protobuf=protobuf, refuses=self._keeper.refuses)
            self._keeper.keep(done.lines)
        except BadRequestError as error:
            raise Answer(413 if error.large else 400, str(error)) from None
        except NoRoomError as error:
            raise Answer(503, f"nothing can be kept now: {error}") from None
        return done

    def _count(self, done: Received) -> None:
        self.accepted += done.accepted
        self.refused.update(done.refused)
        for reason, count in done.refused.items():
            self._say("records were refused", f"{reason} ({count} of one request)")

    def _say(self, what: str, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._said.get(what, -SAID_EVERY) >= SAID_EVERY:
            self._said[what] = now
            log("receiver").warning("%s: %s", what, why)


def unpack(body: bytes) -> bytes:
    """One gzip member, and nothing that would become too large.

    Raises:
        BadRequestError: it is none, or larger than a request may be.
    """
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacking.decompress(body, MOST_BODY + 1)
    except zlib.error:
        raise BadRequestError("it is not what gzip makes") from None
    if len(text) > MOST_BODY:
        raise BadRequestError(f"unpacked it is larger than {MOST_BODY} bytes", large=True)
    if not unpacking.eof or unpacking.unused_data:
        raise BadRequestError("it is not one whole member of gzip")
    return text


def _coding(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-encoding", b"").strip().lower() or b"identity"


def _length(headers: Mapping[bytes, bytes]) -> int:
    """Bytes of the body; of one that does not say it, as many as may be."""
    said = headers.get(b"content-length", b"")
    return int(said[:20]) if said.isdigit() else MOST_BODY


def _answer(refused: Mapping[str, int], encoding: str) -> bytes:
    """That all was taken, or how many records were not."""
    many = sum(refused.values())
    why = "; ".join(f"{count} refused: {reason}" for reason, count in refused.items())
    if encoding == JSON:
        partial = {"partialSuccess": {"rejectedLogRecords": str(many), "errorMessage": why}} if many else {}
        return json.dumps(partial).encode()
    answer = ExportLogsServiceResponse()
    if many:
        answer.partial_success.rejected_log_records, answer.partial_success.error_message = many, why
    return bytes(answer.SerializeToString())


def _status(answer: Answer, encoding: str) -> bytes:
    """A ``google.rpc.Status``; in protobuf a number and a text, which need no library."""
    code = _RPC[answer.status]
    if encoding != PROTOBUF:
        return json.dumps({"code": code, "message": answer.said}).encode()
    said = answer.said.encode()[:127]  # its length is one byte
    return b"\x08" + bytes([code]) + b"\x12" + bytes([len(said)]) + said


async def _send(send: Send, status: int, encoding: str, body: bytes, *, last: bool = False) -> None:
    headers = [(b"content-type", encoding.encode()), (b"content-length", str(len(body)).encode())]
    if status in {429, 503}:
        headers.append((b"retry-after", str(AGAIN).encode()))
    if status == 405:
        headers.append((b"allow", b"POST"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if last:
        headers.append((b"connection", b"close"))  # what is left of the body is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
