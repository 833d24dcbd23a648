"""The two services that are ours, as processes: ``python -m gopub.lab.sigstore.serving oidc|ctlog FOLDER``."""

from __future__ import annotations

import base64
import binascii
import json
import sys
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

from gopub.canon import Json
from gopub.lab.sigstore import ctlog, keys, oidc
from gopub.lab.sigstore.ground import load
from gopub.lab.sigstore.layout import ADDRESS, Stack

READY = "/ready"
_MOST = 1 << 20
Answer = Callable[[bytes], Json]
"""From a request's body to what is said; a ValueError is the asker's fault."""


def routes(service: str, stack: Stack) -> Mapping[tuple[str, str], Answer]:
    """What a service answers, by method and path."""
    ready: dict[tuple[str, str], Answer] = {("GET", READY): lambda _: {"ready": True}}
    if service == "oidc":
        about = oidc.discovery(stack.issuer)
        listed = oidc.keys(keys.read(stack, service, keys.Rsa).public_key())
        return {**ready, ("GET", oidc.DISCOVERY): lambda _: about, ("GET", oidc.KEYS): lambda _: listed}
    if service == "ctlog":
        signing, accepted = keys.read(stack, service, keys.P256), keys.chain_of(stack, "fulcio")

        def add(body: bytes) -> Json:
            now = time.time_ns() // 1_000_000
            return ctlog.promise(_chain(body), key=signing, accepted=accepted, now_ms=now)

        return {**ready, ("POST", ctlog.ADD): add}
    raise SystemExit(f"no service of this module: {service}")


def _chain(body: bytes) -> list[bytes]:
    try:
        return [base64.b64decode(part, validate=True) for part in json.loads(body)["chain"]]
    except (KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise ValueError("no chain of certificates") from error


def handler(answers: Mapping[tuple[str, str], Answer]) -> type[BaseHTTPRequestHandler]:
    """Whoever reads requests and writes ``answers`` as JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30  # whoever connects and says nothing does not keep a thread for ever

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            size = self.headers.get("Content-Length", "")
            if not (size.isdecimal() and int(size) <= _MOST):
                self.close_connection = True
                return self._say(413, {"error": "too long, or of no known length"})
            return self._answer(self.rfile.read(int(size)))

        def _answer(self, body: bytes) -> None:
            answer = answers.get((self.command, self.path))
            if answer is None:
                return self._say(404, {"error": "there is nothing here"})
            try:
                return self._say(200, answer(body))
            except ValueError as error:
                return self._say(400, {"error": str(error)})

        def _say(self, status: int, what: Json) -> None:
            text = json.dumps(what).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    return Handler


class Server(ThreadingHTTPServer):
    """One that asks no name server what it is called, and lets many wait."""

    daemon_threads = True
    request_queue_size = 128

    def server_bind(self) -> None:
        """Bind, and no more: the parent looks up the name of the address, which takes seconds where nobody knows it."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])


def main(service: str, folder: Path) -> None:
    """Serve until a signal ends the process."""
    stack = load(folder)
    if stack is None:
        raise SystemExit(f"no stack lies in {folder}")
    Server((ADDRESS, stack.port(service)), handler(routes(service, stack))).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
