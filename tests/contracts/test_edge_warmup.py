"""A real edge brings new peers in slowly, and takes no user back on the way."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import replace

from gopub.traffic import Peer, RouteTable, Track, bucket
from tests.contracts.edge_nginx import CANARY, STABLE, LocalEdge, route_table, running_edge
from tests.support.ports import free_port

USERS = [f"user-{n}" for n in range(600)]


def upstreams(*names: str) -> tuple[str, dict[str, int]]:
    """Servers that say who they are."""
    ports = {name: free_port() for name in names}
    text = "".join(
        f'server {{ listen 127.0.0.1:{port}; access_log off; location / {{ return 200 "{name}"; }} }}'
        for name, port in ports.items()
    )
    return text, ports


def peers(ports: dict[str, int], **since: float | None) -> tuple[Peer, ...]:
    return tuple(Peer(name, f"127.0.0.1:{ports[name]}", began) for name, began in since.items())


async def answered(edge: LocalEdge) -> dict[str, str]:
    """Who served each user."""
    client, found = edge.client(), {}
    for at in range(0, len(USERS), 100):
        block = USERS[at : at + 100]
        for user, answer in zip(block, await client.ask_many([{"x-user-id": user} for user in block]), strict=True):
            assert answer.status == 200
            found[user] = answer.body.decode()
    return found


async def put(edge: LocalEdge, table: RouteTable, revision: int) -> None:
    assert (await edge.put(replace(table, revision=revision, n=revision)))[0] == 200


async def test_a_new_peer_takes_few_turns_and_then_its_part(tmp_path):
    text, ports = upstreams("old", "new")
    async with running_edge(tmp_path, extra=text) as edge:
        table = route_table((), sticky="header:x-user-id", warmup=3600.0)
        now = time.time()
        await put(edge, replace(table, stable=Track(STABLE, peers(ports, old=None, new=now))), 1)
        cold = Counter((await answered(edge)).values())
        await put(edge, replace(table, stable=Track(STABLE, peers(ports, old=None, new=now - 4000))), 2)
        warm = Counter((await answered(edge)).values())
    assert 5 <= cold["new"] <= 75, "a tenth of its half: about 30 of 600"
    assert warm["new"] == 300, "control: a warm peer has its turns"


async def test_the_weight_of_a_canary_that_warms_up_grows_and_swaps_nobody(tmp_path):
    text, ports = upstreams("stable", "b1", "b2")
    async with running_edge(tmp_path, extra=text) as edge:
        table = route_table((), sticky="header:x-user-id", warmup=3600.0)
        table = replace(table, stable=Track(STABLE, peers(ports, stable=None)), salt="r-1")
        seen: list[set[str]] = []
        now = time.time()
        for revision, (canary, weight, before) in enumerate(
            (
                (peers(ports, b1=now), 4000, 0),
                (peers(ports, b1=now - 4000), 4000, 400),
                (peers(ports, b1=now - 4000, b2=now), 5000, 4000),
                (peers(ports, b1=now - 4000, b2=now - 4000), 5000, 4000),
            ),
            start=1,
        ):
            this = replace(table, canary=Track(CANARY, canary), weight=weight, weight_from=before)
            await put(edge, this, revision)
            reached = {user for user, who in (await answered(edge)).items() if who != "stable"}
            limit = this.weight_at(time.time())
            assert reached == {user for user in USERS if bucket("r-1", user) < limit}
            seen.append(reached)
    assert all(earlier <= later for earlier, later in itertools.pairwise(seen))
    assert len(seen[0]) < len(seen[1]) == len(seen[2]) < len(seen[3])


async def test_the_latency_of_a_peer_that_warms_up_is_counted_apart_and_its_answers_are_not(tmp_path):
    """From the first request after its warm-up on it is counted with the others; what was counted apart stays."""
    text, ports = upstreams("old", "new")
    text = text.replace('return 200 "new"', 'return 500 "new"')
    async with running_edge(tmp_path, extra=text) as edge:
        table = route_table((), sticky="header:x-user-id", warmup=3600.0)
        table = replace(table, stable=Track(STABLE, peers(ports, old=None)), weight=5000)
        now, counted = time.time(), []
        for revision, since in enumerate((now, None, now - 4000), start=1):
            await put(edge, replace(table, canary=Track(CANARY, peers(ports, new=since)), weight_from=5000), revision)
            client = edge.client()
            for at in range(0, len(USERS), 100):
                await client.ask_many([{"x-user-id": user} for user in USERS[at : at + 100]])
            counted.append(await counts(edge, CANARY, "new"))
        stable = await counts(edge, STABLE, "old")
    served = len([user for user in USERS if bucket(table.salt, user) < 5000])
    assert counted == [
        {"5xx": served, "request": 0, "warming_request": served},
        {"5xx": 2 * served, "request": 0, "warming_request": 2 * served},  # this table says nothing of its start
        {"5xx": 3 * served, "request": served, "warming_request": 2 * served},
    ]
    assert stable == {"5xx": 0, "request": 3 * (len(USERS) - served), "warming_request": None}


async def counts(edge: LocalEdge, release: str, host: str) -> dict[str, float | None]:
    """Answers that failed, and those that were timed: among all, and apart."""
    metrics = await edge.metrics()
    labels = f'app="hello",env="lab",release="{release[:12]}",host="{host}"'
    timed = {
        name: metrics.get(f"gopub_edge_{name}_seconds_count{{{labels}}}") for name in ("request", "warming_request")
    }
    return {"5xx": metrics[f'gopub_edge_attempts_total{{{labels},class="5xx"}}'], **timed}
