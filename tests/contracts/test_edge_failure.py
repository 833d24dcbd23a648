"""Peers that die, hang or leave, at a real edge: nothing is lost that need not be, nothing is sent twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gopub.traffic import RouteTable
from tests.contracts.edge_nginx import BY_HEADER, ME, Backend, LocalEdge, route_table, running_backends, running_edge
from tests.support.changing import without_peer


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[LocalEdge]:
    async with running_edge(tmp_path, extra="proxy_read_timeout 1s;") as started:
        yield started


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[LocalEdge]:
    """One that waits as long as a peer takes."""
    async with running_edge(tmp_path) as started:
        yield started


@pytest.fixture
async def backends() -> AsyncIterator[list[Backend]]:
    async with running_backends("a1", "a2", "b1") as started:
        yield started


def table_of(backends: list[Backend], *, fallback: bool = True) -> RouteTable:
    """Two stable peers, and a canary for who asks."""
    return route_table(backends[:2], backends[2:], rules=(BY_HEADER,), fallback=fallback)


def attempts(metrics: dict[str, float], host: str) -> dict[str, float]:
    """The classes of a host's attempts that are not 0."""
    mine = {name: value for name, value in metrics.items() if "attempts_total" in name and f'host="{host}"' in name}
    return {name.partition('class="')[2].rstrip('"}'): value for name, value in mine.items() if value}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_dead_canary_costs_no_request_and_is_blamed(edge, backends, method):
    await edge.put(table_of(backends))
    await backends[2].stop()
    answers = [await edge.client().ask(method=method, headers=ME, body=b"x" * 5000) for _ in range(40)]
    assert {(answer.status, answer.rule) for answer in answers} == {(200, "me/fallback")}
    assert {answer.peer for answer in answers} == {"a1", "a2"}
    metrics = await edge.metrics()
    assert attempts(metrics, "b1") == {"connect": 40}
    assert attempts(metrics, "a1")["2xx"] + attempts(metrics, "a2")["2xx"] == 40
    assert metrics[f'gopub_edge_request_seconds_count{{app="hello",env="lab",release="{"b" * 12}",host="b1"}}'] == 0
    assert await edge.inflight() == {"a1": 0, "a2": 0, "b1": 0}


async def test_without_fallback_the_same_requests_fail(edge, backends):
    """The control of the test above: the client does notice."""
    await edge.put(table_of(backends, fallback=False))
    await backends[2].stop()
    answers = [await edge.client().ask(headers=ME) for _ in range(10)]
    assert {answer.status for answer in answers} == {502}
    assert attempts(await edge.metrics(), "b1") == {"connect": 10}


async def test_a_dead_stable_peer_is_replaced_once(edge, backends):
    await edge.put(table_of(backends))
    await backends[0].stop()
    answers = [await edge.client().ask() for _ in range(40)]
    assert {(answer.status, answer.peer) for answer in answers} == {(200, "a2")}
    # Each of the two workers found out once, and lets it rest.
    assert 1 <= attempts(await edge.metrics(), "a1")["connect"] <= 2
    await backends[1].stop()
    assert {(await edge.client().ask()).status for _ in range(5)} == {502}
    # With all at rest none is: who comes back serves at once.
    await backends[0].start()
    assert {(await edge.client().ask()).status for _ in range(20)} == {200}


async def test_a_post_whose_bytes_were_sent_is_not_sent_again(edge, backends):
    await edge.put(table_of(backends))
    post = await edge.client().ask("/drop", method="POST", headers=ME, body=b"pay")
    assert (post.status, len(backends[2].seen)) == (502, 1)
    assert backends[0].seen == backends[1].seen == []
    assert attempts(await edge.metrics(), "b1") == {"5xx": 1}
    # A GET may be repeated, and goes to stable.
    get = await edge.client().ask("/drop", headers=ME)
    assert (get.status, len(backends[2].seen)) == (502, 2)
    assert len(backends[0].seen) + len(backends[1].seen) == 2


async def test_answers_and_silences_are_told_apart(edge, backends):
    await edge.put(table_of(backends, fallback=False))
    for path, status in (("/status/201", 201), ("/status/302", 302), ("/status/404", 404), ("/status/503", 503)):
        assert (await edge.client().ask(path, headers=ME)).status == status
    assert (await edge.client().ask("/slow/3", headers=ME)).status == 504
    found = attempts(await edge.metrics(), "b1")
    assert found == {"2xx": 1, "3xx": 1, "4xx": 1, "5xx": 1, "timeout": 1}


async def test_a_client_that_gives_up_after_a_second_blames_the_peer_and_an_early_one_does_not(tmp_path, backends):
    async with running_edge(tmp_path) as edge:
        await edge.put(table_of(backends))
        early = 0
        for patience in (0.0, 1.3):
            client, begun = edge.client(), time.monotonic()
            asking = asyncio.create_task(client.ask("/held", headers=ME))
            while not backends[2].busy:  # noqa: ASYNC110 - another process asks
                await asyncio.sleep(0.005)
            await asyncio.sleep(patience)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await client.close()
            early += time.monotonic() - begun < 1  # a busy machine may be late with it
            await holding(edge, 0)
            backends[2].go_on.set()
            while backends[2].busy:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.005)
            backends[2].go_on.clear()
        found = attempts(await edge.metrics(), "b1")
        assert sum(found.values()) == 2
        assert found.get("left", 0) >= early
        assert found["timeout"] >= 1


async def holding(edge: LocalEdge, wanted: int) -> None:
    """Wait until the canary's host holds that many requests."""
    async with asyncio.timeout(300):
        while (await edge.inflight())["b1"] != wanted:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.02)


async def test_a_peer_that_leaves_keeps_its_slow_requests_and_gets_no_new_one(patient, backends):
    edge = patient
    table = table_of(backends)
    await edge.put(table)
    slow = [asyncio.create_task(edge.client().ask("/held", headers=ME)) for _ in range(5)]
    await holding(edge, 5)
    await edge.put(without_peer(table, "b1").ordered(0, "", 1))
    assert (await edge.inflight())["b1"] == 5
    others = [await edge.client().ask(headers=ME) for _ in range(20)]
    assert "b1" not in {answer.peer for answer in others}
    assert not any(task.done() for task in slow)
    backends[2].go_on.set()
    await holding(edge, 0)
    assert {(answer.status, answer.peer) for answer in await asyncio.gather(*slow)} == {(200, "b1")}
    assert len(backends[2].seen) == 5


async def test_inflight_is_exact_when_an_error_page_takes_over(tmp_path, backends):
    page = "error_page 502 503 504 =500 /sorry;"
    async with running_edge(tmp_path, extra=page) as edge:
        conf = edge.root / "nginx.conf"
        await edge.stop()
        conf.write_text(conf.read_text().replace("location / {", 'location = /sorry { return 200 "x"; }\nlocation / {'))
        await edge.start()
        await edge.put(table_of(backends, fallback=False))
        await backends[2].stop()
        answers = [await edge.client().ask(headers=ME) for _ in range(10)]
        assert {(answer.status, answer.body) for answer in answers} == {(500, b"x")}
        assert attempts(await edge.metrics(), "b1") == {"connect": 10}  # waits: what is sent is settled a moment later
        assert await edge.inflight() == {"a1": 0, "a2": 0, "b1": 0}


@pytest.mark.parametrize("what", ["kill a worker", "reload"])
async def test_inflight_is_exact_when_workers_come_and_go(patient, backends, what):
    edge = patient
    await edge.put(table_of(backends))
    held = [asyncio.create_task(edge.client().ask("/held", headers=ME)) for _ in range(20)]
    await holding(edge, 20)
    assert edge.process
    before = edge.workers()
    if what == "reload":
        edge.process.send_signal(signal.SIGHUP)
    else:
        os.kill(before[0], signal.SIGKILL)
    async with asyncio.timeout(300):
        while edge.workers() == before:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)
    backends[2].go_on.set()
    answers = await asyncio.gather(*held)
    await holding(edge, 0)
    lost = sum(answer.status == 0 for answer in answers)
    assert (lost == 0) if what == "reload" else (lost <= 20)
    assert {answer.status for answer in answers} <= {0, 200}
    assert (await edge.client().ask(headers=ME)).peer == "b1"
