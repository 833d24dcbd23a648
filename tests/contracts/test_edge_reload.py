"""Reloads and changes of a table under load, on a real edge: a client that never tries again loses nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from tests.contracts.edge_nginx import Answer, Backend, Client, LocalEdge, route_table

CHANGES, RELOADS = 200, 20


@dataclass
class Load:
    """Clients that ask as fast as they are answered, and what became of it."""

    edge: LocalEdge
    revision: int = 1
    """The last one that the edge acknowledged."""
    answers: Counter[int] = field(default_factory=Counter)
    lost: list[Answer] = field(default_factory=list)
    stale: list[tuple[int, int]] = field(default_factory=list)
    over: bool = False
    ended: Counter[int] = field(default_factory=Counter)
    """How many answers of each client said that its connection ends."""

    async def run(self, number: int, client: Client, method: str) -> None:
        body = b"x" * 100 if method == "POST" else b""
        while not self.over:
            least = self.revision
            answer = await client.ask("/", method=method, body=body)
            if answer.status != 200:
                self.lost.append(answer)
                continue
            revision = int(answer.headers["x-gopub-rule"].rpartition("@")[2])
            self.answers[revision] += 1
            self.ended[number] += answer.headers.get("connection") == "close"
            if revision < least:
                self.stale.append((revision, least))

    async def met(self, clients: Sequence[int]) -> None:
        """Once each of these clients had an answer that ended its connection."""
        before = {number: self.ended[number] for number in clients}
        async with asyncio.timeout(300):
            while any(self.ended[number] == count for number, count in before.items()):  # noqa: ASYNC110 - others run
                await asyncio.sleep(0.005)


@asynccontextmanager
async def loaded(edge: LocalEdge) -> AsyncIterator[Load]:
    """Kept and fresh connections, GET and POST; the first four are kept."""
    load = Load(edge)
    kinds = [(True, "GET"), (True, "POST"), (True, "GET"), (True, "POST"), (False, "GET"), (False, "POST")]
    async with asyncio.TaskGroup() as group:
        for number, (keep, method) in enumerate(kinds):
            group.create_task(load.run(number, edge.client(keep=keep), method))
        try:
            yield load
        finally:
            load.over = True


async def test_changes_and_polite_reloads_under_load_lose_nothing(edge: LocalEdge, backends: list[Backend]):
    table = route_table(backends[:1], backends[1:], weight=5000)
    assert (await edge.put(table))[0] == 200
    async with loaded(edge) as load:
        for number in range(2, CHANGES + 2):
            assert (await edge.put(replace(table, revision=number, n=number)))[0] == 200
            load.revision = number
            if number % (CHANGES // RELOADS) == 0:
                assert (await edge.control("POST", "/v1/farewell"))[0] == 200
                await load.met(range(4))
                await edge.reload()
    assert load.lost == []
    assert load.stale == []
    assert len(load.answers) > CHANGES / 4, "control: the revisions were seen while they changed"


async def test_without_a_farewell_connections_stay_and_a_reload_loses_what_they_send_next(edge, backends):
    """The control of the test above, without chance in it: nginx 1.22 closes kept connections when it is reloaded."""
    await edge.put(route_table(backends[:1]))
    client = edge.client()
    assert (await client.ask("/")).headers.get("connection") == "keep-alive"
    await edge.reload()
    assert (await client.ask("/")).status == 0


async def test_after_a_farewell_answers_end_connections_and_those_of_new_workers_do_not(edge, backends):
    await edge.put(route_table(backends[:1]))
    client = edge.client()
    await client.ask("/")
    assert (await edge.control("POST", "/v1/farewell"))[0] == 200
    said = [await client.ask("/") for _ in range(3)]
    assert [(one.status, one.headers.get("connection")) for one in said] == [(200, "close")] * 3
    await edge.reload()
    said = [await client.ask("/") for _ in range(3)]
    assert [(one.status, one.headers.get("connection")) for one in said] == [(200, "keep-alive")] * 3
