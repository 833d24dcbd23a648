"""Peers that break gRPC: what the client is told, and as what the edge counts it."""

from __future__ import annotations

import pytest

from tests.contracts.edge_nginx import Backend, route_table, running_edge
from tests.contracts.grpc_pair import INTERNAL, NOT_FOUND, OK, UNAVAILABLE, UNKNOWN, grpc_client
from tests.contracts.grpc_raw import (
    BEGUN,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MESSAGE,
    RST,
    RawGrpc,
    pairs,
)  # fmt: skip

ALL_OF_IT = END_HEADERS | END_STREAM


def ended(status: str) -> tuple[int, int, bytes]:
    """Trailers; as the first frame of an answer they are all of it."""
    return HEADERS, ALL_OF_IT, pairs(content_type="application/grpc", grpc_status=status)


TRAILERS = (HEADERS, ALL_OF_IT, pairs(grpc_status="0")[1:])
ENDINGS = {
    "whole": ((BEGUN, MESSAGE, TRAILERS), {OK}, "2xx"),
    "trailers alone": ((ended("5"),), {NOT_FOUND}, "4xx"),
    "trailers alone, a failure": ((ended("13"),), {INTERNAL}, "5xx"),
    "a status that is none": ((ended("x"),), {UNKNOWN, INTERNAL}, "5xx"),
    "no trailers": ((BEGUN, MESSAGE, (DATA, END_STREAM, b"")), {INTERNAL, UNKNOWN}, "5xx"),
    "reset": ((BEGUN, MESSAGE, (RST, 0, b"\0\0\0\2")), {INTERNAL, UNAVAILABLE}, "left"),
    "gone away": ((BEGUN, MESSAGE, (GOAWAY, 0, b"\x7f\xff\xff\xff\0\0\0\0")), {INTERNAL, UNAVAILABLE}, "cut"),
    "another type": (((HEADERS, ALL_OF_IT, pairs(content_type="text/html")),), {UNKNOWN}, "5xx"),
}


@pytest.fixture
async def edge(tmp_path):
    async with running_edge(tmp_path, workers=1) as started:
        yield started


async def test_every_end_is_counted_as_what_it_is(edge):
    peers = {name: RawGrpc(f"p{at}", script=script, closes=name == "gone away")
             for at, (name, (script, _, _)) in enumerate(ENDINGS.items())}  # fmt: skip
    async with grpc_client(edge.grpc_port) as client:
        for turn, (name, (_, codes, wanted)) in enumerate(ENDINGS.items(), start=1):
            peer = peers[name]
            await peer.start()
            try:
                assert (await edge.put(route_table([peer], revision=turn, n=turn)))[0] == 200
                answer = await client.ask(size=1)
                assert answer.code in codes, (name, answer)
                attempts = [key for key, value in (await edge.metrics()).items()
                            if "attempts_total" in key and f'host="{peer.host}"' in key and value]  # fmt: skip
                assert len(attempts) == 1, (name, attempts)
                assert f'class="{wanted}"' in attempts[0], (name, attempts)
            finally:
                await peer.stop()


async def test_a_peer_of_http_is_no_peer_of_grpc(edge):
    backend = Backend("a1")
    await backend.start()
    try:
        assert (await edge.put(route_table([backend])))[0] == 200
        async with grpc_client(edge.grpc_port) as client:
            assert (await client.ask(size=1)).code == UNAVAILABLE
    finally:
        await backend.stop()
