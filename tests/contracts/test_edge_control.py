"""What the edge takes, keeps and refuses on its control socket: a real nginx on loopback."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import referencing

from gopub.traffic import RouteTable, encode
from gopub.traffic.backends.nginx.client import read_status
from gopub.traffic.protocol import in_flight, in_flight_at
from gopub.traffic.table import Track
from tests.contracts.edge_nginx import BY_HEADER, Backend, LocalEdge, lives, route_table


def table_of(backends: list[Backend]) -> RouteTable:
    """All to stable, but for who asks by header."""
    stable, canary = backends
    return route_table([stable], [canary], revision=10, epoch=5, token="seat", n=20, rules=(BY_HEADER,))


async def test_a_table_is_in_force_and_on_the_disk_when_it_is_acknowledged(edge, backends):
    table = table_of(backends)
    status, answer = await edge.put(table)
    assert (status, answer["revision"], answer["n"]) == (200, 10, 20)
    assert (edge.state / "hello.json").read_bytes() == encode(table)
    assert await edge.control("GET", "/v1/tables/hello") == (200, encode(table))
    assert (await edge.client().ask()).peer == "a1"


async def test_the_status_fits_its_schema(edge, backends):
    schemas = Path(__file__).parents[2] / "gopub" / "schemas"
    table, status = (json.loads((schemas / f"{name}.v1.json").read_text()) for name in ("route-table", "edge-status"))
    validator = jsonschema.Draft202012Validator(
        status, registry=referencing.Registry().with_contents([(table["$id"], table)])
    )
    await edge.put(table_of(backends))
    await edge.client().ask()
    _, body = await edge.control("GET", "/v1/status")
    validator.validate(json.loads(body))
    assert isinstance(json.loads(body)["now"], float)
    assert not validator.is_valid(json.loads(body.replace(b'"inflight"', b'"flying"')))


async def test_the_same_order_gets_the_same_answer(edge, backends):
    body = encode(table_of(backends))
    answers = [await edge.control("PUT", "/v1/tables/hello", body) for _ in range(6)]
    assert {status for status, _ in answers} == {200}
    said = [json.loads(answer) for _, answer in answers]
    times = [answer.pop("now") for answer in said]
    assert said == [said[0]] * 6
    assert times == sorted(times)


ORDERS = [
    ("a higher n", {"n": 21, "revision": 11}, 200, ""),
    ("a higher epoch, whatever n", {"epoch": 6, "token": "other", "n": 1, "revision": 11}, 200, ""),
    ("a lower epoch", {"epoch": 4, "n": 99, "revision": 11}, 409, "the epoch is over"),
    ("another token", {"token": "other", "n": 21, "revision": 11}, 409, "another seat has this epoch"),
    ("a lower n", {"n": 19, "revision": 11}, 409, "the order is not newer"),
    ("the same n, another body", {"weight": 7, "revision": 11}, 409, "the order is not newer"),
    ("the same revision", {"n": 21}, 409, "the revision does not grow"),
    ("a lower revision of a new seat", {"epoch": 6, "revision": 9}, 409, "the revision does not grow"),
    ("another app", {"app": "shop", "epoch": 9, "revision": 99}, 409, "the upstream belongs to another app and env"),
    ("another env", {"env": "prod", "epoch": 9, "revision": 99}, 409, "the upstream belongs to another app and env"),
]


@pytest.mark.parametrize(("change", "status", "reason"), [order[1:] for order in ORDERS], ids=[o[0] for o in ORDERS])
async def test_the_order_of_orders(edge, backends, change, status, reason):
    table = table_of(backends)
    await edge.put(table)
    found, answer = await edge.put(replace(table, **change))
    assert (found, answer.get("error", "")) == (status, reason)
    if status == 409:
        held = {"app": "hello", "env": "lab", "upstream": "hello", "revision": 10, "epoch": 5, "token": "seat", "n": 20}
        assert answer["holds"] == held
        assert (edge.state / "hello.json").read_bytes() == encode(table)


GARBAGE = [
    (b"", 422),
    (b"{", 422),
    (b"null", 422),
    (b'"x"', 422),
    (b"[]", 422),
    (b"\x00\xff\xfe", 422),
    (b'{"revision": NaN}', 422),
    (b"{}" * 20, 422),
    (b"[" * 2000, 422),
    (b" " * 1_100_000, 413),
]


async def test_garbage_is_refused_and_the_old_table_serves_on(edge, backends):
    table = table_of(backends)
    await edge.put(table)
    for body, wanted in GARBAGE:
        status, answer = await edge.control("PUT", "/v1/tables/hello", body)
        assert status == wanted, (body[:20], answer)
        if status == 422:
            assert json.loads(answer)["code"] == "GP501"
    broken = encode(replace(table, weight=20_000, revision=11, n=21))
    status, answer = await edge.control("PUT", "/v1/tables/hello", broken)
    assert (status, json.loads(answer)["error"]) == (422, "weight 20000 is not a whole number from 0 to 10000")
    misplaced = encode(replace(table, revision=11, n=21))
    status, answer = await edge.control("PUT", "/v1/tables/other", misplaced)
    assert (status, json.loads(answer)["error"]) == (422, 'the table is for upstream "hello"')
    assert (await edge.client().ask()).peer == "a1"
    assert (edge.state / "hello.json").read_bytes() == encode(table)
    assert (await edge.metrics())["gopub_edge_tables_refused_total"] == len(GARBAGE) + 1


async def test_what_is_not_there_is_said_so(edge):
    table = "/v1/tables/hello"
    for method, path in (("GET", table), ("GET", "/"), ("DELETE", table), ("PUT", "/v1/status")):
        status, body = await edge.control(method, path)
        assert (status, json.loads(body)["code"]) == (404, "GP503")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_last_known_good_table_serves_after_a_restart(edge, backends, number):
    await edge.put(table_of(backends))
    await edge.restart(number)
    answer = await edge.client().ask(headers={"x-canary": "true"})
    assert (answer.peer, answer.headers["x-gopub-rule"]) == ("b1", "me@10")
    status, refused = await edge.put(replace(table_of(backends), epoch=4, revision=99))
    assert (status, refused["error"]) == (409, "the epoch is over")


async def test_no_worker_outlives_a_master_that_is_killed_while_it_starts(tmp_path):
    """Nor does one that had not yet asked to be told of its death: it would keep the port from the next one."""
    edge = LocalEdge.at(tmp_path)
    edge.write(workers=16)
    for _ in range(5):
        master = await edge.begin()
        async with asyncio.timeout(300):
            while len(workers := edge.workers()) < 3:  # noqa: ASYNC110 - another process starts
                await asyncio.sleep(0.001)
        master.kill()
        await master.wait()
        try:
            async with asyncio.timeout(300):
                while any(map(lives, workers)):  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(0.01)
        finally:
            for pid in filter(lives, workers):
                os.kill(pid, signal.SIGKILL)
        edge.socket.unlink(missing_ok=True)
    await edge.start()
    await edge.stop()


async def test_garbage_on_the_disk_is_ignored_and_counted(edge, backends):
    table = table_of(backends)
    await edge.put(table)
    await edge.stop()
    (edge.state / "torn.json").write_bytes(encode(replace(table, upstream="torn"))[:-7])
    (edge.state / "moved.json").write_bytes(encode(table))
    (edge.state / "huge.json").write_bytes(b" " * 1_200_000)
    (edge.state / "notes.txt").write_text("hello")
    (edge.state / ".hello.json.4711").write_text("left by a crash")
    await edge.start()
    assert (await edge.client().ask()).peer == "a1"
    assert (await edge.metrics())["gopub_edge_bad_files"] == 4
    assert "torn.json is not used: the table is not JSON" in edge.log()
    assert 'moved.json is not used: the table is for upstream "hello"' in edge.log()
    status, body = await edge.control("GET", "/v1/status")
    assert (status, list(json.loads(body)["upstreams"])) == (200, ["hello"])


async def test_a_table_that_cannot_be_kept_is_not_obeyed(edge, backends):
    table = table_of(backends)
    await edge.put(table)
    edge.state.rename(edge.root / "away")
    newer = replace(table, revision=11, n=21, canary=None, rules=())
    status, answer = await edge.put(newer)
    assert status == 500
    assert "No such file" in answer["error"]
    assert (await edge.client().ask(headers={"x-canary": "true"})).peer == "b1"
    (edge.root / "away").rename(edge.state)
    assert (await edge.put(newer))[0] == 200
    assert (await edge.client().ask(headers={"x-canary": "true"})).peer == "a1"


async def test_of_orders_at_the_same_time_one_wins(edge, backends):
    table = table_of(backends)
    rivals = [replace(table, revision=11 + at, n=21) for at in range(20)]
    await edge.put(table)
    answers = await asyncio.gather(*(edge.put(rival) for rival in rivals))
    assert sorted(status for status, _ in answers) == [200] + [409] * 19
    [won] = [answer["revision"] for status, answer in answers if status == 200]
    assert {(await edge.client().ask()).headers["x-gopub-rule"] for _ in range(20)} == {f"default@{won}"}
    assert json.loads((edge.state / "hello.json").read_bytes())["revision"] == won


async def test_an_edge_holds_many_upstreams(edge, backends):
    table = table_of(backends)
    names = [f"app-{n}" for n in range(30)]
    puts = (edge.put(replace(table, app=name, upstream=name)) for name in names)
    assert {status for status, _ in await asyncio.gather(*puts)} == {200}
    for name in names:
        assert (await edge.client(host=f"{name}.lab").ask()).peer == "a1"
    await edge.restart()
    _, body = await edge.control("GET", "/v1/status")
    assert sorted(json.loads(body)["upstreams"]) == sorted(names)


async def test_fifty_updates_under_load_lose_nothing_and_reload_nothing(edge, backends):
    table = table_of(backends)
    await edge.put(table)
    workers = edge.workers()
    done = asyncio.Event()

    seen: list[tuple[float, float, str, int]] = []

    async def drive() -> None:
        client = edge.client()
        while not done.is_set():
            begun = time.monotonic()
            answer = await client.ask()
            seen.append((begun, time.monotonic(), answer.peer, answer.status))
        await client.close()

    clients = [asyncio.create_task(drive()) for _ in range(8)]
    acknowledged: list[tuple[float, float, str]] = []
    for turn in range(1, 51):
        weight = 10_000 * (turn % 2)
        sent = time.monotonic()
        status, _ = await edge.put(replace(table, revision=10 + turn, n=20 + turn, weight=weight))
        assert status == 200
        acknowledged.append((sent, time.monotonic(), "b1" if weight else "a1"))
        while sum(begun >= acknowledged[-1][1] for begun, *_ in seen[-50:]) <= 10:  # noqa: ASYNC110 - clients count
            await asyncio.sleep(0.005)
    done.set()
    await asyncio.gather(*clients)

    assert {status for *_, status in seen} == {200}
    assert edge.workers() == workers
    assert len(seen) > 500
    # A request that began after an acknowledgement, and was answered before the next put, sees that table alone.
    alone = 0
    for (_, acked, peer), (next_sent, _, _) in itertools.pairwise(acknowledged):
        during = {by for begun, ended, by, _ in seen if acked <= begun and ended <= next_sent}
        assert during <= {peer}
        alone += bool(during)
    assert alone == len(acknowledged) - 1
    assert {by for _, _, by, _ in seen} == {"a1", "b1"}


async def test_requests_of_a_host_on_which_two_serve_are_counted_by_address(edge, backends):
    """What a host holds on its old port must be told from what it holds on the new one."""
    old, new = backends
    table = route_table([old], revision=10, epoch=5, token="seat", n=20)
    await edge.put(table)
    asking = asyncio.create_task(edge.client().ask("/held"))
    while not old.busy:  # noqa: ASYNC110 - another process asks
        await asyncio.sleep(0.01)
    moved = replace(new.peer, host=old.host)
    await edge.put(replace(table, stable=Track("c" * 64, (moved,)), revision=11, n=21))
    assert (await edge.client().ask()).status == 200
    assert len(new.seen) == 1
    said = json.loads((await edge.control("GET", "/v1/status"))[1])
    status = read_status("e", said, "hello", "lab", "hello")
    assert (in_flight([status], [old.host]), in_flight_at([status], [old.peer.address])) == (1, 1)
    assert in_flight_at([status], [moved.address]) == 0
    old.go_on.set()
    assert (await asking).status == 200
    assert in_flight_at([replace(status, addresses=None)], [moved.address]) is None, "an older edge does not tell"
