"""A double of Consul's KV: what its manual says of GET with recurse, index and wait, of PUT with cas, and of tokens.

Consul itself is not to be had here. What this answers was written from the documentation of blocking queries: an answer
bears X-Consul-Index; a question with that index waits until the index of what it asks for is over, or `wait` and up to
a sixteenth of it have passed; the index may go backwards when the state is restored.
"""

from __future__ import annotations

import base64
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Entry:
    value: bytes
    created: int
    modified: int


@dataclass
class Consul:
    """The state, and faults that a test asks for."""

    entries: dict[str, Entry] = field(default_factory=dict)
    index: int = 1
    says_index: bool = True
    leaderless: bool = False
    frozen: bool = False
    token: str = ""
    asked: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def put(self, key: str, value: bytes, cas: int | None = None) -> bool:
        with self.changed:
            before = self.entries.get(key)
            if cas is not None and cas != (before.modified if before else 0):
                return False
            self.index += 1
            self.entries[key] = Entry(value, before.created if before else self.index, self.index)
            self.changed.notify_all()
            return True

    def delete(self, key: str) -> None:
        with self.changed:
            self.entries.pop(key, None)
            self.index += 1
            self.changed.notify_all()

    def restore(self, index: int) -> None:
        """Another state, of a lower index, with nothing in it."""
        with self.changed:
            self.entries.clear()
            self.index = index
            self.changed.notify_all()

    def under(self, prefix: str) -> list[str]:
        return sorted(key for key in self.entries if key.startswith(prefix))

    def waited(self, index: int, seconds: float) -> None:
        """Until the index is another one than asked with, or the time is over."""
        with self.changed:
            self.changed.wait_for(lambda: self.index != index, seconds + random.uniform(0, seconds / 16))


class Handler(BaseHTTPRequestHandler):
    consul: Consul
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        """Say nothing."""

    def do_GET(self) -> None:
        if not self._may():
            return
        path, query = self._asked()
        index, wait = int(query.get("index", "0")), float(query.get("wait", "300s").removesuffix("s"))
        if index:
            self.consul.waited(index, wait)
        found = self.consul.under(path) if "recurse" in query else [path] if path in self.consul.entries else []
        self._say(200 if found else 404, [self._entry(key) for key in found] if found else None)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self._may():
            return
        path, query = self._asked()
        if len(body) > 512 * 1024:
            self._say(413, None)
            return
        self._say(200, self.consul.put(path, body, int(query["cas"]) if "cas" in query else None))

    def _may(self) -> bool:
        self.consul.asked += 1
        while self.consul.frozen:
            threading.Event().wait(0.05)
        if self.consul.leaderless:
            self._say(500, None, b"No cluster leader")
            return False
        if self.consul.token and self.headers.get("X-Consul-Token") != self.consul.token:
            self._say(403, None, b"Permission denied: token with AccessorID 'x' lacks permission 'key:write'")
            return False
        return True

    def _asked(self) -> tuple[str, dict[str, str]]:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        return url.path.removeprefix("/v1/kv/"), query

    def _entry(self, key: str) -> dict[str, object]:
        one = self.consul.entries[key]
        value = base64.b64encode(one.value).decode() if one.value else None
        return {"LockIndex": 0, "Key": key, "Flags": 0, "Value": value, "CreateIndex": one.created,
                "ModifyIndex": one.modified}  # fmt: skip

    def _say(self, status: int, found: object, text: bytes = b"") -> None:
        body = text if found is None else json.dumps(found, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if self.consul.says_index:
            self.send_header("X-Consul-Index", str(self.consul.index))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that left is none."""


@contextmanager
def running_consul() -> Iterator[Consul]:
    """Started, and ended at the end."""
    consul = Consul()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"consul": consul}))
    consul.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield consul
    finally:
        consul.frozen = False
        with consul.changed:
            consul.index += 1
            consul.changed.notify_all()
        server.shutdown()
        server.server_close()
        thread.join()
