"""Prometheus behind TLS and a login, on a real server: what is sent, what is trusted, and the words of each failure."""

from __future__ import annotations

import base64
import logging
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from gopub import connecting
from gopub.errors import UsageError
from gopub.health.backends.prometheus import Prometheus
from gopub.health.samples import NoData
from gopub.telemetry import REDACTOR
from tests.contracts.tls_server import HERE, NOTHING, Answer, Authority, Server, serving
from tests.support.ports import free_port

ASKED = "is the edge scraped?"
"""The end of what a healthy server without series is told to be."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.new(tmp_path)


async def reason(url: str, **more: object) -> str:
    source = Prometheus.model_validate({"url": url, "timeout": "2s", **more}).open()
    found = await source.counters("hello", "prod", ("c" * 12,), 1_700_000_000.0)
    source.close()
    assert isinstance(found, NoData)
    return found.reason


def secure(server: Server, host: str = HERE) -> str:
    return f"https://{host}:{server.port}"


async def test_a_private_authority_is_trusted_by_its_file(authority: Authority) -> None:
    with serving(authority.sign(HERE)) as server:
        assert ASKED in await reason(secure(server), ca=authority.ca)


async def test_control_without_the_file_or_with_another_it_is_not(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority.new(tmp_path / "other", "other")
    with serving(authority.sign(HERE)) as server:
        for more in ({}, {"ca": other.ca}):
            said = await reason(secure(server), **more)
            assert connecting.UNKNOWN_CA in said
            assert "`ca: FILE.pem` in the connection" in said
            assert ASKED not in said
        assert not server.asked


async def test_an_expired_certificate_is_told_as_one(authority: Authority) -> None:
    with serving(authority.sign(HERE, since=-2, until=-1)) as server:
        assert connecting.EXPIRED in await reason(secure(server), ca=authority.ca)


async def test_one_of_tomorrow_is_told_as_one(authority: Authority) -> None:
    with serving(authority.sign(HERE, since=1, until=2)) as server:
        assert connecting.TOO_EARLY in await reason(secure(server), ca=authority.ca)


@pytest.mark.parametrize("names", [("metrics.corp",), ("127.0.0.9",)])
async def test_a_certificate_for_other_names_is_told_as_one(authority: Authority, names: tuple[str, ...]) -> None:
    with serving(authority.sign(*names)) as server:
        said = await reason(secure(server), ca=authority.ca)
        assert connecting.OTHER_NAMES in said
        assert HERE in said


async def test_plain_http_where_tls_was_asked_for(authority: Authority) -> None:
    with serving(None) as server:
        said = await reason(secure(server), ca=authority.ca)
        assert connecting.NO_TLS in said
        assert "http://" in said


@pytest.mark.parametrize(
    "body",
    [b"Client sent an HTTP request to an HTTPS server.\n", b"<h1>The plain HTTP request was sent to HTTPS port</h1>"],
    ids=["Go", "nginx"],
)
async def test_tls_where_plain_http_was_asked_for(body: bytes) -> None:
    with serving(None, lambda _path, _headers: (400, {}, body)) as server:
        said = await reason(f"http://{HERE}:{server.port}")
        assert connecting.WANTS_TLS in said
        assert "https://" in said


async def test_a_server_that_only_hangs_up_on_plain_http_is_told_with_tls_in_mind(authority: Authority) -> None:
    with serving(authority.sign(HERE)) as server:
        said = await reason(f"http://{HERE}:{server.port}")
        assert connecting.HUNG_UP in said or connecting.WANTS_TLS in said
        assert "https://" in said


async def test_refused_is_no_trouble_with_tls(authority: Authority) -> None:
    said = await reason(f"https://{HERE}:{free_port()}", ca=authority.ca)
    assert connecting.REFUSED in said
    assert "certificate" not in said


async def test_no_route_and_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(*_: object, **__: object) -> None:
        raise OSError(113, "No route to host")

    def no_name(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", no_route)
        assert connecting.NO_ROUTE in await reason("http://192.0.2.1:9090")
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", no_name)
        assert connecting.NO_NAME in await reason("http://metrics.invalid:9090")


@pytest.mark.parametrize(("status", "says"), [(401, "does not know who asks"), (403, "may not")])
async def test_a_refused_login_is_told_by_its_code(status: int, says: str) -> None:
    with serving(None, lambda _path, _headers: (status, {}, b"no")) as server:
        said = await reason(f"http://{HERE}:{server.port}")
        assert f"answers {status}: " in said
        assert says in said
        assert "no connection" not in said


def guarded(path: str, headers: dict[str, str]) -> Answer:
    right = base64.b64encode("gopub:pass wörd: 1".encode()).decode()
    known = headers.get("authorization") == f"Basic {right}" and headers.get("x-api-token") == "key-of-the-tests"
    return (200, {}, NOTHING) if known and headers.get("x-scope-orgid") == "trade" else (401, {}, path.encode())


async def test_basic_auth_and_headers_are_sent_and_stand_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GOPUB_TEST_PASSWORD", "pass wörd: 1")
    (tmp_path / "token").write_text("key-of-the-tests\n")
    (tmp_path / "netrc").write_text(f"machine {HERE} login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    given = {
        "user": "gopub",
        "password": {"env": "GOPUB_TEST_PASSWORD"},
        "headers": {"X-Scope-OrgID": "trade"},
        "secret_headers": {"X-Api-Token": {"file": str(tmp_path / "token")}},
    }
    with serving(None, guarded) as server:
        url = f"http://{HERE}:{server.port}"
        assert ASKED in await reason(url, **given)
        assert "answers 401" in await reason(url, **(given | {"user": "somebody"})), "the server looks"
    made = Prometheus.model_validate({"url": url, **given})
    shown = f"{made!r} {made.model_dump_json()} {caplog.text}"
    sent = base64.b64encode("gopub:pass wörd: 1".encode()).decode()
    assert not [secret for secret in ("wörd", "key-of-the-tests", sent) if secret in shown]
    assert REDACTOR.clean(f"{sent} key-of-the-tests pass wörd: 1") == " ".join(["*" * 10] * 3)


async def test_a_redirect_to_another_server_takes_no_secret_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_TEST_TOKEN", "token-of-the-tests")
    given = {"token": {"env": "GOPUB_TEST_TOKEN"}, "secret_headers": {"X-Api-Token": {"env": "GOPUB_TEST_TOKEN"}}}
    with serving(None) as other:
        there = {"Location": f"http://localhost:{other.port}/api/v1/query"}
        with serving(None, lambda _path, _headers: (302, there, b"")) as server:
            await reason(f"http://{HERE}:{server.port}", **given)
            assert server.asked[0]["authorization"] == "Bearer token-of-the-tests"
            assert server.asked[0]["x-api-token"] == "token-of-the-tests"
        assert other.asked
        assert "token-of-the-tests" not in str(other.asked)


@pytest.mark.parametrize("text", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_without_a_certificate_is_refused_before_anything_is_asked(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(text)
    for ca, says in ((tmp_path / "ca.pem", "holds no certificate"), (tmp_path / "none.pem", "no such file")):
        with pytest.raises(UsageError, match=says) as caught:
            Prometheus.model_validate({"url": "https://metrics.corp", "ca": ca}).open()
        assert caught.value.code == "GP145"


def test_a_secret_with_a_line_break_starts_no_header_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_TEST_TOKEN", "first-line\nX-Other: second")
    with pytest.raises(UsageError, match="has a line break") as caught:
        Prometheus.model_validate({"url": "http://h", "token": {"env": "GOPUB_TEST_TOKEN"}}).open()
    assert caught.value.code == "GP129"
    assert "first-line" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"user": "gopub"}, "user and password go together"),
        ({"password": {"env": "X"}}, "user and password go together"),
        ({"user": "gopub", "password": {"env": "X"}, "token": {"env": "Y"}}, "authorization is given twice"),
        ({"token": {"env": "X"}, "secret_headers": {"AUTHORIZATION": {"env": "Y"}}}, "authorization is given twice"),
        ({"headers": {"Authorization": "Bearer x"}}, "authorization holds a secret"),
        ({"headers": {"X-A": "1"}, "secret_headers": {"x-a": {"env": "Y"}}}, "x-a is given twice"),
        ({"password": "open"}, "a secret never stands in a file"),
    ],
)
def test_a_login_that_cannot_be_meant_is_refused(more: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Prometheus.model_validate({"url": "http://h", **more})
