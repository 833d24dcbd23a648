"""For which release an edge holds a table, and that users' requests keep a trace of their own: a real nginx."""

from __future__ import annotations

import json

import pytest

from gopub.traffic import encode
from gopub.traffic.backends.nginx.client import read_status
from tests.contracts.edge_nginx import BY_HEADER, route_table

ONE, TWO = "0af7651916cd43dd8448eb211c80319c", "f" * 32
SPAN = "b7ad6b7169203331"


def said(trace: str) -> str:
    return f"traceparent: 00-{trace}-{SPAN}-01"


async def put(edge, table, *lines: str) -> int:
    return (await edge.ask_control("PUT", "/v1/tables/hello", encode(table), *lines)).status


async def traced(edge) -> str:
    """As the driver reads it."""
    _, body = await edge.control("GET", "/v1/status")
    return read_status("edge", json.loads(body), "hello", "lab", "hello").trace


async def test_an_edge_tells_for_which_release_it_holds_a_table(edge, backends):
    table = route_table([backends[0]], revision=1, n=1)
    assert await put(edge, table, said(ONE)) == 200
    assert await traced(edge) == ONE
    assert (edge.state / ".hello.trace").read_text() == ONE
    later = route_table([backends[0]], revision=2, n=2)
    assert await put(edge, later, said(TWO)) == 200
    assert await traced(edge) == TWO


async def test_it_knows_it_still_after_a_start_and_the_table_serves(edge, backends):
    assert await put(edge, route_table([backends[0]], revision=1, n=1), said(ONE)) == 200
    await edge.restart()
    assert await traced(edge) == ONE
    assert (await edge.client().ask()).peer == "a1"


async def test_a_table_that_came_for_no_trace_is_not_told_as_another_ones(edge, backends):
    assert await put(edge, route_table([backends[0]], revision=1, n=1), said(ONE)) == 200
    assert await put(edge, route_table([backends[0]], revision=2, n=2)) == 200
    assert await traced(edge) == ""
    assert not (edge.state / ".hello.trace").exists()


async def test_a_table_that_is_refused_changes_no_trace(edge, backends):
    assert await put(edge, route_table([backends[0]], revision=2, n=2), said(ONE)) == 200
    assert await put(edge, route_table([backends[0]], revision=1, n=1), said(TWO)) == 409
    assert await traced(edge) == ONE


WRONG = {
    "zeros": f"00-{'0' * 32}-{SPAN}-01",
    "upper case": f"00-{'A' * 32}-{SPAN}-01",
    "short": f"00-{ONE[1:]}-{SPAN}-01",
    "long": f"00-{ONE}-{SPAN}-01-x",
    "a path": f"00-../../../../../../etc/cron.d/x-{SPAN}-01",
    "not ASCII": f"00-{chr(233) * 32}-{SPAN}-01",
    "eight kilobytes": "0" * 8000,
}


@pytest.mark.parametrize("value", WRONG.values(), ids=[name.replace(" ", "-") for name in WRONG])
async def test_a_table_is_taken_whatever_its_trace_is(edge, backends, value):
    assert await put(edge, route_table([backends[0]], revision=1, n=1), f"traceparent: {value}") == 200
    assert await traced(edge) == ""


async def test_two_traces_at_once_are_none(edge, backends):
    assert await put(edge, route_table([backends[0]], revision=1, n=1), said(ONE), said(TWO)) == 200
    assert await traced(edge) == ""


async def test_a_request_of_a_user_keeps_the_trace_that_it_came_in(edge, backends):
    stable, canary = backends
    assert await put(edge, route_table([stable], [canary], revision=1, n=1, rules=(BY_HEADER,)), said(ONE)) == 200
    mine = {"traceparent": f"00-{TWO}-{SPAN}-01", "tracestate": "vendor=1"}
    for headers in ({}, {"x-canary": "1"}):
        assert (await edge.client().ask(headers={**mine, **headers})).status == 200
        assert (await edge.client().ask(headers=headers)).status == 200
    heard = [headers for backend in backends for _, _, headers in backend.seen]
    assert [one.get("traceparent") for one in heard] == [mine["traceparent"], None] * 2, (
        "the release's trace is no user's"
    )
    assert {one["tracestate"] for one in heard if "traceparent" in one} == {"vendor=1"}
