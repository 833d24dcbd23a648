"""A command that starts a run on a server leaves no connection behind."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed

from gopub.cli.engine import run_deployment
from gopub.errors import GopubError

FLOW = uuid4()
CLOSED_WITHIN = 60.0


class Server(ThreadingHTTPServer):
    """Answers what starting a run and waiting for its end asks of Prefect; knows its open connections."""

    daemon_threads = True

    def __init__(self, state) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.open: set[int] = set()
        self.seen = 0
        self.run = FlowRun(flow_id=FLOW, name="brave-otter", state=state).model_dump(mode="json")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api"


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.seen += 1
        self.server.open.add(id(self))

    def finish(self) -> None:
        super().finish()
        self.server.open.discard(id(self))

    def do_GET(self) -> None:
        if "/deployments/" in self.path:
            found = DeploymentResponse(id=uuid4(), name="rollout", flow_id=FLOW).model_dump(mode="json")
            return self.answer(200, found)
        return self.answer(200, self.server.run) if "/flow_runs/" in self.path else self.answer(404, {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(201, self.server.run)

    def answer(self, code: int, found: object) -> None:
        body = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(state) -> Iterator[Server]:
    server = Server(state)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with temporary_settings({PREFECT_API_URL: server.url}):
            yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The garbage collector closes nothing by chance."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def closed(server: Server) -> bool:
    end = time.monotonic() + CLOSED_WITHIN
    while server.open and time.monotonic() < end:
        time.sleep(0.02)
    return not server.open


@pytest.mark.usefixtures("uncollected")
def test_each_connection_to_the_server_is_closed_when_the_run_is_over():
    with served(Completed(name="Promoted")) as server:
        assert run_deployment("rollout/rollout", {"env": "lab"}) == "Promoted"
        assert server.seen, "control: it was asked"
        assert closed(server)


@pytest.mark.usefixtures("uncollected")
def test_and_where_the_run_failed():
    with served(Failed(message="no key")) as server:
        with pytest.raises(GopubError, match="GP949 the run brave-otter of rollout/rollout ended as Failed: no key"):
            run_deployment("rollout/rollout", {"env": "lab"})
        assert closed(server)
