"""Which declared endpoint a request is for: endpoints.lua under plain luajit, and the grammar that it shares."""

from __future__ import annotations

import itertools

import pytest

from gopub.spec.endpoints import hidden_by, pattern
from tests.unit.traffic_lua import lua

DECLARED = ["/checkout", "POST /orders/*", "/orders/*/items", "GET /orders/new", "/api/**", "/"]
ASKED = {
    ("GET", "/checkout"): 1,
    ("HEAD", "/checkout"): 1,
    ("OPTIONS", "/checkout/"): 1,
    ("GET", "/Checkout"): None,
    ("GET", "/checkout/x"): None,
    ("GET", "/checkouts"): None,
    ("GET", "/checkou"): None,
    ("POST", "/orders/7"): 2,
    ("POST", "/orders/7/"): 2,
    ("PUT", "/orders/7"): None,
    ("POST", "/orders"): None,
    ("POST", "/orders/"): None,
    ("POST", "/orders/new"): 2,
    ("GET", "/orders/new"): 4,
    ("HEAD", "/orders/new"): None,
    ("POST", "/orders/7/items"): 3,
    ("GET", "/orders//items"): None,
    ("GET", "/orders/*/items"): 3,
    ("GET", "/api"): 5,
    ("GET", "/api/"): 5,
    ("GET", "/api/a/b/c/d"): 5,
    ("GET", "/apis"): None,
    ("GET", "/"): 6,
    ("GET", "//"): 6,
    ("GET", ""): None,
    ("GET", "/ü"): None,
    ("POST", "/orders/ü\n\0\"'{}"): 2,
    ("GET", "/x" * 4000): None,
    ("GET", "/api" + "/x" * 4000): 5,
    ("post", "/orders/7"): None,
}


def found(patterns: list[str], asked: list[tuple[str, str]]) -> list[int | None]:
    return lua("endpoint", [{"patterns": patterns, "method": method, "path": path} for method, path in asked])


def test_the_first_that_fits_wins():
    said = found(DECLARED, list(ASKED))
    assert dict(zip(ASKED, said, strict=True)) == ASKED


def test_everything_fits_two_stars():
    assert found(["/**"], [("GET", "/"), ("GET", "/a"), ("PUT", "/a/b/"), ("GET", "")]) == [1, 1, 1, None]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a", "/a"),
        ("/a", "GET /a"),
        ("/*", "POST /a"),
        ("/a/**", "/a"),
        ("/a/**", "/a/*/b"),
        ("/a/**", "/a/b/**"),
        ("/*/**", "/a/**"),
        ("/**", "/"),
        ("GET /**", "GET /a"),
    ],
)
def test_one_hides_another(first, second):
    one, other = pattern(first), pattern(second)
    assert one and other
    assert hidden_by((one, other), 1) == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("GET /a", "/a"),
        ("GET /a", "POST /a"),
        ("/a", "/*"),
        ("/*", "/a/b"),
        ("/*", "/**"),
        ("/a/*/**", "/a/**"),
        ("/a/*", "/a/**"),
        ("/", "/*"),
        ("/a/b/c", "/a/b"),
    ],
)
def test_one_leaves_another_some(first, second):
    one, other = pattern(first), pattern(second)
    assert one and other
    assert hidden_by((one, other), 1) is None


def test_what_is_hidden_never_gets_a_request_and_all_else_does():
    texts = ["/", "/a", "/*", "/**", "/a/*", "/*/b", "/a/**", "/*/**", "/a/b", "GET /a", "POST /*", "GET /**"]
    paths = ["/" + "/".join(way) for size in range(4) for way in itertools.product("abc", repeat=size)]
    asked = [(method, path) for method in ("GET", "POST") for path in paths]
    pairs = [(one, other) for one, other in itertools.permutations(texts, 2)]
    inputs = [{"patterns": list(p), "method": m, "path": path} for p in pairs for m, path in asked]
    said = lua("endpoint", inputs)
    for at, (one, other) in enumerate(pairs):
        reached = 2 in said[at * len(asked) : (at + 1) * len(asked)]
        first, second = pattern(one), pattern(other)
        assert first and second
        assert (hidden_by((first, second), 1) is None) == reached, (one, other)
