"""A driver that publishes to a real etcd, and two real edges that follow: together or not at all, and back always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gopub.errors import GopubError
from gopub.traffic import RouteTable, encode, in_flight
from gopub.traffic.backends.nginx import NginxRouter
from gopub.traffic.sources.envelope import enveloped
from gopub.traffic.sources.etcd import Etcd as EtcdKey
from gopub.traffic.sources.published import Limits, PublishedRouter
from tests.contracts.edge_nginx import Backend, LocalEdge, route_table, running_edge
from tests.contracts.edge_source import Etcd, Watcher, eventually, running_etcd, running_watcher, steadily

SOURCE = "source etcd"
PATIENT = Limits(publish=60, back=60, renew=60, converge=120)
"""For what has to succeed, on a machine however busy."""
QUICK = Limits(publish=1, back=1, renew=1, converge=2)
"""For what has to fail."""


@pytest.fixture(scope="module")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with running_etcd(tmp_path_factory.mktemp("etcd")) as etcd:
        yield etcd


@dataclass
class Fleet:
    """Two edges, each with a watcher, and a router over them."""

    etcd: Etcd
    prefix: str
    edges: dict[str, LocalEdge]
    watchers: dict[str, Watcher]
    router: PublishedRouter
    quick: PublishedRouter

    @property
    def key(self) -> EtcdKey:
        return EtcdKey(endpoints=(self.etcd.url,), prefix=self.prefix)

    def another(self) -> PublishedRouter:
        """Of another controller."""
        return over(self.edges, self.key)

    async def revisions(self) -> list[int]:
        return [await watcher.revision() for watcher in self.watchers.values()]

    async def said(self, table: RouteTable, purpose: str = "grow", *, quick: bool = False) -> dict[str, str]:
        router = self.quick if quick else self.router
        acks = await router.put_for(table, purpose)  # type: ignore[arg-type]
        return {ack.edge: "ok" if ack.ok else ack.error for ack in acks}


def over(edges: dict[str, LocalEdge], key: EtcdKey, limits: Limits = PATIENT) -> PublishedRouter:
    async def connect(name: str) -> InFolder:
        return InFolder(edges[name])

    async def ordered(table: RouteTable) -> tuple[bytes, str]:
        return encode(table), ""

    names = tuple(edges)
    inner = NginxRouter(names, connect, socket="edge.sock")
    return PublishedRouter(inner, names, key.kind, key.open, ordered, limits=limits)


@dataclass
class InFolder:
    edge: LocalEdge

    async def exec(self, argv, stdin=b""):
        return await self.edge.exec([str(self.edge.socket) if part == "edge.sock" else part for part in argv], stdin)


@pytest.fixture
async def fleet(etcd_server: Etcd, tmp_path: Path) -> AsyncIterator[Fleet]:
    if etcd_server.process is None:
        etcd_server.start()
    await etcd_server.answers()
    prefix = f"gopub/{tmp_path.name}"
    async with AsyncExitStack() as stack:
        edges = {name: await stack.enter_async_context(running_edge(tmp_path / name)) for name in ("e1", "e2")}
        lines = ("kind etcd", f"endpoint {etcd_server.url}", f"prefix {prefix}")
        watchers = {name: stack.enter_context(running_watcher(edge, *lines)) for name, edge in edges.items()}
        key = EtcdKey(endpoints=(etcd_server.url,), prefix=prefix)
        router, quick = over(edges, key), over(edges, key, QUICK)
        stack.push_async_callback(router.close)
        stack.push_async_callback(quick.close)
        yield Fleet(etcd_server, prefix, edges, watchers, router, quick)


def order(backends: list[Backend], number: int, weight: int = 0, **more: object) -> RouteTable:
    fields = {"revision": number, "epoch": 2, "token": "seat", "n": number, "rollout": "r-1", "weight": weight, **more}
    return route_table(backends[:1], backends[1:], **fields)


async def test_all_edges_obey_a_table_when_it_was_published(fleet, backends):
    for n, weight in enumerate((0, 10_000, 0, 10_000), 1):
        assert await fleet.said(order(backends, n, weight)) == {"e1": "ok", "e2": "ok", SOURCE: "ok"}
        for edge in fleet.edges.values():
            assert (await edge.client().ask()).peer == ("b1" if weight else "a1")
    same = order(backends, 4, 10_000)
    assert await fleet.said(same) == {"e1": "ok", "e2": "ok", SOURCE: "ok"}, "the same order again"
    statuses = {one.edge: one for one in await fleet.router.status("hello", "lab", "hello")}
    assert {name: one.table for name, one in statuses.items()} == {"e1": same, "e2": same, SOURCE: same}
    assert statuses[SOURCE].is_source
    assert statuses["e1"].source.up


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_while_the_source_is_away_nothing_grows_terms_go_on_and_the_way_back_is_open(fleet, backends, how):
    first = order(backends, 1, 1_000)
    await fleet.router.put(first)
    async with steadily(fleet.edges["e1"], backends) as found:
        fleet.etcd.freeze() if how == "frozen" else fleet.etcd.stop()
        said = await fleet.said(order(backends, 2, 5_000), quick=True)
        assert all(text != "ok" for text in said.values())
        assert said["e1"] == "source etcd has not taken it"
        assert await fleet.revisions() == [1, 1], "nothing grew"
        said = await fleet.said(order(backends, 3, 1_000), "renew", quick=True)
        assert (said["e1"], said["e2"]) == ("ok", "ok")
        assert said[SOURCE] != "ok"
        said = await fleet.said(order(backends, 4, 0), "back", quick=True)
        assert (said["e1"], said["e2"]) == ("ok", "ok")
        assert said[SOURCE] != "ok", "it is owed"
        statuses = await fleet.quick.status("hello", "lab", "hello")
        assert [one.edge for one in statuses if one.error] == [SOURCE]
        assert in_flight(statuses, ("b1",)) is not None, "a source holds no request"

        if how == "frozen":
            fleet.etcd.freeze(frozen=False)
        else:
            fleet.etcd.start()
        await fleet.etcd.answers()
        for watcher in fleet.watchers.values():
            await watcher.is_up(up=True)
            told = await watcher.has_refused()  # it puts all that there is once more
            assert "status 409" in told["what"]
        assert await fleet.revisions() == [4, 4], "no watcher brought the old one back"
        its = (await fleet.router.status("hello", "lab", "hello"))[-1]
        assert (its.edge, its.error, its.revision) == (SOURCE, "", 1)
        assert await fleet.said(order(backends, 5, 0), "back") == {"e1": "ok", "e2": "ok", SOURCE: "ok"}
        assert (await fleet.router.status("hello", "lab", "hello"))[-1].revision == 5
    assert found.is_whole(backends), found


async def test_an_edge_whose_watcher_is_gone_stops_growth_and_not_the_way_back(fleet, backends):
    await fleet.router.put(order(backends, 1))
    fleet.watchers["e2"].process.kill()
    fleet.watchers["e2"].process.wait()
    short = over(fleet.edges, fleet.key, replace(PATIENT, converge=2))
    said = {ack.edge: ack.error for ack in await short.put(order(backends, 2))}
    await short.close()
    await fleet.watchers["e1"].reaches(2)
    assert said["e2"].startswith("it holds revision 1, not 2; its watcher of etcd says: ")
    assert await fleet.said(order(backends, 3), "back") == {"e1": "ok", "e2": "ok", SOURCE: "ok"}


async def test_a_late_controller_takes_no_newer_table_away(fleet, backends):
    newest = order(backends, 9)
    await fleet.router.put(newest)
    other = fleet.another()
    late = {"epoch": 1}, {"token": "another"}, {"revision": 8, "n": 10}, {"n": 8, "revision": 10}, {"env": "other"}
    for more in late:
        for purpose in ("grow", "renew", "back"):
            acks = await other.put_for(replace(order(backends, 9), **more), purpose)
            assert not any(ack.ok for ack in acks), (more, acks)
            assert acks[-1].revision == 9, "so its next order can be newer, where its seat is"
    # What was read before somebody else wrote does not count.
    source = fleet.key.open()
    before = await source.read("hello")
    assert await fleet.said(order(backends, 10)) == {"e1": "ok", "e2": "ok", SOURCE: "ok"}
    assert not await source.swap("hello", b"old", before)
    assert not await source.swap("hello", b"old", None)
    racers = [fleet.another() for _ in range(4)]
    await asyncio.gather(*(one.put(order(backends, 20 + at)) for at, one in enumerate(racers)))
    its = (await fleet.router.status("hello", "lab", "hello"))[-1]
    assert its.revision == 23
    assert await fleet.revisions() == [23, 23]
    for one in (other, *racers):
        await one.close()
    await source.close()


async def test_what_strangers_wrote_is_no_reason_to_stop(fleet, backends):
    await fleet.router.put(order(backends, 1))
    highest = replace(order(backends, 2), revision=2**53 - 1, n=2**53 - 1, epoch=2**53 - 1)
    for n, value in enumerate((b"garbage", b"", enveloped("hello", encode(highest), "")), 10):
        await fleet.etcd.put(f"{fleet.prefix}/other", b"x")  # of another upstream: nobody's business
        for watcher in fleet.watchers.values():
            watcher.process.send_signal(19)  # so that no edge takes it: without keys it believes whoever writes
        await fleet.etcd.put(f"{fleet.prefix}/hello", value)
        [*_, its] = await fleet.router.status("hello", "lab", "hello")
        assert its.error or its.table is None
        assert its.revision == 0, "an order that is newer than this could not be made"
        acks = await fleet.router.put_for(order(backends, n), "back")
        assert [ack.ok for ack in acks] == [True, True, True]
        for watcher in fleet.watchers.values():
            watcher.process.send_signal(18)
        for watcher in fleet.watchers.values():
            await watcher.reaches(n)


async def test_a_refused_login_is_told_and_no_secret_of_it(fleet, monkeypatch):
    monkeypatch.setenv("ETCD_PASSWORD", "hush-hush")
    key = EtcdKey(endpoints=(fleet.etcd.url,), prefix="p", user="me", password={"env": "ETCD_PASSWORD"})
    source = key.open()
    with pytest.raises(GopubError) as caught:
        await source.read("hello")
    assert caught.value.code == "GP525"
    assert "hush" not in str(caught.value)
    await source.close()


async def test_a_source_that_cannot_be_opened_is_no_reason_not_to_go_back(fleet, backends):
    key = EtcdKey(endpoints=(fleet.etcd.url,), prefix="p", ca=Path("/missing.pem"))
    router = over(fleet.edges, key)
    acks = {ack.edge: ack for ack in await router.put_for(order(backends, 1), "back")}
    assert (acks["e1"].ok, acks["e2"].ok, acks[SOURCE].ok) == (True, True, False)
    assert "/missing.pem" in acks[SOURCE].error
    [*_, its] = await router.status("hello", "lab", "hello")
    assert "/missing.pem" in its.error
    await router.close()


async def test_control_without_a_watcher_nothing_arrives(fleet, backends):
    await fleet.router.put(order(backends, 1))
    for watcher in fleet.watchers.values():
        watcher.process.kill()
    short = over(fleet.edges, fleet.key, replace(PATIENT, converge=2))
    assert [ack.ok for ack in await short.put(order(backends, 2))] == [False, False, True]
    await short.close()

    async def there() -> bool:
        return await fleet.revisions() == [1, 1]

    await eventually(there)
