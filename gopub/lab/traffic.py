"""The traffic generator: a fixed rate of many users' requests, each sent exactly once, each counted to its end."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import h11

from gopub.canon import Json
from gopub.lab.counts import NO_RELEASE, Answer, Counts
from gopub.lab.http1 import Connection, LostError, Response

_IDLE = 2.0  # a kept connection is let go long before a server's own limit: else both might act at the same moment
_BEHIND = 0.25
_BODY = b'{"from":"lab"}'
_TELL = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: to ``address:port`` as virtual host ``host``, ``rate`` requests per second, spread evenly.

    ``mix`` lists ``METHOD /path`` in equal shares; ``fresh`` is the share of requests on a connection of their own;
    ``users`` is how many different ``x-user-id`` there are; ``slow_after`` makes slower answers count as bad.
    """

    address: str
    host: str
    rate: float = 50.0
    port: int = 80
    users: int = 500
    mix: tuple[str, ...] = ("GET /", "GET /", "GET /", "POST /")
    fresh: float = 0.2
    timeout: float = 10.0
    slow_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seed: int = field(default_factory=lambda: secrets.randbits(32))


class Traffic:
    """Sends a load from ``start`` to ``stop`` inside this event loop; ``counts`` can be read at any time.

    With ``log`` it writes a JSON line with all counts each second and ``"final": true`` in the last one.
    """

    def __init__(self, load: Load, *, log: Path | None = None) -> None:
        """Prepare; nothing is sent yet."""
        self.load = load
        self.counts = Counts(slow_after=load.slow_after)
        self._log = log
        self._idle: list[Connection] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._random = random.Random(load.seed)  # noqa: S311 - which user asks next is no secret

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Begin to send."""
        self._loops = [asyncio.create_task(self._pace()), asyncio.create_task(self._tell())]

    async def stop(self) -> Counts:
        """Send no more, wait for what is under way, and give the counts; then sent = answered + lost."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []
        await asyncio.gather(*self._under_way)
        for connection in self._idle:
            connection.close()
        self._idle = []
        await asyncio.sleep(0)  # a transport lets go of its socket at the loop's next turn, and there may be none
        self._write(final=True)
        return self.counts

    async def run(self, seconds: float) -> Counts:
        """Send for so long."""
        async with self:
            await asyncio.sleep(seconds)
        return self.counts

    async def _pace(self) -> None:
        due = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - due > _BEHIND:  # a burst to catch up would be another load than was asked for
                self.counts.late += 1
                due = time.monotonic()
            due += 1 / self.load.rate
            task = asyncio.create_task(self._one())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _one(self) -> None:
        """One request, to its one end."""
        fresh = self._random.random() < self.load.fresh
        request = self._request(fresh=fresh)
        begun = time.monotonic()
        self.counts.sent += 1
        try:
            async with asyncio.timeout(self.load.timeout):
                response = await self._exchange(*request, fresh=fresh)
        except TimeoutError:
            self.counts.lose("timeout")
        except LostError as lost:
            self.counts.lose(str(lost))
        else:
            release = response.headers.get("x-gopub-release") or NO_RELEASE
            self.counts.answer(Answer(time.time(), time.monotonic() - begun, response.status, release))

    def _request(self, *, fresh: bool) -> tuple[h11.Request, bytes]:
        method, path = self._random.choice(self.load.mix).split(" ", 1)
        headers = {
            "Host": self.load.host,
            "User-Agent": "gopub-lab",
            "X-User-Id": f"user-{self._random.randrange(self.load.users)}",
            **self.load.headers,
        }
        body = b"" if method == "GET" else _BODY
        if body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if fresh:
            headers["Connection"] = "close"
        return h11.Request(method=method, target=path, headers=list(headers.items())), body

    async def _exchange(self, request: h11.Request, body: bytes, *, fresh: bool) -> Response:
        connection = (None if fresh else self._kept()) or await Connection.open(self.load.address, self.load.port)
        keep = False
        try:
            response = await connection.exchange(request, body)
            keep = response.reusable
        finally:
            if keep:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
            else:
                connection.close()
        return response

    def _kept(self) -> Connection | None:
        """The connection that was used last, if one is fit; nothing was sent on it yet, so this is no retry."""
        oldest = time.monotonic() - _IDLE
        while self._idle:
            connection = self._idle.pop()
            if connection.usable() and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL)
            self._write(final=False)

    def _write(self, *, final: bool) -> None:
        if self._log is None:
            return
        line: dict[str, Json] = {"at": time.time(), "final": final, "seed": self.load.seed, **self.counts.to_json()}
        with self._log.open("a") as log:
            log.write(json.dumps(line) + "\n")
