"""The driver's side of the Nginx edges: curl on the edge, to its control socket, over the fleet's connections."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import SerializerFunctionWrapHandler, field_serializer, model_serializer

from gopub.canon import Json, JsonError, bounded, read_json
from gopub.clock import Clock, SystemClock
from gopub.errors import GopubError, UsageError
from gopub.process import Call, Result, call_on
from gopub.spec.fields import Word
from gopub.spec.kinds import LocalPath, SecretRef
from gopub.tracing.context import header, is_trace
from gopub.traffic.backends.nginx.counts import MOST_VALUES, read_counts
from gopub.traffic.backends.nginx.files import EdgeLayout
from gopub.traffic.backends.nginx.install import look_at_files
from gopub.traffic.backends.nginx.told import read_source
from gopub.traffic.door import Connect, KeysLaid, RouterConnection, TableSigning
from gopub.traffic.protocol import EdgeAck, EdgeCounts, EdgeFiles, EdgeStatus, Router
from gopub.traffic.signed import HEADER, TableKey, read_signing
from gopub.traffic.sources.choice import RouteSource
from gopub.traffic.sources.published import PublishedRouter
from gopub.traffic.table import RouteTable, encode
from gopub.traffic.wire import from_json

T = TypeVar("T")

MOST_BYTES = 4 * 1024 * 1024
"""Bytes of an edge's answer; a connection carries no more."""


class Nginx(RouterConnection):
    """Edges: Nginx with the Lua program of gopub."""

    counts: ClassVar[bool] = True
    kind: Literal["nginx"] = "nginx"
    socket: Word = "/run/gopub/edge.sock"
    """The control socket on an edge."""
    source: RouteSource | None = None
    """Where the edges take their tables from; without one gopub puts them on each edge itself, by SSH."""
    sign: LocalPath | None = None
    """The file with the private key (PEM) that signs route tables; without it they go unsigned."""
    passphrase: SecretRef | None = None
    """What opens that key, where it has a passphrase."""
    keys: tuple[LocalPath, ...] = ()
    """Files with public keys (PEM) that edges believe besides, while one key takes the place of another."""

    @field_serializer("passphrase")
    def _where(self, secret: SecretRef | None) -> dict[str, str] | None:
        """As a kit is read back: by variable or file. What only a Block or a plug-in knows a kit does not."""
        if secret is None or not (secret.env or secret.file):
            return None
        return {"env": secret.env} if secret.env else {"file": str(secret.file)}

    @model_serializer(mode="wrap")
    def _as_before(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A kit without a key or a source is one that an older gopub reads."""
        whole: dict[str, Any] = written(self)
        return {
            name: value
            for name, value in whole.items()
            if value or name not in ("source", "sign", "passphrase", "keys")
        }

    def signing(self) -> TableSigning | None:
        """The key of ``sign``."""
        return TableSigning(self.sign, self.passphrase, self.keys) if self.sign else None

    def control(self) -> str:
        """The control socket on an edge."""
        return self.socket

    def open(self, edges: Sequence[str], connect: Connect) -> Router:
        """The edges, over channels that ``connect`` gives."""
        return self._fed(NginxRouter(tuple(edges), connect, socket=self.socket), edges)

    def _fed(self, router: NginxRouter, edges: Sequence[str]) -> Router:
        """The same edges by their source, where there is one."""
        if self.source is None:
            return router
        if self.source.http:
            from gopub.traffic.backends.nginx.push import pushed  # noqa: PLC0415 - it is made of this

            return pushed(self.source.http, router, edges)
        chosen = self.source.chosen
        return PublishedRouter(router, tuple(edges), chosen.kind, chosen.open, router.ordered)

    def _layout(self) -> EdgeLayout:
        """What differs on the edges of this connection."""
        layout = replace(EdgeLayout(), socket=self.socket)
        if self.source is None:
            return layout
        if http := self.source.http:
            return replace(
                layout, push=f"include {layout.config}/gopub-push.conf;", push_port=f"listen {http.port} ssl"
            )
        lines = (f"{key} {value}" for key, value in self.source.chosen.settings())
        return replace(layout, source="\n".join(lines))

    def open_signed(self, edges: Sequence[str], connect: Connect, key: Callable[[], TableKey]) -> Router:
        """The same, with tables that are signed."""
        return self._fed(NginxRouter(tuple(edges), connect, socket=self.socket, key=key), edges)

    async def look_at_files(
        self, edges: Sequence[str], connect: Connect, *, install: bool, laid: KeysLaid | None = None
    ) -> tuple[EdgeFiles, ...]:
        """As nginx -t says it; ``install``: gopub's files first, and back again where it refuses them."""
        return await look_at_files(edges, connect, install=install, layout=self._layout(), laid=laid)


class NginxRouter:
    """A ``Router`` over all edges of a connection; the channels belong to whoever gave ``connect``."""

    def __init__(
        self,
        edges: Sequence[str],
        connect: Connect,
        *,
        socket: str = "/run/gopub/edge.sock",
        limit: float = 10.0,
        clock: Clock | None = None,
        key: Callable[[], TableKey] | None = None,
    ) -> None:
        """Know the edges by name; ``limit`` seconds per edge and request, connecting included.

        ``clock`` is the one that the edges' clocks are held against, by default this machine's. ``key`` opens the key
        that signs tables, once; without it they go unsigned.

        Raises:
            UsageError: GP504 there is no edge.
        """
        if not edges:
            raise UsageError(
                "GP504",
                "the router has no edge",
                hint="check inventory and hosts of the nginx connection in connections.yaml",
            )
        self._edges, self._connect, self._socket, self._limit = tuple(edges), connect, socket, limit
        self._clock = clock or SystemClock()
        self.opens_key = key
        self._key: TableKey | None = None

    async def put(self, table: RouteTable) -> tuple[EdgeAck, ...]:
        """Order every edge at once; each acknowledges once the table is on its disk."""
        try:
            order = await self._ordered(table)
        except GopubError as error:  # going back goes on without: the canary's term ends by itself
            why = f"the table could not be signed: {error.code} {error.problem}"
            return tuple(EdgeAck(edge, ok=False, revision=0, error=why) for edge in self._edges)
        return tuple(await asyncio.gather(*(self._put(edge, table, order) for edge in self._edges)))

    async def status(self, app: str, env: str, upstream: str) -> tuple[EdgeStatus, ...]:
        """Ask every edge at once for the table of that upstream; one of another app or env is an error."""
        return tuple(await asyncio.gather(*(self._status(edge, app, env, upstream) for edge in self._edges)))

    async def count(self, edge: str, app: str, env: str, upstream: str, releases: Sequence[str]) -> EdgeCounts:
        """Ask one edge for its counters; their time is when the answer was here, by our clock."""
        path = f"/v1/counters/{upstream}?releases={','.join(releases)}"
        try:
            answer = await self._ask(edge, Question("GET", path, app=app, env=env))
            return read_counts(edge, answer.json, app, env, releases, self._clock.now())
        except _EdgeError as error:
            older = error.status == "404"
            text = "it runs an older gopub, which cannot be asked for its counters" if older else str(error)
            return EdgeCounts(edge, error=text, older=older)

    async def ordered(self, table: RouteTable) -> tuple[bytes, str]:
        """The bytes of a table as it is put, and the value of its signature's header, empty where it goes unsigned."""
        order = await self._ordered(table)
        return order.body, order.signature

    async def close(self) -> None:
        """Nothing of our own is open."""

    async def _ordered(self, table: RouteTable) -> _Order:
        """The table's bytes and, with a key, their signature; a thread opens the key, for that takes a while."""
        body = encode(table)
        if self.opens_key is None:
            return _Order(body)
        if self._key is None:
            self._key = await asyncio.to_thread(self.opens_key)
        return _Order(body, self._key.header(body))

    async def _put(self, edge: str, table: RouteTable, order: _Order) -> EdgeAck:
        try:
            answer = await self._ask(edge, _putting(table, order))
            return EdgeAck(
                edge, ok=True, revision=_revision(answer.json), skew=answer.skew, identity=identity_of(answer.json)
            )
        except _EdgeError as error:
            if error.code == "GP501" and table.endpoints:  # an edge of an older version: it routes, and counts no such
                plain = replace(table, endpoints=())
                return await self._put(edge, plain, await self._ordered(plain))
            older = error.code == "GP501"  # a shape that this side checked
            hint = "; its files are older: update the edges first (`gopub route install`)" if older else ""
            return EdgeAck(edge, ok=False, revision=error.revision, error=f"{error}{hint}")

    async def _status(self, edge: str, app: str, env: str, upstream: str) -> EdgeStatus:
        try:
            answer = await self._ask(edge, Question("GET", f"/v1/status?upstream={upstream}", app=app, env=env))
            status = read_status(edge, answer.json, app, env, upstream)
            source = read_source(answer.json)
            identity, tables = identity_of(answer.json), tables_of(answer.json)
            return replace(status, skew=answer.skew, identity=identity, source=source, tables=tables)
        except _EdgeError as error:
            return EdgeStatus(edge, error=str(error))

    async def _ask(self, edge: str, question: Question) -> _Answer:
        try:
            async with asyncio.timeout(self._limit):
                return await self._exec(edge, question)
        except TimeoutError as error:
            raise _EdgeError(f"no answer within {self._limit:g}s") from error
        except (GopubError, OSError) as error:
            raise _EdgeError(error.problem if isinstance(error, GopubError) else str(error)) from error

    async def _exec(self, edge: str, question: Question) -> _Answer:
        """Twice where the kept connection turns out to be dead: the same order again gets the same answer."""
        try:
            return await self._timed(edge, question)
        except GopubError:
            return await self._timed(edge, question)

    async def reach(self, edge: str) -> Callable[[Question], Awaitable[Result]]:
        """The way to an edge: what it answers, then its HTTP status on a line of its own."""
        channel = await self._connect(edge)
        return lambda asked: call_on(channel, self.to_ask(asked), asked.body)

    async def _timed(self, edge: str, question: Question) -> _Answer:
        ask = await self.reach(edge)
        begun = self._clock.now()
        done = await ask(question)
        ended = self._clock.now()
        answer = _read(done)
        return _Answer(answer, skew_of(answer, begun, ended))

    def to_ask(self, asked: Question) -> Call:
        """By curl, or by the verb for it: an edge that is enrolled knows its own socket."""
        limit = max(1.0, self._limit - 1)
        trace = header()  # whoever looks at an edge sees which release moved its traffic
        signed = ("--header", f"{HEADER}: {asked.signature}") if asked.signature else ()
        traced = ("--header", f"traceparent: {trace}") if trace else ()
        argv = (
            "curl", "--silent", "--show-error", "--max-time", f"{limit:g}", "--unix-socket", self._socket,
            "--request", asked.method, "--header", "Expect:", "--header", "Content-Type: application/json", *signed,
            *traced, "--data-binary", "@-", "--write-out", "\n%{http_code}", f"http://edge{asked.path}",
        )  # fmt: skip
        arguments = {"path": asked.path, "signature": asked.signature, "within": str(math.ceil(limit))}
        return Call(f"table-{asked.method.lower()}", arguments, argv, asked.app, asked.env, asked.epoch, asked.token)


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the control of an edge; ``signature`` is the value of a header, empty for none.

    ``app`` and ``env`` say for whom; ``epoch`` and ``token`` by which seat, where it changes something.
    """

    method: str
    path: str
    body: bytes = b""
    signature: str = ""
    app: str = ""
    env: str = ""
    epoch: int = 0
    token: str = ""


def _putting(table: RouteTable, order: _Order) -> Question:
    path, seat = f"/v1/tables/{table.upstream}", (table.epoch, table.token)
    return Question("PUT", path, order.body, order.signature, table.app, table.env, *seat)


@dataclass(frozen=True, slots=True)
class _Order:
    """A table's bytes as they are put, and their signature's header, empty where there is none."""

    body: bytes
    signature: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an edge said with a 200, and how far its clock is from ours."""

    json: Json
    skew: float | None


class _EdgeError(Exception):
    """Why an edge did not do as asked, by its code and HTTP status; ``revision`` is what it holds, where it said so."""

    def __init__(self, text: str, revision: int = 0, code: object = "", status: str = "") -> None:
        super().__init__(text)
        self.revision, self.code, self.status = revision, code, status


def _read(done: Result) -> Json:
    """The JSON of a 200; anything else is an ``_EdgeError`` that says what the edge said."""
    if done.code:
        said = done.err.decode(errors="replace").strip()
        raise _EdgeError(bounded(said) or f"curl on the edge ended with exit code {done.code}")
    text, _, status = done.out.rpartition(b"\n")
    try:
        answer: Json = read_json(text, limit=MOST_BYTES, values=MOST_VALUES)
    except JsonError:
        raise _EdgeError(f"status {bounded(status.decode(errors='replace'), 20)}, and no JSON") from None
    if status != b"200":
        raise _refusal(bounded(status.decode(errors="replace"), 20), answer)
    return answer


def _refusal(status: str, answer: Json) -> _EdgeError:
    if not isinstance(answer, dict):
        return _EdgeError(f"status {status}", status=status)
    text = bounded(f"{answer.get('code')} {answer.get('error')}", 400) + f" (status {status})"
    held = answer.get("holds")
    if not isinstance(held, dict):
        return _EdgeError(text, code=answer.get("code"), status=status)
    holds = f"it holds revision {held.get('revision')} of {held.get('app')}/{held.get('env')}"
    holds += f", epoch {held.get('epoch')}, order {held.get('n')}"
    return _EdgeError(f"{text}; {bounded(holds, 400)}", _revision(held), answer.get("code"), status)


def _revision(answer: Json) -> int:
    revision = answer.get("revision") if isinstance(answer, dict) else None
    return revision if isinstance(revision, int) else 0


def skew_of(answer: Json, begun: float, ended: float) -> float | None:
    """How far the edge's clock is ahead of ours at the least: it was read at some moment from ``begun`` to ``ended``.

    None where the edge does not say what its clock shows.
    """
    now = answer.get("now") if isinstance(answer, dict) else None
    if not isinstance(now, int | float) or isinstance(now, bool):
        return None
    return min(0.0, now - begun) + max(0.0, now - ended)


def identity_of(answer: Json) -> str:
    """Who the edge says it is; "" where it does not say."""
    said = answer.get("edge") if isinstance(answer, dict) else None
    return said if isinstance(said, str) else ""


def tables_of(answer: Json) -> int:
    """The version of tables that the edge understands; 1 where it is too old to say."""
    said = answer.get("tables") if isinstance(answer, dict) else None
    return said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else 1


def read_status(edge: str, answer: Json, app: str, env: str, upstream: str) -> EdgeStatus:
    """Pick one upstream out of an edge's ``/v1/status``."""
    every = answer.get("upstreams") if isinstance(answer, dict) else None
    if not isinstance(every, dict):
        return EdgeStatus(edge, error="its status has no upstreams")
    own = every.get(upstream)
    signing = read_signing(answer, upstream)
    if not isinstance(own, dict):
        return EdgeStatus(edge, signing=signing)
    try:
        table = from_json(own.get("table"))
    except GopubError as error:
        return EdgeStatus(edge, error=f"its table cannot be read: {bounded(error.problem)}")
    if (table.app, table.env) != (app, env):
        return EdgeStatus(edge, error=f"upstream {upstream} belongs to {table.app}/{table.env}")
    inflight, addresses = _counts(own.get("inflight", {})), _counts(own.get("addresses", {}))
    if inflight is None or addresses is None:  # a host that seems idle would be restarted under its requests
        return EdgeStatus(edge, error="its counts of requests cannot be read")
    told = addresses if "addresses" in own else None
    trace = own.get("trace")
    named = trace if isinstance(trace, str) and is_trace(trace) else ""
    return EdgeStatus(edge, table, inflight, signing=signing, addresses=told, trace=named)


def _counts(said: Json) -> dict[str, int] | None:
    """Numbers by name; None where one of them is none."""
    counted = said if isinstance(said, dict) else {}
    numbers = {name: n for name, n in counted.items() if isinstance(n, int) and not isinstance(n, bool)}
    return numbers if len(numbers) == len(counted) else None
