"""gRPC through a real edge: stock clients, each kind of call, how it is routed, counted and drained."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gopub.process import run
from gopub.traffic import Request, RouteTable, explain
from gopub.traffic.table import Endpoint
from tests.contracts.edge_nginx import BY_HEADER, ME, LocalEdge, route_table, running_edge
from tests.contracts.grpc_pair import (
    DEADLINE,
    OK,
    UNAVAILABLE,
    UNKNOWN,
    GrpcClient,
    GrpcPeer,
    grpc_client,
    grpc_peers,
    tool,
)  # fmt: skip
from tests.support.ports import free_port

OF_CLIENTS = {1, 3, 5, 6, 7, 8, 9, 10, 11, 16}
"""Codes that are no failure of the server, by OpenTelemetry's conventions for servers."""


@dataclass
class World:
    """An edge with two stable peers and a canary that a header chooses, and a client."""

    edge: LocalEdge
    a1: GrpcPeer
    a2: GrpcPeer
    b1: GrpcPeer
    client: GrpcClient
    table: RouteTable

    async def put(self, **change: object) -> None:
        revision = self.table.revision + 1
        self.table = replace(self.table, revision=revision, n=revision, **change)
        assert (await self.edge.put(self.table))[0] == 200

    async def classes(self, host: str = "a1") -> dict[str, int]:
        """Attempts at a host by how they ended."""
        found = {}
        for name, value in (await self.edge.metrics()).items():
            if name.startswith("gopub_edge_attempts_total") and f'host="{host}"' in name and value:
                found[name.split('class="')[1].split('"')[0]] = int(value)
        return found

    async def until_held(self, wanted: dict[str, int]) -> None:
        async with asyncio.timeout(300):
            while await self.edge.inflight() != wanted:  # noqa: ASYNC110 - another process counts
                await asyncio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with (
        grpc_peers("a1", "a2", "b1") as (a1, a2, b1),
        running_edge(tmp_path) as edge,
        grpc_client(edge.grpc_port) as client,
    ):
        table = route_table([a1], [b1], rules=(BY_HEADER,))  # type: ignore[list-item] # their peers are all that it asks for
        assert (await edge.put(table))[0] == 200
        yield World(edge, a1, a2, b1, client, table)


# --- stock clients

CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
    "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service",
)  # fmt: skip


async def _certificate(root: Path) -> None:
    argv = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=hello.lab"
    await run([*argv.split(), "-addext", "subjectAltName=DNS:hello.lab", "-keyout", f"{root}/key.pem",
               "-out", f"{root}/cert.pem"])  # fmt: skip


async def test_grpcs_own_interop_client_passes_every_case_through_tls(tmp_path):
    port = free_port()
    mine = f"""server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {tmp_path}/cert.pem;
        ssl_certificate_key {tmp_path}/key.pem;
        location / {{ set $gopub_upstream hello; include {tmp_path}/gopub/gopub-grpc-location.conf; }} }}"""
    await _certificate(tmp_path)
    async with grpc_peers("a1") as (a1,), running_edge(tmp_path, extra=mine) as edge:
        assert (await edge.put(route_table([a1])))[0] == 200
        to = ["-server_host=127.0.0.1", f"-server_port={port}", "-server_host_override=hello.lab"]
        tls = ["-use_tls", "-use_test_ca", f"-ca_file={tmp_path}/cert.pem"]
        for case in CASES:
            done = await run([tool("grpc-interop"), *to, *tls, f"-test_case={case}"], check=False)
            assert done.code == 0, (case, done.text)
        broken = await run([tool("grpc-interop"), *to, "-test_case=empty_unary"], check=False)
        assert broken.code != 0, "control: a client that cannot talk to it fails"
        calls = Counter(one["method"].rpartition("/")[2] for one in a1.seen)
        assert calls["FullDuplexCall"] >= 4, calls
        seen = World(edge, a1, a1, a1, GrpcClient(), route_table([a1]))
        classes = await seen.classes()
        assert classes["5xx"] == 5, "UNKNOWN three times as asked for, UNIMPLEMENTED twice"
        assert set(classes) <= {"2xx", "4xx", "5xx", "left"}, classes


async def _grpcurl(port: int, *argv: str, name: str = "hello.lab") -> tuple[int, str]:
    base = [tool("grpcurl"), "-plaintext", "-v", "-authority", name]
    done = await run([*base, *argv[:-1], f"127.0.0.1:{port}", argv[-1]], check=False)
    return done.code, done.text + done.err.decode()


async def test_grpcurl_reads_answers_errors_and_the_edges_own_word(world):
    unary = "grpc.testing.TestService/UnaryCall"
    code, text = await _grpcurl(world.edge.grpc_port, "-d", '{"response_size": 7}', unary)
    assert (code, "x-gopub-peer: a1" in text) == (0, True), text
    code, text = await _grpcurl(world.edge.grpc_port, "-d", '{"response_status": {"code": 5}}', unary)
    assert (code, "Code: NotFound" in text) == (64 + 5, True), text
    world.b1.seen.clear()
    code, text = await _grpcurl(world.edge.grpc_port, "-H", "x-canary: true", "grpc.testing.TestService/EmptyCall")
    assert "x-gopub-rule: me@1" in text, text
    assert world.b1.seen[-1]["method"].endswith("/EmptyCall")
    code, text = await _grpcurl(world.edge.grpc_port, "grpc.testing.TestService/EmptyCall", name="nobody.lab")
    assert "Code: Unavailable" in text or "no table for that upstream" in text, text


# --- routing and what goes along


async def test_a_peer_is_told_the_clients_name_and_what_goes_along(world):
    await world.put(canary=replace(world.table.canary, tag="v2"))
    claims = {"x-gray-tag": "vip", "baggage": "a=1,gray.tags=vip", "x-gopub-rule": "mine"}
    assert (await world.client.ask(size=1, header={**claims, **ME})).peer == "b1"
    assert world.b1.told(":authority") == ["hello.lab"]
    assert world.b1.told("x-gray-tag") == ["v2"]
    assert world.b1.told("x-gray-rule") == ["me@2"]
    assert world.b1.told("baggage") == ["a=1,gray.tags=v2,gray.rule=me@2"]
    assert world.b1.told("x-gopub-rule") == []
    await world.put(trust=("127.0.0.1",))
    assert (await world.client.ask(size=1, header={**claims, **ME})).peer == "b1"
    assert world.b1.told("x-gray-tag") == ["vip,v2"], "control: one of ours is believed"


async def test_half_of_the_users_get_the_canary_each_where_explain_says(world):
    await world.put(rules=(), weight=5000, sticky="header:x-user-id")
    users = [{"x-user-id": f"u{number}"} for number in range(400)]
    answers = await world.client.ask_many([{"size": 1, "header": user} for user in users])
    said = [explain(world.table, Request("127.0.0.1", user)).hosts[0] for user in users]
    assert [answer.peer for answer in answers] == said
    assert 150 < said.count("b1") < 250
    await world.until_held({"a1": 0, "b1": 0})
    assert (await world.classes("a1"), await world.classes("b1")) == (
        {"2xx": said.count("a1")}, {"2xx": said.count("b1")},
    )  # fmt: skip
    assert (len(world.a1.seen), len(world.b1.seen)) == (said.count("a1"), said.count("b1"))


# --- counting


async def test_each_status_is_counted_as_success_failure_or_the_clients_own(world):
    orders = [{"size": 1, "status": code} for code in range(17)]
    found = [answer.code for answer in await world.client.ask_many(orders)]
    assert found == list(range(17))
    assert await world.classes() == {"2xx": 1, "4xx": len(OF_CLIENTS), "5xx": 16 - len(OF_CLIENTS)}
    assert (await world.client.ask(status=99)).code == 99
    assert (await world.classes())["5xx"] == 17 - len(OF_CLIENTS), "nobody knows it"


async def test_a_declared_endpoint_is_a_method(world):
    await world.put(endpoints=(Endpoint("/grpc.testing.TestService/UnaryCall"),))
    await world.client.ask_many([{"size": 1}, {"size": 1}, {"status": UNKNOWN}, {"stream": "s", "size": 1}])
    assert (await world.client.ask(stream="s", end=True)).code == OK
    found = {name.split('outcome="')[1][:2]: value for name, value in (await world.edge.metrics()).items()
             if name.startswith("gopub_edge_endpoint_attempts_total") and 'host="a1"' in name}  # fmt: skip
    assert found == {"ok": 2, "er": 1}


async def test_a_call_whose_client_waited_no_longer_is_the_peers_failure(world):
    """A server that hangs: each client leaves when its own time is over, long before the second of HTTP."""
    world.a1.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(300):
            while "timeout" not in await world.classes():  # a busy machine may take most of the time before the edge
                assert (await world.client.ask(size=1, within=0.3)).code == DEADLINE
                await world.until_held({"a1": 0, "b1": 0})
    finally:
        world.a1.process.send_signal(signal.SIGCONT)


async def test_of_a_stream_the_last_word_counts(world):
    for last, stream in ((OK, "s"), (UNKNOWN, "t")):
        for _ in range(3):
            assert (await world.client.ask(stream=stream, size=9)).size == 9
        if last:
            assert (await world.client.ask(stream=stream, size=9, status=last)).code == last
        else:
            assert (await world.client.ask(stream=stream, end=True)).code == OK
    assert await world.classes() == {"2xx": 1, "5xx": 1}


async def test_control_a_location_that_does_not_say_what_it_speaks_counts_no_status(tmp_path):
    async with grpc_peers("a1") as (a1,), running_edge(tmp_path) as edge, grpc_client(edge.grpc_port) as client:
        location = tmp_path / "gopub/gopub-grpc-location.conf"
        location.write_text(location.read_text().replace(', require("gopub.grpc")', ""))
        await edge.restart()
        assert (await edge.put(route_table([a1])))[0] == 200
        assert (await client.ask(status=UNKNOWN)).code == UNKNOWN
        seen = World(edge, a1, a1, a1, client, route_table([a1]))
        assert "5xx" not in await seen.classes()


async def test_a_message_above_the_limit_of_bodies_passes(world):
    assert (await world.client.ask(size=3_000_000)).size == 3_000_000
    assert await world.classes() == {"2xx": 1}


# --- failing and leaving


async def test_a_dead_peer_is_passed_by_and_a_dead_canary_falls_back(world):
    await world.b1.stop()
    answer = await world.client.ask(size=1, header=ME)
    assert (answer.code, answer.peer, answer.rule) == (OK, "a1", "me/fallback")
    assert await world.classes("b1") == {"connect": 1}
    await world.put(stable=replace(world.table.stable, peers=(world.a1.peer, world.a2.peer)))
    await world.a1.stop()
    assert {(await world.client.ask(size=1)).peer for _ in range(4)} == {"a2"}
    await world.a2.stop()
    answer = await world.client.ask(size=1)
    assert (answer.code, answer.message) == (UNAVAILABLE, "gopub: the edge answered 502")
    assert answer.header["content-type"] == ["application/grpc"]
    await world.until_held({"a1": 0, "a2": 0, "b1": 0})


async def test_a_peer_that_is_killed_in_a_stream_has_cut_it(world):
    assert (await world.client.ask(stream="s", size=9)).size == 9
    await world.a1.stop()
    assert (await world.client.ask(stream="s", size=9)).code != OK
    assert await world.classes() == {"cut": 1}
    await world.put(stable=replace(world.table.stable, peers=(world.a2.peer,)))
    assert (await world.client.ask(size=1)).peer == "a2", "its connection goes on"


async def test_a_client_that_leaves_a_stream_ends_it(world):
    assert (await world.client.ask(stream="s", size=9)).size == 9
    await world.until_held({"a1": 1, "b1": 0})
    await world.client.end()
    await world.until_held({"a1": 0, "b1": 0})
    assert await world.classes() == {"left": 1}


async def test_a_host_that_leaves_gets_no_new_call_and_its_streams_are_waited_for(world):
    assert (await world.client.ask(stream="s", size=9)).size == 9
    await world.put(stable=replace(world.table.stable, peers=(world.a2.peer,)))
    seen = len(world.a1.seen)
    assert {(await world.client.ask(size=1)).peer for _ in range(20)} == {"a2"}
    assert (await world.client.ask(stream="s", size=7)).size == 7, "it goes on where it began"
    assert (await world.edge.inflight())["a1"] == 1
    ending = asyncio.create_task(world.a1.stop(signal.SIGTERM))
    assert (await world.client.ask(stream="s", size=5)).size == 5, "it waits for its streams as well"
    assert (await world.client.ask(stream="s", end=True)).code == OK
    await ending
    assert world.a1.process.returncode == 0
    await world.until_held({"a1": 0, "a2": 0, "b1": 0})
    assert len(world.a1.seen) == seen
    assert await world.classes() == {"2xx": 1}


async def test_a_reload_loses_no_call_and_cuts_no_stream(world):
    assert (await world.client.ask(stream="s", size=9)).size == 9
    async with grpc_client(world.edge.grpc_port) as other:
        answers = []
        for _ in range(3):
            old = set(world.edge.workers())
            assert world.edge.process
            world.edge.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(300):
                while not set(world.edge.workers()) - old:
                    answers += await other.ask_many([{"size": 1}, {"size": 1, "fresh": True}])
            answers += await other.ask_many([{"size": 1}] * 20)
        assert Counter(answer.code for answer in answers) == {OK: len(answers)}
    assert (await world.client.ask(stream="s", size=7)).size == 7
    assert (await world.client.ask(stream="s", end=True)).code == OK
    await world.until_held({"a1": 0, "b1": 0})
    assert await world.classes() == {"2xx": len(answers) + 1}
