"""What Go and git say when a release cannot be built, and the one error that people get of it."""

from __future__ import annotations

import pytest

from gopub import connecting
from gopub.build.complaints import is_for_cgo, said
from gopub.connecting import said_by_program

ONLY = "package example.org/a\n\timports example.org/c: build constraints exclude all Go files in /modules/c@v1"
PART = "# example.org/c\nc/d.go:3:24: undefined: foo"
LISTED = ("", "example.org/c\t/modules/c@v1", "example.org/other\t/modules/other")


@pytest.mark.parametrize(
    ("complaint", "says"),
    [
        ("main.go:8:12: pattern web/dist/*: no matching files found", "main.go:8 embeds web/dist/*"),
        ("ui/ui.go:9:12: pattern all:dist: no matching files found", "ui/ui.go:9 embeds all:dist"),
        (
            "# x\nmain.go:8:12: pattern dist: cannot embed directory dist: contains no embeddable files",
            "main.go:8 embeds dist",
        ),
    ],
)
def test_an_embed_of_what_git_does_not_have(complaint: str, says: str) -> None:
    error = said("linux/amd64", complaint)
    assert error.code == "GP228"
    assert says in error.problem
    assert complaint in error.problem, "Go's own words stay"
    assert "git add -f" in error.hint


@pytest.mark.parametrize("complaint", [ONLY, PART])
def test_a_package_that_needs_cgo_is_named(complaint: str) -> None:
    assert is_for_cgo(complaint)
    error = said("linux/amd64", complaint, LISTED)
    assert error.code == "GP229"
    assert "it needs cgo: example.org/c\n" in error.problem


@pytest.mark.parametrize(
    ("complaint", "listed"),
    [
        (ONLY, ()),  # files for Windows alone, say
        (ONLY.replace("c@v1", "c@v10"), LISTED),
        ("# example.org/a\nmain.go:3:24: undefined: foo", LISTED),  # its own mistake, beside a package with cgo
        ("# example.org/a\nmain.go:3:2: pattern is no word here", ()),
    ],
)
def test_control_other_mistakes_are_told_as_before(complaint: str, listed: tuple[str, ...]) -> None:
    error = said("linux/amd64", complaint, listed)
    assert (error.code, error.problem) == ("GP221", f"go build for linux/amd64 failed:\n{complaint}")


SAID = {
    'Get "https://p/x": tls: failed to verify certificate: x509: certificate signed by unknown authority': (
        connecting.UNKNOWN_CA
    ),
    "fatal: unable to access 'https://g/': SSL certificate problem: unable to get local issuer certificate": (
        connecting.UNKNOWN_CA
    ),
    "server certificate verification failed. CAfile: none CRLfile: none": connecting.UNKNOWN_CA,
    "x509: certificate has expired or is not yet valid: current time is later": connecting.EXPIRED,
    "x509: certificate is valid for a.corp, not b.corp": connecting.OTHER_NAMES,
    "http: server gave HTTP response to HTTPS client": connecting.NO_TLS,
    "dial tcp 127.0.0.1:1: connect: connection refused": connecting.REFUSED,
    "dial tcp 192.0.2.1:443: connect: no route to host": connecting.NO_ROUTE,
    "dial tcp: lookup proxy.invalid: no such host": connecting.NO_NAME,
    "net/http: TLS handshake timeout": connecting.LATE,
}


@pytest.mark.parametrize("text", SAID)
def test_what_programs_say_of_a_server_is_told_in_our_words(text: str) -> None:
    found = said_by_program(text)
    assert found is not None
    assert found.what == SAID[text]
    assert found.hint


@pytest.mark.parametrize("text", ["", "unknown revision v1.2.3", "reading https://p/x: 404 Not Found"])
def test_control_what_is_no_trouble_of_a_connection_is_none(text: str) -> None:
    assert said_by_program(text) is None
