"""``judge.endpoints: auto``: routes become patterns, the busiest are chosen, and no path that clients invent is."""

from __future__ import annotations

import random

import pytest

from gopub.health.busiest import ASKED, LEAST, Busiest, Chosen, Route, choose, endpoint_of, told_of_choice
from gopub.spec.endpoints import AUTO, MOST, hidden_by, pattern

CHANCE = random.Random(20)


@pytest.mark.parametrize(
    ("method", "template", "endpoint"),
    [
        ("GET", "/orders/{id}", "GET /orders/*"),
        ("", "/orders/{id}", "/orders/*"),
        ("GET", "GET /orders/{id}/lines/{line}", "GET /orders/*/lines/*"),  # Go's own mux
        ("GET", "/files/{path...}", "GET /files/**"),
        ("GET", "/{$}", "GET /"),
        ("GET", "/", "GET /"),
        ("GET", "/orders/", "GET /orders"),
        ("GET", "/users/:id/posts/:post", "GET /users/*/posts/*"),  # Gin, Echo, Fiber
        ("GET", "/assets/*filepath", "GET /assets/**"),
        ("GET", "/users/<int:id>", "GET /users/*"),  # Flask
        ("GET", "/pages/<path:rest>", "GET /pages/**"),
        ("GET", "/orders/{id:[0-9]+}", "GET /orders/*"),  # Spring, chi
        ("GET", "/static/**", "GET /static/**"),
        ("_OTHER", "/orders/{id}", "/orders/*"),  # OpenTelemetry's word for what is none
        ("GET", "/**", None),
        ("GET", "/{path...}", None),
        ("GET", "/{id}", None),
        ("GET", "UNKNOWN", None),
        ("GET", "", None),
        ("GET", "/a%20b", None),
        ("GET", "/a?b=c", None),
        ("GET", "/a/../b", None),
        ("GET", "/\u00e9", None),
        ("GET", "/" + "x" * 200, None),
        ("GET", "/a\n/b", None),
    ],
)
def test_a_route_is_a_pattern_of_the_edge_or_none(method, template, endpoint):
    assert endpoint_of(Route(method, template, 1.0)) == endpoint
    assert endpoint is None or pattern(endpoint) is not None


def busiest(*routes: tuple[str, float], whole: float = 1000.0) -> Busiest:
    return Busiest(tuple(Route("", template, requests) for template, requests in routes), whole)


def test_the_busiest_are_chosen_and_what_is_too_little_is_not():
    found = busiest(("/a", 500.0), ("/b/{id}", 300.0), ("/c", 1000 * LEAST), ("/d", 1000 * LEAST - 0.1))
    assert [(one.endpoint, one.share) for one in choose(found)] == [("/a", 0.5), ("/c", LEAST), ("/b/*", 0.3)]
    assert choose(busiest(whole=0.0)) == choose(busiest(("/a", 0.0))) == ()


def test_several_routes_of_one_pattern_are_one():
    found = choose(busiest(("/a/{x}", 6.0), ("/a/{y}", 6.0)))
    assert found == (Chosen("/a/*", 0.012),), "each alone is too little to see"


def test_what_is_narrow_comes_first_so_that_each_gets_its_requests():
    found = [one.endpoint for one in choose(busiest(("/a/**", 400.0), ("/a/{id}", 300.0), ("/a/new", 200.0)))]
    assert found == ["/a/new", "/a/*", "/a/**"]
    patterns = [pattern(text) for text in found]
    assert [hidden_by(patterns, at) for at in range(3)] == [None] * 3


def test_declared_ones_stay_and_what_they_hide_is_left_out():
    found = busiest(("/a/{id}", 400.0), ("/b", 300.0), ("/declared", 200.0))
    assert [one.endpoint for one in choose(found, ["/declared", "/a/**", AUTO])] == ["/b"]
    full = [f"/declared/{number}" for number in range(MOST - 1)]
    assert [one.endpoint for one in choose(found, [*full, AUTO])] == ["/a/*"], "the busiest gets the last place"
    assert len(choose(busiest(*((f"/{n}", 90.0) for n in range(11))))) == MOST


def test_paths_that_clients_invent_are_never_chosen():
    """A service without templates under an attack: thousands of paths, of which a source gives the busiest only."""
    invented = [(f"/{CHANCE.randbytes(6).hex()}", float(CHANCE.randrange(1, 9))) for _ in range(ASKED - 1)]
    found = Busiest(tuple(Route("GET", one, n) for one, n in [("/real", 500.0), *invented]), 20_000.0)
    assert [one.endpoint for one in choose(found)] == ["GET /real"]
    many = busiest(*((f"/{n}", 100.0) for n in range(5 * ASKED)), ("/late", 900.0))
    assert "/late" not in {one.endpoint for one in choose(many)}, "no more than so many are looked at"


def test_a_plan_says_what_was_chosen_and_how_busy_it_is():
    found = choose(busiest(("/a", 500.0), ("/b/{id}", 300.0)))
    assert told_of_choice(found) == (
        "judge.endpoints: auto chose by stable's requests of the last hour: /a (50%), /b/* (30%)"
    )
    assert "chose none: no route of the last hour has 1% of the requests" in told_of_choice(())
