"""Tables and keys as no driver of ours writes them, on a real edge."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gopub.traffic import Rule, encode
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.backends.nginx.client import MOST_BYTES
from gopub.traffic.conditions import Any as AnyOf
from gopub.traffic.conditions import Header
from tests.contracts.edge_nginx import BY_HEADER, LocalEdge, route_table

TABLE = "/v1/tables/hello"


def router_of(edge: LocalEdge) -> NginxRouter:
    async def connect(_: str) -> LocalEdge:
        return edge

    return NginxRouter(("edge1",), connect, socket=str(edge.socket), limit=60.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + b"\0", "it has a NUL"),
        (lambda text: text + b"\0{}garbage", "it has a NUL"),
        (lambda text: text.replace(b'"n":20', b'"n":20,"n":20'), "a key stands twice"),
        (lambda text: text.replace(b'"host":"a1"', b'"host":"a2","h\\u006fst":"a1"'), "a key stands twice"),
        (lambda text: text.replace(b'"value":"true"', b'"value":"a\\":\\"b","value":"true"'), "a key stands twice"),
    ],
)
async def test_what_others_cannot_read_is_refused_or_nobody_could_read_the_status(edge, backends, change, said):
    table = route_table(backends[:1], backends[1:], revision=10, n=20, rules=(BY_HEADER,))
    status, answer = await edge.control("PUT", TABLE, change(encode(table)))
    assert (status, json.loads(answer)["code"]) == (422, "GP501"), answer
    assert said in json.loads(answer)["error"]
    odd = replace(
        table,
        rules=(
            replace(
                BY_HEADER,
                when=replace(BY_HEADER.when, value='a":"b\\\\":[{'),
            ),
        ),
    )
    assert (await edge.control("PUT", TABLE, b" \n" + encode(odd) + b"\n"))[0] == 200, "control: colons in a text"
    assert json.loads((await edge.control("GET", "/v1/status"))[1])["upstreams"]["hello"]["table"]["n"] == 20


async def test_a_link_to_keys_that_are_not_there_yet_opens_no_door(edge, backends):
    keys = edge.root / "gopub" / "keys"
    keys.symlink_to(edge.root / "not-mounted-yet")
    await edge.reload()
    table = route_table(backends[:1])
    assert (await edge.put(table))[0] == 403
    broken = json.loads((await edge.control("GET", "/v1/status"))[1])["keys"]["broken"]
    assert list(broken) == [str(keys)]
    keys.unlink()
    await edge.reload()
    assert (await edge.put(table))[0] == 200, "control: there is no folder at all"


async def test_an_edge_with_many_large_tables_is_asked_for_one(edge, backends):
    table = route_table(backends[:1], backends[1:])
    rules = tuple(Rule(f"r-{n}", AnyOf((Header("x-a", "v" * 256),) * 9)) for n in range(25))
    large, size = replace(table, rules=rules), 0
    while size <= MOST_BYTES:
        size += len(encode(large))
        large = replace(large, upstream=f"hello-{size}", app=f"hello-{size}")
        status, answer = await edge.put(large)
        assert status == 200, answer
    assert (await edge.put(table))[0] == 200
    (found,) = await router_of(edge).status("hello", "lab", "hello")
    assert (found.error, found.table) == ("", table)
    (absent,) = await router_of(edge).status("hello", "lab", "no-such")
    assert (absent.error, absent.table) == ("", None)
    _, whole = await edge.control("GET", "/v1/status")
    assert len(whole) > MOST_BYTES, "control: too much for one answer"
