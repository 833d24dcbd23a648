"""The shipped files and the client's reading of an edge; the real edge is in tests/contracts."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, replace

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError, PartialError, UsageError
from gopub.process import Result
from gopub.traffic import (
    EdgeAck,
    EdgeStatus,
    Endpoint,
    Peer,
    RouteTable,
    Track,
    agree_on_latency,
    agree_on_time,
    confirm,
    encode,
    in_flight,
    to_json,
)
from gopub.traffic.backends.nginx import EdgeLayout, NginxRouter, edge_files
from gopub.traffic.backends.nginx.client import skew_of

TABLE = RouteTable(
    app="hello", env="lab", upstream="hello", revision=4, stable=Track("a" * 64, (Peer("a1", "10.0.0.1:80"),))
)


class Said:
    """A channel on which every program answers the same."""

    def __init__(self, out: str = "", *, code: int = 0, err: str = "", fails: int = 0, slow: float = 0) -> None:
        self.result = Result(("curl",), code, out.encode(), err.encode())
        self.fails, self.slow = fails, slow
        self.asked: list[tuple[tuple[str, ...], bytes]] = []

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        self.asked.append((tuple(argv), stdin))
        await asyncio.sleep(self.slow)
        if len(self.asked) <= self.fails:
            raise GopubError("GP417", "the connection was lost")
        return self.result


def connected(edges: Mapping[str, Said | Older]) -> Callable[[str], Awaitable[Said | Older]]:
    async def connect(edge: str) -> Said | Older:
        return edges[edge]

    return connect


def router(*, limit: float = 10.0, **edges: Said) -> NginxRouter:
    return NginxRouter(tuple(edges), connected(edges), limit=limit)


def accepted(revision: int = 4) -> str:
    return json.dumps({"revision": revision}) + "\n\n200"


async def test_the_table_goes_by_stdin_to_the_control_socket():
    edge = Said(accepted())
    assert await router(e1=edge).put(TABLE) == (EdgeAck("e1", ok=True, revision=4),)
    [(argv, stdin)] = edge.asked
    assert stdin == encode(TABLE)
    assert argv[0] == "curl"
    assert argv[-1] == "http://edge/v1/tables/hello"
    assert ("--unix-socket", "/run/gopub/edge.sock") in itertools.pairwise(argv)


async def test_each_edge_answers_for_itself():
    refusal = {"code": "GP503", "error": "the epoch is over"}
    held = {"app": "hello", "env": "lab", "revision": 9, "epoch": 3, "n": 12}
    acks = await router(
        good=Said(accepted()),
        older=Said(json.dumps(refusal | {"holds": held}) + "\n\n409"),
        empty=Said("<html>\n502"),
        dead=Said(code=7, err="curl: (7) Could not connect\n"),
        silent=Said(slow=5),
        lost=Said(fails=9),
        limit=0.2,
    ).put(TABLE)
    assert {ack.edge: (ack.ok, ack.revision, ack.error) for ack in acks} == {
        "good": (True, 4, ""),
        "older": (
            False,
            9,
            "GP503 the epoch is over (status 409); it holds revision 9 of hello/lab, epoch 3, order 12",
        ),
        "empty": (False, 0, "status 502, and no JSON"),
        "dead": (False, 0, "curl: (7) Could not connect"),
        "silent": (False, 0, "no answer within 0.2s"),
        "lost": (False, 0, "the connection was lost"),
    }
    with pytest.raises(PartialError, match=r"^GP503 5 of 6 edges did not take revision 4 of hello/lab: older: "):
        confirm(TABLE, acks)


async def test_a_connection_that_was_lost_is_made_again_once():
    edge = Said(accepted(), fails=1)
    [ack] = await router(e1=edge).put(TABLE)
    assert ack.ok
    assert edge.asked[0] == edge.asked[1]
    confirm(TABLE, [ack])


def status(**upstreams: object) -> str:
    return json.dumps({"schema": "gopub/edge-status/v1", "upstreams": upstreams}) + "\n\n200"


async def test_the_status_of_every_edge():
    table = TABLE.ordered(3, "t", 8)
    one, none, foreign, odd, dead = await router(
        one=Said(status(hello={"table": to_json(table), "inflight": {"a1": 2}}, other={})),
        none=Said(status()),
        foreign=Said(status(hello={"table": to_json(table) | {"app": "shop"}, "inflight": {}})),
        odd=Said(status(hello={"table": {}, "inflight": {}})),
        dead=Said(code=7),
    ).status("hello", "lab", "hello")
    assert (one.table, one.inflight, one.error) == (table, {"a1": 2}, "")
    assert (one.revision, one.epoch, one.token, one.n) == (4, 3, "t", 8)
    assert (none.table, none.revision, none.epoch, none.token, none.n, none.error) == (None, 0, 0, "", 0, "")
    assert foreign.error == "upstream hello belongs to shop/lab"
    assert odd.error == "its table cannot be read: schema is missing"
    assert dead.error == "curl on the edge ended with exit code 7"


@pytest.mark.parametrize(
    ("answer", "skew"),
    [
        ({"now": 100.0}, 0.0),  # at the beginning of the round trip, or
        ({"now": 103.0}, 0.0),  # at its end: nobody knows
        ({"now": 133.0}, 30.0),
        ({"now": 70.0}, -30.0),
        ({"now": True}, None),
        ({"now": "100"}, None),
        ({}, None),
        ([], None),
    ],
)
def test_how_far_an_edges_clock_is_off_at_the_least(answer, skew):
    assert skew_of(answer, 100.0, 103.0) == skew


async def test_the_round_trip_is_not_taken_for_a_difference():
    """Connecting takes its time, too, and is no part of it."""
    clock = ManualClock(1000.0)

    class Slow(Said):
        async def exec(self, argv, stdin=b""):
            await clock.sleep(8)
            return await super().exec(argv, stdin)

    said = Slow(json.dumps({"revision": 4, "now": 1012.0}) + "\n\n200", fails=1)

    async def connect(edge):
        await clock.sleep(2)
        return said

    [ack] = await NginxRouter(["e1"], connect, clock=clock).put(TABLE)
    assert (clock.now(), ack.ok, ack.skew) == (1020.0, True, 0.0)
    [status] = await NginxRouter(["e1"], connect, clock=clock).status("hello", "lab", "hello")
    assert (clock.now(), status.skew) == (1030.0, -10.0)  # asked between 1022 and 1030


def test_edges_must_agree_with_us_on_the_time():
    agree_on_time({})
    agree_on_time({"e1": 5.0, "e2": -5.0})
    with pytest.raises(GopubError, match=r"GP509 .*\(e2's is 6s behind ours; e3's is 1m30s ahead of ours\).*chrony"):
        agree_on_time({"e3": 90.0, "e1": 1.0, "e2": -6.0})


def test_an_edge_of_an_older_version_gets_no_table_that_it_would_refuse():
    agree_on_latency("auto", {"e1": ""})
    agree_on_latency("header", {"e1": "0123456789abcdef", "e2": None})
    with pytest.raises(GopubError, match=r"GP512 e1, e3: an edge of an older gopub.*`traffic.latency: header`"):
        agree_on_latency("header", {"e3": "", "e2": "0123456789abcdef", "e1": ""})


class Older:
    """An edge that knows no endpoints: it refuses the shape of a table that has some."""

    def __init__(self) -> None:
        self.tables: list[dict[str, object]] = []

    async def exec(self, argv: Sequence[str], stdin: bytes = b"") -> Result:
        self.tables.append(json.loads(stdin))
        known = "endpoints" not in self.tables[-1]
        said = accepted() if known else '{"code":"GP501","error":"endpoints is not known"}\n422'
        return Result(("curl",), 0, said.encode(), b"")


async def test_an_edge_that_knows_no_endpoints_gets_the_table_without_them():
    older, newer = Older(), Said(accepted())
    table = replace(TABLE, endpoints=(Endpoint("/checkout", 0.2),))
    router = NginxRouter(("old", "new"), connected({"old": older, "new": newer}))
    assert [(ack.edge, ack.ok, ack.revision) for ack in await router.put(table)] == [("old", True, 4), ("new", True, 4)]
    assert older.tables == [to_json(table), to_json(TABLE)]
    assert [json.loads(body) for _, body in newer.asked] == [to_json(table)]


async def test_a_table_that_is_refused_for_anything_else_is_not_sent_again():
    for code, status in (("GP503", 409), ("GP502", 422)):
        refusing = Said(f'{{"code":"{code}","error":"no"}}\n{status}')
        [ack] = await router(e1=refusing).put(replace(TABLE, endpoints=(Endpoint("/checkout"),)))
        assert (ack.ok, len(refusing.asked)) == (False, 1)
    plain = Said('{"code":"GP501","error":"colour is not known"}\n422')
    assert not (await router(e1=plain).put(TABLE))[0].ok
    assert len(plain.asked) == 1


async def test_an_edge_says_who_it_is():
    told = '{"edge": "0123456789abcdef", "revision": 1}\n200'
    [ack] = await router(e1=Said(told)).put(TABLE)
    assert ack.identity == "0123456789abcdef"
    for silent in ('{"revision": 1}', '{"edge": 7, "revision": 1}', "[]"):
        [ack] = await router(e1=Said(f"{silent}\n200")).put(TABLE)
        assert (ack.ok, ack.identity) == (True, "")


def test_requests_in_flight_are_unknown_while_an_edge_is():
    one, two = EdgeStatus("e1", TABLE, {"a1": 2, "b1": 1}), EdgeStatus("e2", TABLE, {"a1": 1})
    assert in_flight([one, two], ["a1"]) == 3
    assert in_flight([one, two], ["c1"]) == 0
    assert in_flight([one, EdgeStatus("e2", error="cannot be reached")], ["a1"]) is None


def test_a_router_without_edges_is_a_mistake():
    with pytest.raises(UsageError, match="GP504 the router has no edge"):
        router()


def test_every_default_of_the_layout_stands_in_a_shipped_file():
    everything = b"\n".join(edge_files().values()).decode()
    assert [field.name for field in fields(EdgeLayout) if str(field.default) not in everything] == []


def test_another_layout_leaves_no_default_behind():
    places = ("/x/conf", "/x/state", "/x/sock", "/x/pid", "/x/log", "user nobody;", "listen 8", "listen 9")
    other = EdgeLayout(*places, body="client_max_body_size 7m")
    files = edge_files(other)
    assert "/x/conf/lua/gopub/router.lua" in files
    text = files["/etc/nginx/nginx.conf"] + files["/x/conf/gopub-http.conf"]
    assert b"/var/lib" not in text
    assert b"/run/" not in text
    assert b"listen 9;" in text
    assert text.count(b"client_max_body_size 7m;") == 1, "requests alone; a table has a limit of its own"


def test_connections_are_kept_after_the_balancer():
    text = edge_files()["/etc/nginx/gopub/gopub-http.conf"].decode()
    assert text.index("balancer_by_lua_block") < text.index("keepalive 256;")
