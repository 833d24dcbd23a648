"""Blocks: the fields of their kinds and nothing more, secrets masked, and the same connection in the end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    temporary_settings,
)
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError

import blocks
from blocks.connection import ConnectionBlock
from blocks.resolve import ServerBlocks
from gopub.errors import GopubError
from gopub.spec.kinds import Connection, FleetKind, SecretRef
from gopub.spec.references import Reference
from gopub.telemetry import REDACTOR
from gopub.usecases.refuse_order_key import refuse_order_key
from gopub.wiring.backends import BACKENDS
from tasks.elsewhere import Elsewhere

NEEDED: dict[str, dict[str, Any]] = {
    "directory": {"path": "/srv/artifacts"},
    "s3": {"endpoint": "s3.example:9000", "bucket": "releases"},
    "inventory": {"path": "/srv/hosts.ini"},
    "nginx": {"inventory": "prod", "hosts": "role=edge"},
    "prometheus": {"url": "http://prometheus.example:9090"},
    "edges": {},
    "journald": {},
    "logfile": {"path": "/var/log/{app}/app.log"},
    "otlp": {"path": "/var/log/otelcol/logs.json"},
    "ssh": {},
    "key": {"private": "-----BEGIN PRIVATE KEY-----", "public": "/etc/gopub/release.pub"},
    "sigstore": {"trust": "/etc/gopub/sigstore.json"},
    "alertmanager": {"url": "http://alertmanager.example:9093"},
    "apprise": {"url": "json://hooks.example/token"},
}


class TestAsPrefectAsks(BlockStandardTestSuite):
    """Prefect's own suite: description, documentation, described fields, an example that loads the Block."""

    @pytest.fixture(params=blocks.BLOCKS, ids=lambda block: block.__name__)
    def block(self, request: pytest.FixtureRequest) -> Any:
        """Every Block in turn."""
        return request.param

    def test_has_a_valid_image(self, block: Any) -> None:
        """The suite fetches a picture from the network; ours have none."""
        assert block._logo_url is None


def kind_of(block: type[ConnectionBlock]) -> str:
    return str(block.connection.model_fields["kind"].default)


def test_every_kind_has_one_block() -> None:
    assert [kind_of(block) for block in blocks.BLOCKS] == list(BACKENDS.ours())
    assert [block._block_type_slug for block in blocks.BLOCKS] == [f"gopub-{kind}" for kind in BACKENDS.ours()]


@pytest.mark.parametrize("block", blocks.BLOCKS, ids=lambda block: block.__name__)
def test_a_block_has_the_fields_of_its_kind(block: type[ConnectionBlock]) -> None:
    assert set(block.model_fields) == set(block.connection.model_fields) - {"kind"}
    for name, field in block.model_fields.items():
        is_secret = SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
        kinds = block.connection.model_fields[name].annotation
        assert is_secret == (SecretRef in (kinds, *getattr(kinds, "__args__", ())))


@pytest.mark.parametrize("block", blocks.BLOCKS, ids=lambda block: block.__name__)
def test_a_block_becomes_the_connection_of_the_file(block: type[ConnectionBlock]) -> None:
    needed = NEEDED[kind_of(block)]
    made = block(**needed).to_connection()
    assert type(made) is block.connection
    if kind_of(block) not in ("key", "apprise"):
        assert made == block.connection.model_validate(needed)


def test_a_secret_is_masked_until_it_is_revealed_and_then_redacted() -> None:
    block = blocks.S3Store(**NEEDED["s3"], access_key=SecretStr("AKIA-EXAMPLE"), secret_key=SecretStr("wJalr-EXAMPLE"))
    made: Any = block.to_connection()
    assert "EXAMPLE" not in f"{block} {made!r} {made.model_dump()} {made.model_dump_json()}"
    assert (made.access_key.reveal(), made.secret_key.reveal()) == ("AKIA-EXAMPLE", "wJalr-EXAMPLE")
    assert "EXAMPLE" not in REDACTOR.clean("got wJalr-EXAMPLE and AKIA-EXAMPLE")


def test_keys_that_a_block_leaves_out_come_from_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-worker")
    made: Any = blocks.S3Store(**NEEDED["s3"]).to_connection()
    assert made.secret_key.reveal() == "of-the-worker"


def test_a_value_that_the_kind_refuses_is_refused() -> None:
    wrong: Connection | None = None
    with pytest.raises(ValidationError, match="is not an endpoint"):
        wrong = blocks.S3Store(endpoint="https://s3.example/", bucket="b").to_connection()
    assert wrong is None


HEAVY = """
import sys
import {module}
print(*sorted({{"blocks", "minio", "requests", "asyncssh"}} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("flows.recover", []),
        ("flows.promote", []),
        ("flows.deploy", []),
        ("blocks.resolve", ["asyncssh", "blocks", "minio", "requests"]),
    ],
)
def test_a_flow_comes_without_the_backends_until_a_name_is_in_no_file(module: str, imported: list[str]) -> None:
    """A worker starts a process for each run, two of them every minute; the last one is the control."""
    code = HEAVY.format(module=module)
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert done.stdout.split() == imported


def test_its_place_is_named_as_the_servers_blocks_name_it() -> None:
    with temporary_settings({PREFECT_API_URL: "http://prefect.example/api"}):
        assert Elsewhere().words() == "the Prefect Blocks of http://prefect.example/api"


class Answering(BaseHTTPRequestHandler):
    """Who answers at the address of the server."""

    said: ClassVar[tuple[int, str]] = (404, "")

    def do_GET(self) -> None:
        status, text = self.said
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is told."""


SSH = Reference("ssh", (FleetKind,))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ((404, '{"detail": "not found"}'), ""),
        ((200, "<html>please log in</html>"), "GP929"),
        ((200, '{"id": 7}'), "GP929"),
        ((200, "[]"), "GP929"),
        ((403, "no"), "GP928"),
    ],
    ids=["none", "page", "other", "list", "refused"],
)
async def test_an_answer_that_cannot_be_read_is_no_server_that_is_away(
    address: str, said: tuple[int, str], code: str, tmp_path: Path
) -> None:
    Answering.said = said
    health = 'health: "http://127.0.0.1:8080/healthz"'
    (tmp_path / "gopub.yaml").write_text(f"app: a\nenvironments: {{prod: {{inventory: i, hosts: x, {health}}}}}\n")
    with temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0}):
        if not code:
            assert await ServerBlocks().find(SSH) is None, "control: there is no such Block"
            return
        with pytest.raises(GopubError) as caught:
            await ServerBlocks().find(SSH)
        assert caught.value.code == code, caught.value.problem
        assert address in caught.value.problem
        if code == "GP928":  # the rollout asks again
            await refuse_order_key(str(tmp_path), "prod", ServerBlocks())
            return
        with pytest.raises(GopubError, match="GP929"):
            await refuse_order_key(str(tmp_path), "prod", ServerBlocks())


async def test_where_no_server_is_set_none_is_asked() -> None:
    settings = {PREFECT_API_URL: None, PREFECT_SERVER_EPHEMERAL_ENABLED: False}
    with temporary_settings(settings), pytest.raises(GopubError, match=r"GP928 .*: none is set \(PREFECT_API_URL\)"):
        await ServerBlocks().find(SSH)
