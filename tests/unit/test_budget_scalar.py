"""A budget's query may be plain arithmetic, which Prometheus answers with a scalar and not with a series."""

from __future__ import annotations

import asyncio
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.burn import Spending
from gopub.health.config import BudgetTarget

NOON = 1_700_000_000.0


class Scalar(BaseHTTPRequestHandler):
    """Answers whatever is asked as Prometheus answers `scalar(…)`."""

    def do_GET(self) -> None:
        body = b'{"status": "success", "data": {"resultType": "scalar", "result": [1700000000, "0.25"]}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_scalar_is_one_number() -> None:
    server = HTTPServer(("127.0.0.1", 0), Scalar)
    Thread(target=server.serve_forever, daemon=True).start()
    source = PrometheusSource(f"http://127.0.0.1:{server.server_port}", timeout=30)
    wanted = BudgetTarget(freeze_below=0.2, query="scalar(left)")
    try:
        found = asyncio.run(source.spending("shop", "prod", None, wanted, [], NOON))
    finally:
        source.close()
        server.shutdown()
        server.server_close()
    assert isinstance(found, Spending), found
    assert found.told == 0.25
