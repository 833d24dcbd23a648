"""The health check of gopub.yaml as a host carries it out: its Host header, and which answers mean well."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gopub.errors import ErrorGroup, SpecError
from gopub.spec.health import HealthCheck
from gopub.spec.loader import parse_spec

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
HARNESS = """
bad='' why='' patience=5
finish() { echo "$2 $3"; exit 1; }
while IFS= read -r line; do take_line "$line"; done
look_health
echo "$c_health $bad $why"
"""
SPEC = (
    "app: hello\nenvironments: {{lab: {{inventory: h.ini, hosts: a=b, health: {{http: 'http://127.0.0.1:1/', {}}}}}}}\n"
)


@contextmanager
def by_name(name: str, code: int, other: int = 404, header: str = "Host", wanted: str = "") -> Iterator[str]:
    """Answers ``code`` to who asks for that name (or with that header), ``other`` to everybody else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code if self.headers.get_all(header) == [wanted or name] else other)
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/login")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/healthz"
        server.shutdown()


def asked(check: HealthCheck, more: str = "") -> str:
    """What the host program makes of a check, told in the words of an order."""
    text = "".join((PROGRAM / part).read_text() for part in ("base.sh", "order.sh", "verify.sh")) + HARNESS
    order = "".join(f"arg.{name}={value}\n" for name, value in check.orders.items()) + more
    shell = shutil.which("dash") or "/bin/sh"
    ran = subprocess.run((shell, "-c", text), input=order, capture_output=True, text=True, check=False)
    assert not ran.stderr, ran.stderr
    return ran.stdout.strip()


def test_a_check_is_in_the_trace_of_its_order() -> None:
    said = f"00-{'ab' * 16}-{'cd' * 8}-01"
    with by_name("orders.example", 204, header="traceparent", wanted=said) as url:
        assert asked(check(url), f"trace={said}\n") == "204"
        assert asked(check(url)).startswith("404"), "control: an order without one"


def check(url: str, **more: object) -> HealthCheck:
    return HealthCheck.model_validate({"http": url, **more})


def test_a_service_that_answers_by_name_is_asked_by_it() -> None:
    with by_name("orders.example:8443", 204) as url:
        assert asked(check(url, host="orders.example:8443")) == "204"
        assert asked(check(url)) == f"404 GP446 {url} answers 404", "control: without the header it is ill"
        said = asked(check(url, host="other.example"))
        assert said == f"404 GP446 {url} answers 404 to other.example"


@pytest.mark.parametrize(
    ("accept", "code", "well"),
    [
        (["2xx"], 200, True), (["2xx"], 299, True), (["2xx"], 302, False), (["2xx"], 401, False),
        ([401], 401, True), ([401], 200, False), (["2xx", 401], 200, True), (["2xx", 401], 403, False),
        (["3xx"], 302, True), (["4xx"], 404, True), (["4xx"], 500, False), ([200, 204], 204, True),
    ],
)  # fmt: skip
def test_the_accepted_codes_mean_well_and_no_others(accept: list[object], code: int, well: bool) -> None:
    with by_name("", code, other=code) as url:
        said = asked(check(url, accept=accept))
    if well:
        assert said == str(code)
    else:
        unusual = "" if accept == ["2xx"] else f", not {','.join(map(str, accept))}"
        assert said == f"{code} GP446 {url} answers {code}{unusual}"


def test_nobody_who_answers_is_well_by_no_code() -> None:
    assert "GP446 no health answer from http://127.0.0.1:1/" in asked(check("http://127.0.0.1:1/", accept=["4xx"]))


def test_what_is_usual_is_said_as_before() -> None:
    """An order without the new words is understood by every program."""
    assert check("http://h:1/").orders == {"health": "http://h:1/"}
    assert check("http://h:1/", host="a", accept=["2xx", "2xx", 302]).orders == {
        "health": "http://h:1/",
        "health_host": "a",
        "health_accept": "2xx,302",
    }


@pytest.mark.parametrize("host", ['a"b', "a b", "a/b", "a\\b", "user@a", "a:", "a:b", "", "[::1", "a\nb"])
def test_a_host_that_could_be_more_than_one_is_refused_twice(host: str) -> None:
    with pytest.raises((SpecError, ErrorGroup)):
        parse_spec(SPEC.format(f"host: {host!r}"), "gopub.yaml")


@pytest.mark.parametrize("host", ['a"b', "a b", "a\\b", "a;b"])
def test_the_host_program_trusts_no_host_either(host: str) -> None:
    made = HealthCheck.model_construct(http="http://127.0.0.1:1/", host=host, accept=("2xx",))
    assert asked(made) == "GP430 the health check's host has a character that is not allowed"


@pytest.mark.parametrize("accept", ["[5xx]", "[503]", "[100]", "[]", "['']", "['2xx,500']", "[1.5]", "[true]", "all"])
def test_codes_that_cannot_mean_well_are_refused(accept: str) -> None:
    with pytest.raises((SpecError, ErrorGroup)):
        parse_spec(SPEC.format(f"accept: {accept}"), "gopub.yaml")


def test_both_are_read_and_come_back_equal() -> None:
    spec = parse_spec(SPEC.format("host: '[::1]:80', accept: [2xx, 401]"), "gopub.yaml").spec
    health = spec.environments["lab"].health
    assert (health.host, health.accept) == ("[::1]:80", ("2xx", "401"))
    assert HealthCheck.model_validate(health.model_dump(mode="json")) == health
