"""Asking Prometheus over HTTP: who asks, whom to trust, how much is read, and in which words it fails.

What is sent to prove who asks goes to that server alone: not to one that it redirects to, and into no text of ours.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from gopub.canon import bounded, read_json
from gopub.connecting import Words, authorities, denied, trouble, wants_tls
from gopub.errors import GopubError, UsageError
from gopub.telemetry import REDACTOR

MOST_BYTES = 32 << 20
"""Bytes of an answer; that of 500 hosts has about 4 MB."""
_WORDS = Words(
    ca="`ca: FILE.pem` in the connection",
    plain="write the url with http://, or make the server speak TLS",
    tls="write the url with https://",
)
_LOGIN = "token, user and password, or secret_headers of the connection"


class _Told(requests.RequestException):
    """A failure whose text is for people already."""


class _Ours(requests.auth.AuthBase):
    """The headers of a connection; with it, no ~/.netrc takes their place."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As bytes: a secret need not be Latin-1, which text in a header must be.
        request.headers.update({name: text.encode() for name, text in self._headers.items()})  # type: ignore[misc]
        return request


class Bounded(requests.Session):
    """A session that reads no answer without an end, and no JSON but by the strict reader."""

    def __init__(self, headers: Mapping[str, str], ca: Path | None) -> None:
        """Send ``headers`` with each question; trust the authorities of ``ca`` alone, where it is given.

        Raises:
            UsageError: GP145 there is no certificate in it.
        """
        super().__init__()
        self._ours = tuple(headers)
        self.auth = _Ours(headers)
        if ca is not None:
            authorities(ca)
            self.verify = str(ca)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Ask, and read at most ``MOST_BYTES``.

        Raises:
            requests.RequestException: no answer, one that is larger, or one that refuses who asks.
        """
        answer = super().request(*args, **{**kwargs, "stream": True})
        with answer:
            body = bytearray()
            for block in answer.iter_content(1 << 16):
                body += block
                if len(body) > MOST_BYTES:
                    raise requests.exceptions.ContentDecodingError(f"an answer larger than {MOST_BYTES} bytes")
        status = answer.status_code
        if found := wants_tls(status, bytes(body), _WORDS) or denied(status, _LOGIN) or _complaint(status, bytes(body)):
            raise _Told(str(found))
        return _Answer(answer, bytes(body))

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """After a redirect: to another server go none of our headers, nor what ~/.netrc has."""
        strip: Callable[[str, str], bool] = self.should_strip_auth
        if strip(str(response.request.url), str(prepared_request.url)):
            for name in self._ours:
                prepared_request.headers.pop(name, None)


def _complaint(status: int, body: bytes) -> str:
    """Prometheus' own words about a question that it does not understand, or cannot compute; empty for others."""
    if status not in (400, 422):
        return ""
    try:
        told = read_json(body, limit=MOST_BYTES)
    except (ValueError, GopubError):
        return ""
    error = told.get("error") if isinstance(told, dict) else None
    return bounded(REDACTOR.clean(f"it says {error!r}")) if isinstance(error, str) else ""


class _Answer(requests.Response):
    """An answer whose body was read already."""

    def __init__(self, answer: requests.Response, body: bytes) -> None:
        super().__init__()
        self.__dict__.update(answer.__dict__)
        self._content = body

    def json(self, **_: Any) -> Any:
        return read_json(self.content, limit=MOST_BYTES)


def basic(user: str, password: str) -> str:
    """The header of basic auth, which is masked from now on like the password in it."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    REDACTOR.learn(pair)
    return f"Basic {pair}"


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse a secret that cannot stand in a header; it is not shown.

    Raises:
        UsageError: GP129.
    """
    for name, text in headers.items():
        if not text.isprintable() or text != text.strip():
            problem = f"the secret of the header {name} has a line break, a control character or a space at an end"
            raise UsageError("GP129", problem, hint="a header is one line: mend the variable or the file")


def say(error: Exception) -> str:
    """Why there was no usable answer, and what to do where that is known."""
    if isinstance(error, _Told):
        return str(error)
    if found := trouble(error, _WORDS):
        return str(found)
    if isinstance(error, TimeoutError | requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.JSONDecodeError | ValueError):
        return "the answer is not JSON (a login page?)"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    # Cleaned before it is cut: half a secret is not known as one.
    return bounded(REDACTOR.clean(f"{type(error).__name__}: {error}"))
