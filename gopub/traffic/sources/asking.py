"""One question to a source over HTTP: bounded in time and size, no redirect, no proxy of this machine's."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from gopub.canon import Json, JsonError, bounded, read_json
from gopub.connecting import Words, authorities, denied, trouble, wants_tls
from gopub.errors import GopubError, UsageError
from gopub.telemetry import REDACTOR, one_line

MOST_BYTES = 4 << 20
"""Bytes of an answer: one table, and what is written around it."""
EACH = 5.0
"""Seconds for one endpoint, so that another has its turn."""
_WORDS = Words(
    ca="`ca: FILE.pem` in the source",
    plain="write its address with http://, or make it speak TLS",
    tls="write its address with https://",
)
_HINT = "see whether it is up and reached from here: docs/guides/sources.md; edges go on with their last table"


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, kind: str) -> Json:
        """Its JSON.

        Raises:
            GopubError: GP525 it is none.
        """
        try:
            found: Json = read_json(self.body, limit=MOST_BYTES)
        except JsonError:
            raise away(kind, f"its answer is no JSON (status {self.status})") from None
        return found


def away(kind: str, why: str) -> GopubError:
    """The error of a source that is not asked with success."""
    return GopubError("GP525", f"source {kind}: {bounded(one_line(REDACTOR.clean(why)), 300)}", hint=_HINT)


def trusting(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """A context for these files.

    Raises:
        UsageError: GP145 they hold no certificate, or no key for it.
    """
    context = authorities(ca) if ca else ssl.create_default_context()
    if cert:
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                "GP145", f"{cert} and {key or cert} are no certificate with its key: {bounded(str(error))}",
                hint="name a PEM file with the certificate, and one with its key, without a passphrase",
            ) from None  # fmt: skip
    return context


class Endpoints:
    """The servers of a source, the one that answered last first."""

    def __init__(self, kind: str, urls: Sequence[str], context: ssl.SSLContext | None, each: float = EACH) -> None:
        """Ask nobody yet; ``each`` seconds for one endpoint."""
        self._kind, self._urls, self._each = kind, [url.rstrip("/") for url in urls], each
        self._client = httpx.AsyncClient(
            verify=context or ssl.create_default_context(), trust_env=False, follow_redirects=False,
            timeout=each,
        )  # fmt: skip

    async def ask(
        self, method: str, path: str, *, body: bytes = b"", query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, denied_too: bool = False,
    ) -> Said:  # fmt: skip
        """The answer of the first that gives one; the next is asked where one is silent or says 5xx.

        With ``denied_too`` one that refuses who asks is an answer, too.

        Raises:
            GopubError: GP525 none answered.
        """
        why = "it has no endpoint"
        for url in tuple(self._urls):
            try:
                async with asyncio.timeout(self._each):
                    said = await self._one(method, url + path, body, query, headers)
            except TimeoutError:
                why = f"{url} gave no answer within {self._each:g}s"
                continue
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                found = trouble(error, _WORDS)
                why = f"{url}: {found or f'it failed with {type(error).__name__}'}"
                continue
            if said.status < 500:
                self._urls.sort(key=lambda one: one != url)
                return said if denied_too and said.status == 401 else self._fit(url, said)
            why = f"{url} answers {said.status}: {said.body[:300].decode(errors='replace')}"
        raise away(self._kind, why)

    def _fit(self, url: str, said: Said) -> Said:
        if said.status == 403:
            raise away(self._kind, f"{url} answers 403: this login may not both read and write there")
        if found := wants_tls(said.status, said.body, _WORDS) or denied(said.status, "the login of the source"):
            raise away(self._kind, f"{url}: {found}")
        if 300 <= said.status < 400:
            raise away(self._kind, f"{url} sends elsewhere ({said.status}), which is not followed")
        return said

    async def _one(
        self, method: str, url: str, body: bytes, query: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> Said:
        async with self._client.stream(method, url, content=body, params=query, headers=headers) as answer:
            read = bytearray()
            async for part in answer.aiter_bytes():
                read += part
                if len(read) > MOST_BYTES:
                    raise httpx.DecodingError(f"an answer larger than {MOST_BYTES} bytes")
            return Said(answer.status_code, dict(answer.headers), bytes(read))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
