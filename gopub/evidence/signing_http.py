"""How the services of a Sigstore are called: each call has a time limit, and what may pass is asked again, with jitter.

sigstore-python sets no time limit for most of its calls, follows redirects with the token and reads answers of any
length. Its clients are handed one of these in place of their session.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import requests

from gopub.clock import SystemClock
from gopub.connecting import Words, trouble
from gopub.evidence.signing_frames import Limits

_LARGEST = 1 << 20
_SHOWN = 160
_LATER = 30.0
"""Seconds after our own time is over the library's is, too: which of the two comes first is no matter of chance."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_WORDS = Words(ca="SSL_CERT_FILE where gopub runs", plain="write http:// in the signing config", tls="https://")


class Failure(Exception):  # noqa: N818 - it is an answer of this process
    """Why nothing was signed: of what kind, which service at which address, why, and what to do."""

    def __init__(
        self, kind: str, why: str, *, service: str = "", url: str = "", hint: str = "", status: int = 0
    ) -> None:
        """Keep the parts; ``status`` is that of the answer, where there was one that refused."""
        super().__init__(why)
        self.kind, self.why, self.service, self.url, self.hint = kind, why, service, url, hint
        self.status = status

    def to_json(self) -> dict[str, str]:
        """As the parent is told."""
        return {"kind": self.kind, "why": self.why, "service": self.service, "url": self.url, "hint": self.hint}


class _PassingError(Exception):
    """What may be over at the next call."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one service; any thread may use it."""

    service: str
    limits: Limits
    headers: Mapping[str, str]
    authorities: str = ""
    """The file with the authorities of TLS that are believed; none: those of the library."""

    def post(self, url: str, **said: Any) -> requests.Response:
        """What the service answers with success.

        Raises:
            Failure: it does not.
        """
        clock, asked = SystemClock(), 0
        until = clock.now() + self.limits.patience
        while True:
            asked += 1
            try:
                return self._within_time(lambda: self._once(url, said))
            except _PassingError as error:
                if asked >= self.limits.attempts or clock.now() >= until:
                    times = "once" if asked == 1 else f"{asked} times"
                    raise self.failure(url, "away", f"{error.why}; asked {times}", error.hint) from error
            waiting = self.limits.pause * 2 ** (asked - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
            asyncio.run(clock.sleep(waiting))  # in a thread of its own, or where nothing else runs

    def close(self) -> None:
        """Nothing is kept open."""

    def failure(self, url: str, kind: str, why: str, hint: str = "", status: int = 0) -> Failure:
        """It failed, by its name and address."""
        place = urlsplit(url)
        where = f"{place.scheme}://{place.netloc.rpartition('@')[2]}"
        return Failure(kind, why, service=self.service, url=where, hint=hint, status=status)

    def _within_time(self, work: Callable[[], requests.Response]) -> requests.Response:
        """The library's limits are for silences: who drips answers could keep us for ever."""
        done: SimpleQueue[requests.Response | BaseException] = SimpleQueue()

        def run() -> None:
            try:
                done.put(work())
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                done.put(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            found = done.get(timeout=self.limits.call)
        except Empty:
            why = f"no whole answer within {self.limits.call:g}s"
            raise _PassingError(why, "is it overloaded, or does a firewall drop the packets?") from None
        if isinstance(found, BaseException):
            raise found
        return found

    def _once(self, url: str, said: Mapping[str, Any]) -> requests.Response:
        with requests.Session() as session:
            session.headers.update(self.headers)
            session.auth = _no_change  # else a netrc would replace the token
            if self.authorities:
                session.verify = self.authorities
            times = (self.limits.connect, self.limits.call + _LATER)
            try:
                with session.post(url, **{**said, "timeout": times}, stream=True, allow_redirects=False) as answer:
                    answer._content = self._whole(url, answer)  # noqa: SLF001 - read as if by itself
            except (requests.RequestException, OSError) as error:
                found = trouble(error, _WORDS)
                why = found.what if found else f"no answer: {type(error).__name__}"
                raise _PassingError(why, found.hint if found else "") from error
        self._insist(url, answer)
        return answer

    def _whole(self, url: str, answer: requests.Response) -> bytes:
        read = bytearray()
        for part in answer.iter_content(65536):
            read += part
            if len(read) > _LARGEST:
                raise self.failure(url, "answer", f"an answer of more than {_LARGEST} bytes", _OTHER)
        return bytes(read)

    def _insist(self, url: str, answer: requests.Response) -> None:
        status = answer.status_code
        if status in _PASSING:
            raise _PassingError(f"it answers {status}{_message(answer)}", "what does its log say?")
        if 300 <= status < 400:
            raise self.failure(url, "answer", f"it answers {status}, a redirect, which is not followed", _OTHER)
        if status >= 400:
            raise self.failure(url, "refused", f"it answers {status}{_message(answer)}", status=status)


_OTHER = "is it that service, and not a proxy in between or another server?"


def _no_change(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _message(answer: requests.Response) -> str:
    """What it says itself, where it says so in JSON."""
    try:
        told = json.loads(answer.content)
    except ValueError:
        return ""
    text = told.get("message") if isinstance(told, dict) else None
    return f": {shown(text)}" if isinstance(text, str) and text else ""


def shown(text: str) -> str:
    """Words of somebody else, short and on one line."""
    return "".join(one if one.isprintable() else " " for one in text[:_SHOWN])
