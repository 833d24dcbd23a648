"""A request to a forge's API and what its answer means; bounded in time and size, and never sent anywhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from deployments.writeback.apis.protocol import Access, Answer
from gopub.canon import Json, bounded
from gopub.clock import Clock, SystemClock
from gopub.connecting import Words, trouble
from gopub.telemetry import REDACTOR, one_line

WITHIN = 10.0
"""Seconds for one request, however slowly its answer comes."""
MOST_BYTES = 1 << 20
"""Bytes of an answer that are read: a list of a hundred deployments has a quarter of that."""
LONGEST_PAUSE = 3600.0
"""Seconds for which a forge is left alone at its own word: GitHub's limits are those of an hour."""
_SHOWN = 200
_WORDS = Words(ca="SSL_CERT_FILE", plain="write the url with http://", tls="write the url with https://")


@dataclass(frozen=True, slots=True)
class Said:
    """An answer; ``body`` is None where it is no JSON, or too large."""

    status: int
    headers: Mapping[str, str]
    body: Json
    text: str = ""

    @property
    def well(self) -> bool:
        """Whether it did what it was asked."""
        return 200 <= self.status < 300


class AwayError(Exception):
    """It gave no answer; the text says why."""


class Asker:
    """Asks one API with one token."""

    def __init__(self, access: Access, headers: Mapping[str, str], clock: Clock | None = None,
                 within: float = WITHIN) -> None:  # fmt: skip
        """Ask nobody yet."""
        self._url, self._headers = (
            access.url.rstrip("/"),
            {"User-Agent": "gopub", "Accept-Encoding": "identity", **headers},
        )
        self._clock, self._within = clock or SystemClock(), within

    async def ask(self, method: str, path: str, body: Mapping[str, Json] | None = None) -> Said:
        """The answer, whatever it is; a redirect is one, and is not followed.

        Raises:
            AwayError: there was none in time.
        """
        try:
            async with (
                asyncio.timeout(self._within),
                httpx.AsyncClient(timeout=self._within, headers=self._headers, follow_redirects=False) as client,
                client.stream(method, f"{self._url}{path}", json=body) as answer,
            ):
                return _said(answer, await _beginning(answer))
        except (TimeoutError, httpx.TimeoutException):
            raise AwayError(f"no answer within {self._within:g}s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            found = trouble(error, _WORDS)
            raise AwayError(_clean(str(found) if found else f"it failed with {type(error).__name__}")) from None

    def no(self, said: Said) -> Answer:
        """What an answer means that is no yes: whether to ask again, and when."""
        pause = self._pause(said)
        if said.status in {408, 429} or said.status >= 500 or (said.status == 403 and pause):
            return Answer(again=True, says=f"it answers {said.status}", pause=pause)
        if 300 <= said.status < 400:
            return Answer(says=f"it sends elsewhere ({said.status}), which is not followed: has the repository moved?")
        if said.well:
            return Answer(again=True, says="its answer is none of this API's")
        return Answer(says=_clean(f"it answers {said.status}: {said.text}"))

    def _pause(self, said: Said) -> float:
        """Seconds for which it wants to be left alone; 0 where it says nothing of it."""
        now = self._clock.now()
        wish = _seconds(said.headers.get("retry-after", ""), now)
        if not wish and "0" in (said.headers.get("x-ratelimit-remaining"), said.headers.get("ratelimit-remaining")):
            reset = said.headers.get("x-ratelimit-reset") or said.headers.get("ratelimit-reset", "")
            wish = max(float(reset) - now, 1.0) if reset.isdecimal() and len(reset) < 12 else 60.0
        return min(wish, LONGEST_PAUSE)


def _seconds(text: str, now: float) -> float:
    """``Retry-After``: seconds, or a date."""
    if text.isdecimal() and len(text) < 12:
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


async def _beginning(answer: httpx.Response) -> bytes:
    """As it comes: what was packed could be a thousand times as much."""
    read = b""
    async for part in answer.aiter_raw():
        read += part
        if len(read) > MOST_BYTES:
            break
    return read


def _said(answer: httpx.Response, body: bytes) -> Said:
    try:
        found: Json = json.loads(body) if len(body) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        found = None
    return Said(answer.status_code, dict(answer.headers), found, body[:MOST_BYTES].decode(errors="replace"))


def _clean(text: str) -> str:
    """Without secrets, on one line; cleaned before it is cut: half a secret is not known as one."""
    return bounded(one_line(REDACTOR.clean(text)), _SHOWN)


def id_of(body: Json) -> str:
    """The id in an answer; empty where it has none."""
    found = body.get("id") if isinstance(body, dict) else None
    return str(found) if isinstance(found, int) and not isinstance(found, bool) and found > 0 else ""
