"""A service of a Sigstore that does what a broken one does; all others are the real ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.sigstore_stack import SigstoreStack

URLS = {"fulcio": "caUrls", "rekor": "rekorTlogUrls", "tsa": "tsaUrls"}
PAGE = b"<html><title>Please log in</title></html>"


def led_to(stack: SigstoreStack, service: str, url: str) -> bytes:
    """The client trust config with another address for a service."""
    config = json.loads(stack.trust.read_bytes())
    config["signingConfig"][URLS[service]][0]["url"] = url
    return json.dumps(config).encode()


def trusting(stack: SigstoreStack, part: str, root: dict[str, Any]) -> bytes:
    """The client trust config with a part of another trusted root."""
    config = json.loads(stack.trust.read_bytes())
    config["trustedRoot"][part] = root[part]
    return json.dumps(config).encode()


@dataclass
class Broken:
    """Answers each POST in its way, and counts them."""

    how: str
    real: str = ""
    asked: int = 0
    seen: list[str] = field(default_factory=list)
    url: str = ""
    three: threading.Barrier = field(default_factory=lambda: threading.Barrier(3))
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One answer."""
        self.asked += 1
        self.seen.append(handler.headers.get("Authorization", ""))
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if self.how == "together 3":
            self.three.wait(60)  # raises where not all three come
        if self.how == "together 3" or (self.how == "503 once" and self.asked > 1):
            return self._passed_on(handler, body)
        getattr(self, f"_{self.how.partition(' ')[0]}")(handler)
        return None

    def granted(self, handler: BaseHTTPRequestHandler) -> None:
        """How GitHub gives a job its token; ``real`` is the token here."""
        self.asked += 1
        self.seen.append(handler.headers.get("Authorization", ""))
        body = json.dumps({"value": self.real}).encode()
        _say(handler, 200 if self.how == "grants" else 403, body if self.how == "grants" else b"no")

    def _500(self, handler: BaseHTTPRequestHandler) -> None:
        _say(handler, 500, b'{"message": "no room on the disk"}')

    def _503(self, handler: BaseHTTPRequestHandler) -> None:
        _say(handler, 503, b"")

    def _404(self, handler: BaseHTTPRequestHandler) -> None:
        _say(handler, 404, PAGE)

    def _page(self, handler: BaseHTTPRequestHandler) -> None:
        _say(handler, 200, PAGE)

    def _list(self, handler: BaseHTTPRequestHandler) -> None:
        _say(handler, 201, b"[]")

    def _redirect(self, handler: BaseHTTPRequestHandler) -> None:
        _say(handler, 307, b"", Location=f"{self.url}/elsewhere")

    def _huge(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not self.over.is_set():
            handler.wfile.write(b" " * 65536)

    def _silent(self, _: BaseHTTPRequestHandler) -> None:
        self.over.wait()

    def _drips(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not self.over.wait(0.05):
            handler.wfile.write(b" ")

    def _hangs(self, handler: BaseHTTPRequestHandler) -> None:
        handler.connection.close()

    def _passed_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        kept = {
            name: handler.headers[name]
            for name in ("Content-Type", "Accept", "Authorization")
            if name in handler.headers
        }
        told = httpx.post(self.real + handler.path, content=body, headers=kept, timeout=60, trust_env=False)
        _say(handler, told.status_code, told.content)


def _say(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def broken(how: str, real: str = "") -> Iterator[Broken]:
    """A service that listens; ``real`` is where the one it stands for is."""
    made = Broken(how, real)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.granted(self)

        def do_POST(self) -> None:
            try:
                made.answer(self)
            except (BrokenPipeError, ConnectionResetError):  # whoever asked has had enough
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
