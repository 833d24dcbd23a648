"""Edges asked over mutual TLS: one server block of theirs, which takes tables and tells what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import httpx

from gopub.canon import bounded
from gopub.connecting import Words, trouble
from gopub.errors import GopubError
from gopub.process import Executor, Result
from gopub.telemetry import REDACTOR, one_line
from gopub.tracing.context import header
from gopub.traffic.backends.nginx.client import MOST_BYTES, NginxRouter, Question
from gopub.traffic.signed import HEADER
from gopub.traffic.sources.asking import trusting
from gopub.traffic.sources.push import Push, PushedRouter

_WORDS = Words(
    ca="`ca: FILE.pem` in source.http",
    plain="lay certificates on the edge and run gopub route install",
    tls="see that it listens there: gopub route install",
)


def pushed(said: Push, past: NginxRouter, edges: Sequence[str], limit: float = 10.0) -> PushedRouter:
    """The edges by mutual TLS, and past it as they are reached anyway."""
    return PushedRouter(_Edges(said, past, edges, limit), past)


class _Edges(NginxRouter):
    """The same questions and answers over another way."""

    def __init__(self, said: Push, past: NginxRouter, edges: Sequence[str], limit: float) -> None:
        """Read no file yet: going back needs none of them."""
        super().__init__(edges, _no_channel, limit=limit, key=past.opens_key)
        self._said = said
        self._client: httpx.AsyncClient | None = None

    async def reach(self, edge: str) -> Callable[[Question], Awaitable[Result]]:
        """See ``NginxRouter.reach``."""
        if self._client is None:
            context = await asyncio.to_thread(trusting, self._said.ca, self._said.cert, self._said.key)
            self._client = httpx.AsyncClient(
                verify=context, trust_env=False, follow_redirects=False, timeout=self._limit
            )
        client, address = self._client, self._said.address(edge)

        async def ask(question: Question) -> Result:
            try:
                return await _asked(client, address, question)
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                found = trouble(error, _WORDS)
                text = one_line(REDACTOR.clean(str(found or f"it failed with {type(error).__name__}: {error}")))
                raise GopubError(
                    "GP525", f"{address}: {bounded(text, 300)}", hint="see docs/guides/sources.md"
                ) from None

        return ask

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client:
            await self._client.aclose()


async def _no_channel(edge: str) -> Executor:
    raise GopubError("GP525", f"{edge} is reached by mutual TLS", hint="report it")


async def _asked(client: httpx.AsyncClient, address: str, question: Question) -> Result:
    headers = {"Content-Type": "application/json", HEADER: question.signature, "traceparent": header()}
    headers = {name: text for name, text in headers.items() if text}
    read = bytearray()
    url = address + question.path
    async with client.stream(question.method, url, content=question.body, headers=headers) as answer:
        async for part in answer.aiter_bytes():
            read += part
            if len(read) > MOST_BYTES:
                raise httpx.DecodingError(f"an answer larger than {MOST_BYTES} bytes")
        return Result((url,), 0, bytes(read) + f"\n{answer.status_code}".encode(), b"")
