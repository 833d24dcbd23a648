"""Stand-ins for those who carry messages: one HTTP server that is a proxy as well, and one that takes mail.

Services whose addresses are fixed (Slack, DingTalk, Feishu, WeCom) are met at the proxy: it ends their TLS with a
certificate of the tests' own authority.
"""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any

HERE = "127.0.0.1"


@dataclass
class Post:
    """One request as it came."""

    host: str
    path: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Room:
    """Where it listens, what it answers with, and what came."""

    port: int = 0
    status: int = 200
    answer: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hangs: threading.Event | None = None
    closes: bool = False
    pours: int = 0
    """So many blocks of a mebibyte come after the answer; who stops reading is left alone."""
    poured: int = 0
    came: list[Post] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{HERE}:{self.port}"


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def room(files: tuple[Path, Path] | None = None) -> Iterator[Room]:
    """An HTTP server on a free port; with a certificate and its key it is a proxy to whoever they name, too."""
    found = Room()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if files:
        context.load_cert_chain(*files)

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            inside = context.wrap_socket(self.connection, server_side=True)
            Handler(inside, self.client_address, self.server)
            inside.close()
            self.close_connection = True

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            found.came.append(Post(self.headers.get("Host", ""), self.path, self.rfile.read(length)))
            if found.hangs:
                found.hangs.wait(120)
            if found.closes:
                self.close_connection = True
                return
            self.send_response(found.status)
            for name, text in {"Content-Length": str(len(found.answer)), **found.headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(found.answer)
            _pour(found, self.wfile)

        def log_message(self, *_: object) -> None:
            pass

    with _Quiet((HERE, 0), Handler) as server:
        found.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield found
        finally:
            if found.hangs:
                found.hangs.set()
            server.shutdown()


def _pour(found: Room, file: BufferedIOBase) -> None:
    for _ in range(found.pours):
        file.write(b" " * (1 << 20))
        found.poured += 1


@dataclass
class Postbox:
    """Where it listens, who logged in, and the mails that came; ``refuses`` is what it says to a mail instead."""

    port: int = 0
    refuses: str = ""
    logins: list[str] = field(default_factory=list)
    mails: list[email.message.EmailMessage] = field(default_factory=list)


_SAID = {"EHLO": "250-postbox\r\n250 AUTH PLAIN", "AUTH": "235 welcome", "QUIT": "221 bye"}


class _Mail(socketserver.StreamRequestHandler):
    server: _MailServer

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.say("220 postbox")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "AUTH":
                self.server.box.logins.append(line)
            if verb == "DATA":
                self.data()
            else:
                self.say(_SAID.get(verb, "250 ok"))
            if verb == "QUIT":
                return

    def data(self) -> None:
        self.say("354 go on")
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        if not self.server.box.refuses:
            self.server.box.mails.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))  # type: ignore[arg-type]
        self.say(self.server.box.refuses or "250 taken")


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    box: Postbox

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def postbox() -> Iterator[Postbox]:
    """A mail server on a free port, without TLS."""
    with _MailServer((HERE, 0), _Mail) as server:
        server.box = Postbox(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.box
        finally:
            server.shutdown()
