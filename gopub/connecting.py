"""Why a server was not reached, in words, with what to do: trouble with TLS apart from refused, apart from no route.

Libraries wrap what happened in errors of their own, several deep. What decides here is the innermost cause that
says something: the operating system's, OpenSSL's, or the bytes that came in place of an answer.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gopub.errors import UsageError

DEEPEST = 12
"""Errors of a chain that are looked at."""
_NAMES = frozenset({62, 63, 64})
"""OpenSSL's codes for a name, a mail address or an IP address that a certificate does not have."""
_UNKNOWN = frozenset({2, 18, 19, 20, 21})
"""OpenSSL's codes for an issuer that is not known, or that stands for itself."""
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_HUNG_UP = frozenset({"RemoteDisconnected", "IncompleteRead", "ProtocolError", "BadStatusLine"})
_LATE = frozenset({"ConnectTimeoutError", "ReadTimeoutError", "ConnectTimeout", "ReadTimeout"})
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"})
_BEGINS_TLS = re.compile(r"\\x15\\x03|\x15\x03")
_ASKED_TLS = re.compile(r"HTTP request (was sent )?to (an )?HTTPS", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What kept a connection from coming about, and what to do."""

    what: str
    hint: str

    def __str__(self) -> str:
        """Both on one line."""
        return f"{self.what}; {self.hint}"


@dataclass(frozen=True, slots=True)
class Words:
    """What the keys of a connection are called: the one for a CA file, and how TLS is left out or asked for."""

    ca: str
    plain: str
    tls: str


UNKNOWN_CA = "its certificate is signed by an authority that is not known here"
EXPIRED = "its certificate has expired"
TOO_EARLY = "its certificate is not valid yet"
OTHER_NAMES = "its certificate is for other names"
NO_TLS = "it speaks plain HTTP, and TLS was asked for"
WANTS_TLS = "it speaks TLS, and plain HTTP was asked for"
REFUSED = "no connection: refused, nothing listens at that address and port"
NO_ROUTE = "no connection: no route to it"
NO_NAME = "no connection: its name is not known"
HUNG_UP = "no connection: it hung up without an answer"
LATE = "no answer in time"


_CHECK_ADDRESS = "check GOPROXY, GOPRIVATE and the address, and whether this machine has to go by a proxy"
_KNOWN_HERE = (
    "let this machine know it (update-ca-certificates), or name its file where gopub runs: "
    "SSL_CERT_FILE for Go, GIT_SSL_CAINFO for git"
)
_SAID = tuple(
    (re.compile(pattern, re.IGNORECASE), Trouble(what, hint))
    for pattern, what, hint in (
        (
            "signed by unknown authority|unable to get local issuer|self[- ]signed certificate|verification failed",
            UNKNOWN_CA,
            _KNOWN_HERE,
        ),
        (
            "certificate has expired",
            EXPIRED,
            "renew it on the server; if it is new, is the clock of this machine right?",
        ),
        (
            "certificate is (not )?valid for|contain any IP SANs|subject name matches|subject name .*does not match",
            OTHER_NAMES,
            "write the address with a name that it has",
        ),
        ("server gave HTTP response to HTTPS client", NO_TLS, "make the server speak TLS"),
        ("connection refused", REFUSED, _CHECK_ADDRESS),
        ("no route to host|network is unreachable", NO_ROUTE, _CHECK_ADDRESS),
        ("no such host|could not resolve host", NO_NAME, _CHECK_ADDRESS),
        ("i/o timeout|handshake timeout|timed out", LATE, _CHECK_ADDRESS),
    )
)
"""What Go and git say of a server that was not reached, the surest first."""


def trouble(error: BaseException, words: Words) -> Trouble | None:
    """What an error says of the connection; None where it says nothing of that."""
    every = tuple(_chain(error))
    for ask in (_of_tls, _of_system, _of_bytes):
        found = next((found for one in every if (found := ask(one, words))), None)
        if found:
            return _by_proxy(found) if any(type(one).__name__ == "ProxyError" for one in every) else found
    return None


def said_by_program(text: str) -> Trouble | None:
    """The same, where all that there is are the words of Go or git."""
    return next((found for pattern, found in _SAID if pattern.search(text)), None)


def wants_tls(status: int, body: bytes, words: Words) -> Trouble | None:
    """What servers answer to plain HTTP on a port for TLS; they do so in plain HTTP, with a 400."""
    if status == 400 and _ASKED_TLS.search(body[:2000].decode(errors="replace")):
        return Trouble(WANTS_TLS, words.tls)
    return None


def denied(status: int, credentials: str) -> Trouble | None:
    """What 401, 403 and 407 say; ``credentials`` names the keys of the connection."""
    if status == 401:
        return Trouble("it answers 401: it does not know who asks", f"check {credentials}")
    if status == 403:
        return Trouble("it answers 403: whoever asks may not", f"give the account of {credentials} the right to read")
    if status == 407:
        return Trouble("the proxy in between answers 407: it wants a login", "check HTTP_PROXY, or set NO_PROXY")
    return None


def authorities(path: Path) -> ssl.SSLContext:
    """A context that trusts the certificates of a file alone.

    Raises:
        UsageError: GP145 the file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        # ssl.SSLError is an OSError as well, and its text says nothing that helps.
        why = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {_said(error)}"
    hint = "name a PEM file with the certificate of the authority: -----BEGIN CERTIFICATE-----"
    raise UsageError("GP145", f"the CA file {path} {why}", hint=hint)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps, the innermost last; the same one once."""
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left and len(seen) < DEEPEST:
        one = left.pop(0)
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        inside = [getattr(one, "reason", None), *one.args, one.__cause__, one.__context__]
        left += [other for other in inside if isinstance(other, BaseException)]
    yield from seen


def _of_tls(error: BaseException, words: Words) -> Trouble | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, words)
    if not isinstance(error, ssl.SSLError):
        return None
    reason = str(error.reason or "")
    if reason in _NO_TLS:
        return Trouble(NO_TLS, words.plain)
    if "CERTIFICATE_REQUIRED" in reason:
        return Trouble("TLS failed: it wants a certificate of the client", "gopub has none: put a proxy in between")
    said = reason.replace("_", " ").lower() or "the handshake broke off"
    return Trouble(f"TLS failed: {said}", "does the server have TLS 1.2 or newer at that port?")


def _of_certificate(error: ssl.SSLCertVerificationError, words: Words) -> Trouble:
    code = error.verify_code
    if code in _UNKNOWN:
        return Trouble(UNKNOWN_CA, f"name the authority's certificate: {words.ca}")
    if code == 10:
        return Trouble(EXPIRED, "renew it on the server; if it is new, is the clock of this machine right?")
    if code == 9:
        return Trouble(TOO_EARLY, "is the clock of this machine right?")
    if code in _NAMES:
        return Trouble(f"{OTHER_NAMES}: {error.verify_message}", "write the address with a name that it has")
    return Trouble(f"its certificate is refused: {error.verify_message}", "mend it on the server")


def _of_system(error: BaseException, _: Words) -> Trouble | None:
    if isinstance(error, ConnectionRefusedError):
        return Trouble(REFUSED, "does it run, and is the port right?")
    if isinstance(error, socket.gaierror):
        return Trouble(NO_NAME, "check the address, and DNS on this machine")
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return Trouble(NO_ROUTE, "check network, VPN and firewall between this machine and it")
    if isinstance(error, TimeoutError) or type(error).__name__ in _LATE:
        return Trouble(LATE, "is it overloaded, or does a firewall drop the packets?")
    return None


def _of_bytes(error: BaseException, words: Words) -> Trouble | None:
    if type(error).__name__ in _HUNG_UP and _BEGINS_TLS.search(str(error)):
        return Trouble(WANTS_TLS, words.tls)
    if isinstance(error, ConnectionError) or type(error).__name__ in _HUNG_UP:
        return Trouble(HUNG_UP, f"does it restart, or is it no HTTP server? For TLS: {words.tls}")
    return None


def _by_proxy(found: Trouble) -> Trouble:
    return Trouble(f"the proxy in between: {found.what}", f"{found.hint}, or set NO_PROXY for this address")


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
