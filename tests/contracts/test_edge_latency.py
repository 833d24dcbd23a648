"""What counts as the latency of an answer, at a real edge: its end, or its header where it is a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contracts.edge_nginx import LocalEdge, route_table, running_edge
from tests.contracts.edge_peers import BODY, Act, Pause, RawPeer, answer, chunk, raw_peers
from tests.contracts.test_edge_endings import CHUNKED, LENGTH, read_all

LONG = Pause(1.2)
LABELS = 'app="hello",env="lab",release="aaaaaaaaaaaa",host="p1"'
LARGE = b"x" * (1 << 20)


@pytest.fixture
async def peer() -> AsyncIterator[RawPeer]:
    made = RawPeer("p1")
    async with raw_peers(made):
        yield made


async def quick(edge: LocalEdge, name: str = "request") -> tuple[float, float]:
    """Answers that count as quicker than the pause in them, and all that were timed."""
    metrics = await edge.metrics()
    family = f"gopub_edge_{name}_seconds"
    return metrics[f'{family}_bucket{{{LABELS},le="1"}}'], metrics[f"{family}_count{{{LABELS}}}"]


def events(*headers: str, body: bytes = BODY) -> tuple[Act, ...]:
    """An answer whose header comes at once, and whose body takes a while."""
    return answer(CHUNKED, *headers), chunk(body), LONG, chunk(b"x") + chunk(b"")


STREAMS: dict[str, tuple[Act, ...]] = {
    "event stream": events("Content-Type: text/event-stream"),
    "with a charset": events("Content-Type: Text/Event-Stream;charset=utf-8"),
    "grpc-web": events("Content-Type: application/grpc-web+proto"),
    "lines of JSON": events("Content-Type: application/x-ndjson"),
    "camera": events("Content-Type: multipart/x-mixed-replace; boundary=x"),
    "not to be buffered": events("X-Accel-Buffering: no"),
    "large": events(body=LARGE),
}
OTHERS: dict[str, tuple[Act, ...]] = {
    "slow body": events(),
    "slow page": events("Content-Type: text/html"),
    "a name that only begins so": events("Content-Type: text/event-stream-like"),
    "to be buffered": events("X-Accel-Buffering: yes"),
    "slow header": (LONG, answer(LENGTH, "Content-Type: text/event-stream", body=BODY)),
    "nearly large": (answer(f"Content-Length: {len(LARGE)}"), LARGE[:-1], LONG, b"x"),
}


async def test_a_stream_is_as_quick_as_its_header(tmp_path, peer):
    async with running_edge(tmp_path) as edge:
        await edge.put(route_table([peer]))
        for count, (name, script) in enumerate(STREAMS.items(), start=1):
            peer.script = script
            await read_all(edge)
            assert await quick(edge) == (count, count), name
        assert await quick(edge, "header") == (len(STREAMS), len(STREAMS))
        assert await quick(edge, "total") == (0, len(STREAMS)), "how long they were is there, too"


async def test_any_other_answer_is_as_quick_as_its_end(tmp_path, peer):
    async with running_edge(tmp_path) as edge:
        await edge.put(route_table([peer]))
        for count, (name, script) in enumerate(OTHERS.items(), start=1):
            peer.script = script
            await read_all(edge)
            assert await quick(edge) == (0, count), name
        assert await quick(edge, "header") == (len(OTHERS) - 1, len(OTHERS))
