"""What listens on this machine is never asked through a proxy; everything else is, as the user set it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.request import proxy_bypass

import httpx
import pytest
import requests
from requests.utils import should_bypass_proxies

from gopub import process
from gopub.process import NEVER_BY_PROXY, base_environment, bypass_proxies

NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody runs: whatever goes through it fails."""


@pytest.fixture(autouse=True)
def _behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
        monkeypatch.setenv(name.lower(), NOWHERE)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


class Yes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Yes)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_every_client_reaches_loopback_directly_and_only_after_it_was_said(served: str, monkeypatch) -> None:
    with pytest.raises(httpx.ConnectError):  # control: the proxy is heeded where nothing forbids it
        httpx.get(served)
    with pytest.raises(requests.ConnectionError):
        requests.get(served, timeout=10)
    for name, value in environment_after({}).items():
        monkeypatch.setenv(name, value)
    assert httpx.get(served).status_code == 204
    assert requests.get(served, timeout=10).status_code == 204
    assert proxy_bypass(served.split("/")[2]), "what the S3 client asks"


def environment_after(before: dict[str, str], *hosts: str) -> dict[str, str]:
    after = dict(before)
    bypass_proxies(after, *hosts)
    return after


def test_what_the_user_excepted_stays_and_nothing_stands_twice() -> None:
    after = environment_after({"NO_PROXY": "git.corp, localhost"}, "198.18.0.1")
    assert after["NO_PROXY"] == after["no_proxy"] == "git.corp,localhost,127.0.0.1,::1,198.18.0.0/15,198.18.0.1"
    assert environment_after(after, "198.18.0.1") == after


def test_who_excepts_everything_excepts_loopback_too() -> None:
    assert environment_after({"NO_PROXY": "*", "no_proxy": "*"}) == {"NO_PROXY": "*", "no_proxy": "*"}


def test_other_hosts_still_go_through_the_proxy(monkeypatch) -> None:
    bypass_proxies(os.environ)
    try:
        assert not should_bypass_proxies("http://192.0.2.7/", None)
        assert should_bypass_proxies("http://198.18.0.1:9090/", None), "the lab's Prometheus"
    finally:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name)


def test_programs_that_gopub_starts_are_told_as_well() -> None:
    for name in ("NO_PROXY", "no_proxy"):
        assert base_environment()[name] == ",".join(NEVER_BY_PROXY)


def test_a_socks_proxy_is_for_the_programs_we_start_and_no_client_of_ours_falls_over_it(
    served: str, monkeypatch
) -> None:
    monkeypatch.setattr(process, "_SET_ASIDE", {})
    monkeypatch.setattr(process, "find_spec", lambda _: None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name)
    for name in ("ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    bypass_proxies(os.environ)
    with pytest.raises(ImportError, match="SOCKS"):  # control: though loopback is never asked through it
        httpx.get(served)
    process.set_socks_aside(os.environ)
    assert httpx.get(served).status_code == 204
    assert "ALL_PROXY" not in os.environ
    assert base_environment()["ALL_PROXY"] == "socks5://127.0.0.1:9"


def test_another_proxy_stays(monkeypatch) -> None:
    monkeypatch.setattr(process, "_SET_ASIDE", {})
    monkeypatch.setattr(process, "find_spec", lambda _: None)
    process.set_socks_aside(os.environ)
    assert os.environ["ALL_PROXY"] == NOWHERE
    assert process._SET_ASIDE == {}
